// engine/base/snappy_block.h -- the elements of a snappy block, decoded. Part of compress.cc; a
// file of its own because every byte of remote write passes through it.
//
// Format: github.com/google/snappy, format_description.txt. Why not the library's decoder: it is
// the same branch-free loop, but Debian's build calls memmove for each element.
#pragma once

#include <span>
#include <string_view>

namespace basalt {

// Decodes `elements`, which is a block behind its length, into exactly `out`. False, with `out` in
// any state, if they are malformed or make another number of bytes. Safe on hostile bytes: reads
// and writes nothing outside the two.
bool DecodeSnappyElements(std::string_view elements, std::span<char> out);

}  // namespace basalt
