# basalt::warnings carries every flag of ours, so that no global is touched and third-party code is spared.
add_library(basalt_warnings INTERFACE)
add_library(basalt::warnings ALIAS basalt_warnings)
target_compile_options(basalt_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor
  -Woverloaded-virtual -Wimplicit-fallthrough -Wundef
  # Floating point stays as written: answers are compared bit for bit (DESIGN decision 9).
  -ffp-contract=off
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict;-Wno-maybe-uninitialized>  # g++ 12 -O2/-O3 print both falsely on std::string and variants
  $<$<CXX_COMPILER_ID:Clang>:-Wno-deprecated-declarations>  # libstdc++ 12's own stable_sort uses what it deprecates
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety;-Wthread-safety-negative;-Wno-thread-safety-negative>)
# x86-64-v2 is the floor (every server since 2009); kernels that want AVX2 are built apart and chosen at run time.
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  target_compile_options(basalt_warnings INTERFACE -march=x86-64-v2)
endif()
