#include "tests/query/script/series_description.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "query/exec/histogram_ops.h"
#include "query/promql/durations.h"
#include "query/promql/parser.h"
#include "query/promql/text.h"
#include "tests/support/memory_reader.h"

namespace basalt::query::script {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// Reads a line from left to right. Every Read returns false if what it wants is not there.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  [[nodiscard]] bool done() const { return rest_.empty(); }
  [[nodiscard]] std::string_view rest() const { return rest_; }
  void SkipSpaces() {
    while (!rest_.empty() && IsSpace(rest_[0])) rest_.remove_prefix(1);
  }
  bool Skip(std::string_view prefix) {
    if (!rest_.starts_with(prefix)) return false;
    rest_.remove_prefix(prefix.size());
    return true;
  }
  std::string_view Take(size_t count) {
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view TakeWord() {
    return Take(
        static_cast<size_t>(std::find_if_not(rest_.begin(), rest_.end(), IsAlpha) - rest_.begin()));
  }

  // An optional sign, then digits with point and exponent, or a word (`Inf`). No hexadecimals: 0x3
  // is 0, three times.
  bool ReadNumber(double& value) {
    bool negative = false;
    if (Skip("-")) {
      negative = true;
    } else {
      Skip("+");
    }
    size_t end = 0;
    const auto digits = [&] {
      while (end < rest_.size() && IsDigit(rest_[end])) ++end;
    };
    if (!rest_.empty() && IsAlpha(rest_[0])) {
      while (end < rest_.size() && IsAlpha(rest_[end]) && rest_[end] != 'x') ++end;
    } else {
      digits();
      if (end < rest_.size() && rest_[end] == '.') {
        ++end;
        digits();
      }
      if (end + 1 < rest_.size() && (rest_[end] | 0x20) == 'e') {
        const bool sign = rest_[end + 1] == '+' || rest_[end + 1] == '-';
        end += sign ? 2 : 1;
        digits();
      }
    }
    const Result<double> number = promql::ParseNumber(rest_.substr(0, end));
    if (end == 0 || !number.ok()) return false;
    rest_.remove_prefix(end);
    value = negative ? -*number : *number;
    return true;
  }

  bool ReadCount(uint64_t& count) {
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), count);
    if (error != std::errc() || count > kMaxRepeat) return false;
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return true;
  }
  bool ReadInt(int32_t& value) {
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc()) return false;
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return true;
  }
  // `5m`, with a sign if it likes. An `x` ends it.
  bool ReadDuration(int64_t& ms) {
    bool negative = false;
    if (Skip("-")) {
      negative = true;
    } else {
      Skip("+");
    }
    size_t end = 0;
    while (end < rest_.size() && IsDigit(rest_[end])) ++end;
    while (end < rest_.size() && IsAlpha(rest_[end]) && rest_[end] != 'x') ++end;
    const Result<Duration> duration = promql::ParseDuration(rest_.substr(0, end));
    if (!duration.ok()) return false;
    rest_.remove_prefix(end);
    ms = negative ? -duration->count() : duration->count();
    return true;
  }

 private:
  std::string_view rest_;
};

Status Bad(std::string_view what, std::string_view where) {
  return InvalidArgument(std::string(what) + " at " + promql::GoQuoted(where));
}

// Where the metric ends: at the first space outside braces and quotes.
size_t MetricLength(std::string_view line) {
  bool braces = false;
  char quote = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote != 0) {
      if (c == '\\' && quote != '`') {
        ++i;
      } else if (c == quote) {
        quote = 0;
      }
    } else if (braces && (c == '"' || c == '\'' || c == '`')) {
      quote = c;
    } else if (c == '{') {
      braces = true;
    } else if (c == '}') {
      return i + 1;
    } else if (!braces && (IsSpace(c) || c == '@')) {
      return i;
    }
  }
  return line.size();
}

