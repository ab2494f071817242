#include "storage/codec/keys.h"

#include <concepts>

namespace basalt::storage {
namespace {

template <std::unsigned_integral T>
void AppendBig(T v, std::string& out) {
  for (int shift = static_cast<int>(sizeof(T)) * 8 - 8; shift >= 0; shift -= 8) {
    out += static_cast<char>(static_cast<uint64_t>(v) >> shift & 0xFF);
  }
}

// Takes a number off the front; the caller has checked the length.
template <std::unsigned_integral T>
T TakeBig(std::string_view& in) {
  uint64_t v = 0;
  for (size_t i = 0; i < sizeof(T); ++i) v = v << 8 | static_cast<unsigned char>(in[i]);
  in.remove_prefix(sizeof(T));
  return static_cast<T>(v);
}

std::string RunPrefix(const RunKey& run) {
  std::string out;
  out.reserve(kBlockKeyBytes);
  AppendBig(static_cast<uint16_t>(run.partition), out);
  AppendBig(run.day, out);
  AppendBig(run.level, out);
  AppendBig(run.run, out);
  return out;
}

// All keys that begin with `prefix`: up to the next string of its length, or without end after
// 0xFF...FF.
KeyRange PrefixRange(std::string prefix) {
  KeyRange range{prefix, std::move(prefix)};
  while (!range.end.empty() && range.end.back() == '\xFF') range.end.pop_back();
  if (!range.end.empty()) range.end.back() = static_cast<char>(range.end.back() + 1);
  return range;
}

}  // namespace

std::string EncodeBlockKey(const BlockKey& key) {
  std::string out = RunPrefix(key.run);
  AppendBig(static_cast<uint32_t>(key.tenant), out);
  AppendBig(key.metric, out);
  AppendBig(key.group, out);
  AppendBig(key.row, out);
  return out;
}

Result<BlockKey> DecodeBlockKey(std::string_view bytes) {
  if (bytes.size() != kBlockKeyBytes) {
    return DataLoss("block key: " + std::to_string(bytes.size()) + " bytes long, not " +
                    std::to_string(kBlockKeyBytes));
  }
  BlockKey key;
  key.run.partition = PartitionId{TakeBig<uint16_t>(bytes)};
  key.run.day = TakeBig<uint16_t>(bytes);
  key.run.level = TakeBig<uint8_t>(bytes);
  key.run.run = TakeBig<uint32_t>(bytes);
  key.tenant = TenantId{TakeBig<uint32_t>(bytes)};
  key.metric = TakeBig<uint32_t>(bytes);
  key.group = TakeBig<uint32_t>(bytes);
  key.row = TakeBig<uint16_t>(bytes);
  return key;
}

KeyRange RunRange(const RunKey& run) { return PrefixRange(RunPrefix(run)); }

Result<uint16_t> DayOf(int64_t time_ms) {
  if (time_ms < 0 || time_ms / kMsPerDay > kMaxDay) {
    return OutOfRange("time " + std::to_string(time_ms) +
                      " ms is on no day from 1970-01-01 to day " + std::to_string(kMaxDay));
  }
  return static_cast<uint16_t>(time_ms / kMsPerDay);
}

}  // namespace basalt::storage
