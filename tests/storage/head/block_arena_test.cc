#include "storage/head/block_arena.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <span>
#include <string>
#include <vector>

namespace basalt::storage {
namespace {

RC_GTEST_PROP(BlockArena, ChainsKeepTheirBytes, ()) {
  BlockArena arena;
  struct Stream {
    BlockArena::Chain chain;
    std::string bytes;
  };
  std::vector<Stream> streams(*rc::gen::inRange<size_t>(1, 30));
  for (int i = 0, n = *rc::gen::inRange(1, 400); i < n; ++i) {
    Stream& stream = streams[*rc::gen::inRange<size_t>(0, streams.size())];
    const std::string more(*rc::gen::inRange<size_t>(1, 80), static_cast<char>(i));
    arena.Append(stream.chain, stream.bytes.size(), std::as_bytes(std::span(more)));
    stream.bytes += more;
  }
  size_t used = 0;
  for (const Stream& stream : streams) {
    std::string found;
    arena.CopyTo(stream.chain, stream.bytes.size(), found);
    RC_ASSERT(found == stream.bytes);
    used += (found.size() + BlockArena::kDataBytes - 1) / BlockArena::kDataBytes *
            BlockArena::kBlockBytes;
  }
  RC_ASSERT(arena.held_bytes() >= used);
  RC_ASSERT(arena.held_bytes() <= 2 * used + 256 * BlockArena::kBlockBytes + 1024);
  arena.Clear();
  RC_ASSERT(arena.held_bytes() == 0U);
}

}  // namespace
}  // namespace basalt::storage