Result<Labels> ReadMetric(Cursor& in) {
  const std::string_view metric = in.Take(MetricLength(in.rest()));
  BASALT_TRY_ASSIGN(const std::vector<storage::Matcher> matchers,
                    promql::ParseMetricSelector(metric));
  std::vector<Label> labels;
  for (const storage::Matcher& matcher : matchers) {
    if (matcher.type != storage::MatchType::kEqual)
      return Bad("a metric has labels, not matchers", metric);
    labels.push_back({matcher.name, matcher.value});
  }
  return Labels(std::move(labels));
}

// `[1 2 3]`.
bool ReadList(Cursor& in, std::vector<double>& values) {
  if (!in.Skip("[")) return false;
  for (;;) {
    in.SkipSpaces();
    if (in.Skip("]")) return true;
    double value = 0;
    if (!in.ReadNumber(value)) return false;
    values.push_back(value);
  }
}

bool ReadHint(Cursor& in, ResetHint& hint) {
  static const std::map<std::string_view, ResetHint> kHints = {{"unknown", ResetHint::kUnknown},
                                                               {"reset", ResetHint::kYes},
                                                               {"not_reset", ResetHint::kNo},
                                                               {"gauge", ResetHint::kGauge}};
  const auto found = kHints.find(in.TakeWord());
  if (found == kHints.end()) return false;
  hint = found->second;
  return true;
}

// Behind `{{`, up to and including `}}`.
Result<SequenceValue> ReadHistogram(Cursor& in) {
  FloatHistogram h;
  SequenceValue out;
  int32_t offset = 0;
  int32_t negative_offset = 0;
  for (in.SkipSpaces(); !in.Skip("}}"); in.SkipSpaces()) {
    const std::string_view where = in.rest();
    const std::string_view key = in.TakeWord();
    if (!in.Skip(":")) return Bad("expected a histogram's field", where);
    bool read = false;
    if (key == "schema") read = in.ReadInt(h.schema);
    if (key == "sum") read = in.ReadNumber(h.sum);
    if (key == "count") read = in.ReadNumber(h.count);
    if (key == "z_bucket") read = in.ReadNumber(h.zero_count);
    if (key == "z_bucket_w") read = in.ReadNumber(h.zero_threshold);
    if (key == "custom_values") read = ReadList(in, h.custom_values);
    if (key == "buckets") read = ReadList(in, h.positive_buckets);
    if (key == "n_buckets") read = ReadList(in, h.negative_buckets);
    if (key == "offset") read = in.ReadInt(offset);
    if (key == "n_offset") read = in.ReadInt(negative_offset);
    if (key == "counter_reset_hint") {
      read = ReadHint(in, h.reset_hint);
      out.hint_given = true;
    }
    if (!read) return Bad("cannot read a histogram's field", where);
  }
  if (!h.positive_buckets.empty())
    h.positive_spans = {{offset, static_cast<uint32_t>(h.positive_buckets.size())}};
  if (!h.negative_buckets.empty())
    h.negative_spans = {{negative_offset, static_cast<uint32_t>(h.negative_buckets.size())}};
  out.histogram = std::make_shared<const FloatHistogram>(std::move(h));
  return out;
}

// `{{...}}`, `{{...}}xN`, `{{...}}+{{...}}xN`.
Status ReadHistogramItem(Cursor& in, std::vector<SequenceValue>& values) {
  const std::string_view where = in.rest();
  BASALT_TRY_ASSIGN(SequenceValue value, ReadHistogram(in));
  const bool add = in.Skip("+{{");
  const bool subtract = !add && in.Skip("-{{");
  HistogramPtr step;
  if (add || subtract) {
    BASALT_TRY_ASSIGN(SequenceValue increment, ReadHistogram(in));
    step = increment.histogram;
    value.hint_given = increment.hint_given;
  }
  uint64_t repeat = 0;
  if (in.Skip("x")) {
    if (!in.ReadCount(repeat)) return Bad("cannot read a repetition", where);
  } else if (step) {
    return Bad("an increment needs a repetition", where);
  }
  values.push_back(value);
  for (; repeat > 0; --repeat) {
    if (step) {
      if (value.histogram->schema > step->schema)
        return Bad("the increment is coarser than its base", where);
      FloatHistogram next = *value.histogram;
      if (add) exec::Add(next, *step);
      if (subtract) exec::Subtract(next, *step);
      value.histogram = std::make_shared<const FloatHistogram>(std::move(next));
    }
    values.push_back(value);
  }
  return OkStatus();
}

