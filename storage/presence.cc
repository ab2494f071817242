// Selection::ReadPresence by reading samples: right for every selection, and what the store's own
// way is tested against.
#include <algorithm>
#include <utility>
#include <vector>

#include "engine/base/stale.h"
#include "storage/codec/row_summary.h"
#include "storage/reader.h"

namespace basalt::storage {
namespace {

// The smallest step whose evaluation time is at or after `ms`; may be `count`.
uint32_t FirstStepFrom(const EvaluationTimes& times, int64_t ms) {
  if (ms <= times.first_ms) return 0;
  if (times.count <= 1) return times.count;
  // Unsigned: the two may lie further apart than a signed number holds.
  const uint64_t ahead = static_cast<uint64_t>(ms) - static_cast<uint64_t>(times.first_ms);
  const auto step = static_cast<uint64_t>(times.step_ms);
  return static_cast<uint32_t>(
      std::min<uint64_t>(ahead / step + (ahead % step != 0 ? 1 : 0), times.count));
}

void SetBits(std::span<uint64_t> words, uint32_t begin, uint32_t end) {
  for (uint32_t s = begin; s < end;) {
    const uint32_t bit = s % 64;
    const uint32_t n = std::min(64 - bit, end - s);
    words[s / 64] |= (n == 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1) << bit;
    s += n;
  }
}

// The steps that see a sample at `ms`, if nothing came before `next_ms`: from it up to the end of
// its lookback.
void MarkSample(const EvaluationTimes& times, int64_t lookback_ms, int64_t ms, int64_t next_ms,
                std::span<uint64_t> words) {
  const int64_t gone = ms > INT64_MAX - lookback_ms ? INT64_MAX : ms + lookback_ms;
  SetBits(words, FirstStepFrom(times, ms), FirstStepFrom(times, std::min(gone, next_ms)));
}

void MarkSeries(const EvaluationTimes& times, int64_t lookback_ms, const SeriesColumns& columns,
                std::span<uint64_t> words) {
  size_t f = 0;
  size_t h = 0;
  const size_t floats = columns.time_ms.size();
  const size_t points = columns.histograms.size();
  while (f < floats || h < points) {
    const bool is_float =
        h == points || (f < floats && columns.time_ms[f] < columns.histograms[h].time_ms);
    const int64_t ms = is_float ? columns.time_ms[f] : columns.histograms[h].time_ms;
    const bool stale = is_float ? !columns.values.empty() && IsStaleMarker(columns.values[f])
                                : IsStaleMarker(columns.histograms[h].histogram.sum);
    ++(is_float ? f : h);
    int64_t next_ms = INT64_MAX;
    if (f < floats) next_ms = columns.time_ms[f];
    if (h < points) next_ms = std::min(next_ms, columns.histograms[h].time_ms);
    if (!stale) MarkSample(times, lookback_ms, ms, next_ms, words);
  }
}

}  // namespace

Status Selection::ReadPresence(size_t begin, size_t end, const EvaluationTimes& times,
                               int64_t lookback_ms, std::span<uint64_t> present) const {
  const size_t words = PresenceWords(times.count);
  BASALT_CHECK(begin <= end && end <= size() && present.size() == (end - begin) * words,
               "ReadPresence: the result has not the size of what is asked");
  std::fill(present.begin(), present.end(), 0);
  if (times.count == 0 || lookback_ms <= 0) return OkStatus();
  TimeRange range;
  range.min_ms =
      times.first_ms < INT64_MIN + lookback_ms ? INT64_MIN : times.first_ms - lookback_ms + 1;
  range.max_ms = times.first_ms + times.step_ms * (int64_t{times.count} - 1);
  Status damage;
  const auto cursor = Read(begin, end, {.range = range, .times_only = true});
  // The neighbours of one target have the same times, and so the same bits.
  uint64_t marked_times = 0;
  std::vector<uint64_t> marked;
  for (SeriesColumns columns;;) {
    const Result<bool> more = cursor->Next(columns);
    if (!more.ok()) {
      if (more.status().code() != StatusCode::kDataLoss) return more.status();
      if (damage.ok()) damage = more.status();
      continue;
    }
    if (!*more) return damage;
    const auto of_series = present.subspan((columns.series - begin) * words, words);
    const bool times_tell =
        columns.times != 0 && columns.values.empty() && columns.histograms.empty();
    if (times_tell && columns.times == marked_times) {
      std::copy(marked.begin(), marked.end(), of_series.begin());
      continue;
    }
    MarkSeries(times, lookback_ms, columns, of_series);
    if (times_tell) {
      marked_times = columns.times;
      marked.assign(of_series.begin(), of_series.end());
    }
  }
}

}  // namespace basalt::storage
