# Speed of the build only; nothing here changes what is built.
find_program(BASALT_CCACHE ccache)
if(BASALT_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${BASALT_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${BASALT_CCACHE})
endif()
find_program(BASALT_MOLD mold)
if(BASALT_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
add_link_options(-Wl,--as-needed)
# One process links at a time next to compilers: a link of everything takes 1-2 GiB under the sanitizers.
set_property(GLOBAL APPEND PROPERTY JOB_POOLS link=2)
set(CMAKE_JOB_POOL_LINK link)