// `1`, `1x3`, `1+2x3`, `stale`.
Status ReadNumberItem(Cursor& in, std::vector<SequenceValue>& values) {
  const std::string_view where = in.rest();
  SequenceValue value;
  if (in.Skip("stale")) {
    value.value = testing::MemoryReader::Stale();
  } else if (!in.ReadNumber(value.value)) {
    return Bad("expected a number, stale, _ or a histogram", where);
  }
  double step = 0;
  const bool stepped = in.rest().starts_with('+') || in.rest().starts_with('-');
  if (stepped && !in.ReadNumber(step)) return Bad("cannot read an increment", where);
  uint64_t repeat = 0;
  if (in.Skip("x")) {
    if (!in.ReadCount(repeat)) return Bad("cannot read a repetition", where);
  } else if (stepped) {
    return Bad("an increment needs a repetition", where);
  }
  values.push_back(value);
  for (; repeat > 0; --repeat) {
    if (stepped) value.value += step;
    values.push_back(value);
  }
  return OkStatus();
}

Status ReadItem(Cursor& in, std::vector<SequenceValue>& values) {
  const std::string_view where = in.rest();
  if (in.Skip("{{")) return ReadHistogramItem(in, values);
  if (!in.Skip("_")) return ReadNumberItem(in, values);
  uint64_t count = 1;
  if (in.Skip("x") && !in.ReadCount(count)) return Bad("cannot read a repetition", where);
  SequenceValue gap;
  gap.omitted = true;
  values.insert(values.end(), count, gap);
  return OkStatus();
}

Status ReadOffsetItem(Cursor& in, std::vector<std::optional<int64_t>>& offsets) {
  const std::string_view where = in.rest();
  uint64_t count = 0;
  if (in.Skip("_")) {
    count = 1;
    if (in.Skip("x") && !in.ReadCount(count)) return Bad("cannot read a repetition", where);
    offsets.insert(offsets.end(), count, std::nullopt);
    return OkStatus();
  }
  int64_t offset = 0;
  if (!in.ReadDuration(offset)) return Bad("expected a duration", where);
  int64_t step = 0;
  if ((in.rest().starts_with('+') || in.rest().starts_with('-')) && !in.ReadDuration(step))
    return Bad("cannot read an increment", where);
  if (in.Skip("x") && !in.ReadCount(count)) return Bad("cannot read a repetition", where);
  for (uint64_t i = 0; i <= count; ++i) offsets.push_back(offset + static_cast<int64_t>(i) * step);
  return OkStatus();
}

// Items between spaces.
template <typename Values>
Status ReadItems(Cursor& in, Values& values, Status (*read)(Cursor&, Values&)) {
  for (in.SkipSpaces(); !in.done(); in.SkipSpaces()) {
    const std::string_view where = in.rest();
    BASALT_TRY(read(in, values));
    if (!in.done() && !IsSpace(in.rest()[0])) return Bad("expected a space behind a value", where);
  }
  return OkStatus();
}

}  // namespace

Result<SeriesDescription> ParseSeriesDescription(std::string_view line) {
  Cursor in(line);
  SeriesDescription series;
  BASALT_TRY_ASSIGN(series.labels, ReadMetric(in));
  BASALT_TRY(ReadItems(in, series.values, ReadItem));
  return series;
}

bool IsStartOffsetsLine(std::string_view line) {
  const size_t metric = MetricLength(line);
  return line.substr(metric).starts_with("@st ");
}

Result<StartOffsets> ParseStartOffsets(std::string_view line) {
  Cursor in(line);
  StartOffsets series;
  BASALT_TRY_ASSIGN(series.labels, ReadMetric(in));
  in.Skip("@st");
  BASALT_TRY(ReadItems(in, series.offsets_ms, ReadOffsetItem));
  return series;
}

}  // namespace basalt::query::script
