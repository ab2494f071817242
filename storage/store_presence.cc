#include "storage/store_presence.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace basalt::storage {
namespace {

// What the rows of a series say.
struct Seen {
  int64_t newest_ms = INT64_MIN;  // none
  bool sure = true;
};

enum class Answer : uint8_t { kAbsent, kPresent, kUnknown };

Answer Decide(const Seen& rows, const PartitionHead::Newest& head) {
  if (!head.known) return Answer::kUnknown;
  // At equal times the head's sample is the one that counts.
  if (head.time_ms != INT64_MIN && head.time_ms >= rows.newest_ms)
    return head.stale ? Answer::kAbsent : Answer::kPresent;
  if (rows.newest_ms == INT64_MIN) return Answer::kAbsent;
  return rows.sure ? Answer::kPresent : Answer::kUnknown;
}

}  // namespace

Status ReadPresenceAt(const CursorSource& source, size_t begin, size_t end, TimeRange range,
                      std::span<uint64_t> present,
                      const std::function<Status(size_t, size_t, std::span<uint64_t>)>& read) {
  const auto ordinals = source.series->ordinals().subspan(begin, end - begin);
  if (ordinals.empty()) return OkStatus();
  const auto last = static_cast<size_t>(*std::max_element(ordinals.begin(), ordinals.end()));
  std::vector<Seen> seen(last + 1);  // by ordinal
  std::vector<RunRows::Newest> rows;
  std::vector<Status> errors;
  RunRows runs(source.runs, range);
  runs.FindNewest(*source.series, begin, end - begin, *source.deletes, rows, errors);
  for (const RunRows::Newest& row : rows) {
    if (static_cast<size_t>(row.ordinal) > last) continue;
    Seen& of = seen[static_cast<size_t>(row.ordinal)];
    of.newest_ms = std::max(of.newest_ms, row.time_ms);
    of.sure = of.sure && row.sure;
  }
  std::vector<PartitionHead::Newest> head;
  source.head->FindNewest(source.head_view, ordinals, range, head);
  size_t unknown = 0;  // just before i
  Status damage = errors.empty() ? OkStatus() : errors.front();
  for (const Status& error : errors) {
    if (error.code() == StatusCode::kDataLoss && source.on_damage) source.on_damage(error);
  }
  const auto ask = [&](size_t to) -> Status {
    if (unknown == 0) return OkStatus();
    const size_t from = to - unknown;
    Status status =
        read(begin + from, begin + to, present.subspan(from, std::exchange(unknown, 0)));
    if (!status.ok() && status.code() != StatusCode::kDataLoss) return status;
    if (damage.ok()) damage = status;
    return OkStatus();
  };
  for (size_t i = 0; i < ordinals.size(); ++i) {
    const Answer answer = Decide(seen[static_cast<size_t>(ordinals[i])], head[i]);
    if (answer == Answer::kUnknown) {
      ++unknown;
      continue;
    }
    BASALT_TRY(ask(i));
    present[i] = answer == Answer::kPresent ? 1 : 0;
  }
  BASALT_TRY(ask(ordinals.size()));
  return damage;
}

}  // namespace basalt::storage
