#include "storage/codec/time_column.h"

#include <algorithm>
#include <functional>

#include "engine/base/hash.h"
#include "engine/base/varint.h"
#include "storage/codec/integer_column.h"
#include "storage/codec/row.h"

namespace basalt::storage {
namespace {

Status CheckCount(const char* what, size_t count) {
  if (count > 0 && count <= kMaxSamplesPerRow) return OkStatus();
  return InvalidArgument(std::string(what) + ": " + std::to_string(count) + " entries, 1.." +
                         std::to_string(kMaxSamplesPerRow) + " are possible");
}

Status Decode(const char* what, std::string_view in, std::span<int64_t> out) {
  if (out.empty() || out.size() > kMaxSamplesPerRow) {
    return DataLoss(std::string(what) + ": " + std::to_string(out.size()) +
                    " entries are not possible");
  }
  VarintReader reader(in);
  if (!ReadIntegerColumn(reader, out))
    return DataLoss(std::string(what) + ": the bytes do not fit");
  if (!reader.done()) return DataLoss(std::string(what) + ": bytes are left over");
  return OkStatus();
}

// The first index whose time is not above the one before; the size if there is none.
size_t FirstNotRising(std::span<const int64_t> time_ms) {
  const auto it = std::adjacent_find(time_ms.begin(), time_ms.end(), std::greater_equal<>());
  return it == time_ms.end() ? time_ms.size() : static_cast<size_t>(it - time_ms.begin()) + 1;
}

uint64_t HashTimes(std::span<const int64_t> time_ms) {
  return HashBytes64({reinterpret_cast<const char*>(time_ms.data()), time_ms.size_bytes()});
}

}  // namespace

Status CheckTimes(std::span<const int64_t> time_ms) {
  BASALT_TRY(CheckCount("times", time_ms.size()));
  const size_t i = FirstNotRising(time_ms);
  if (i == time_ms.size()) return OkStatus();
  return InvalidArgument("times: time_ms[" + std::to_string(i) +
                         "] = " + std::to_string(time_ms[i]) + " is not above the one before, " +
                         std::to_string(time_ms[i - 1]));
}

Status EncodeTimes(std::span<const int64_t> time_ms, std::string& out) {
  BASALT_TRY(CheckTimes(time_ms));
  AppendIntegerColumn(time_ms, out);
  return OkStatus();
}

Status DecodeTimes(std::string_view in, std::span<int64_t> out) {
  BASALT_TRY(Decode("times", in, out));
  if (FirstNotRising(out) < out.size()) return DataLoss("times: they do not rise");
  return OkStatus();
}

Status EncodeStarts(std::span<const int64_t> start_ms, std::string& out) {
  BASALT_TRY(CheckCount("starts", start_ms.size()));
  AppendIntegerColumn(start_ms, out);
  return OkStatus();
}

Status DecodeStarts(std::string_view in, std::span<int64_t> out) {
  return Decode("starts", in, out);
}

uint32_t TimeColumnSet::Add(std::span<const int64_t> time_ms) {
  const uint64_t hash = HashTimes(time_ms);
  for (auto [it, end] = by_hash_.equal_range(hash); it != end; ++it) {
    if (std::ranges::equal(columns_[it->second], time_ms)) return it->second;
  }
  const auto number = static_cast<uint32_t>(columns_.size());
  columns_.emplace_back(time_ms.begin(), time_ms.end());
  by_hash_.emplace(hash, number);
  return number;
}

void TimeColumnSet::Clear() {
  columns_.clear();
  by_hash_.clear();
}

}  // namespace basalt::storage
