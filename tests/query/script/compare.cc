#include "tests/query/script/compare.h"

#include <re2/re2.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>

#include "query/promql/text.h"
#include "tests/support/memory_reader.h"

namespace basalt::query::script {
namespace {

bool IsStale(double value) {
  return std::bit_cast<uint64_t>(value) == std::bit_cast<uint64_t>(testing::MemoryReader::Stale());
}

std::string Show(double value) { return promql::FormatGeneral(value); }

std::string Show(const SequenceValue& value) {
  if (value.omitted) return "_";
  return value.histogram ? ToString(*value.histogram) : Show(value.value);
}

std::string Show(const Sample& sample) {
  return sample.histogram ? ToString(*sample.histogram) : Show(sample.value);
}

// Buckets that count something, by index.
using Buckets = std::map<int64_t, double>;
Buckets BucketsOf(const std::vector<HistogramSpan>& spans, const std::vector<double>& counts) {
  Buckets buckets;
  int64_t index = 0;
  size_t next = 0;
  for (const HistogramSpan& span : spans) {
    index += span.offset;
    for (uint32_t i = 0; i < span.length; ++i, ++index, ++next)
      if (counts[next] != 0) buckets[index] = counts[next];
  }
  return buckets;
}

bool SameBuckets(const Buckets& a, const Buckets& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && AlmostEqual(x.second, y.second);
  });
}

bool SameHistogram(const SequenceValue& expected, const FloatHistogram& actual) {
  const FloatHistogram& want = *expected.histogram;
  return want.schema == actual.schema && AlmostEqual(want.count, actual.count) &&
         AlmostEqual(want.sum, actual.sum) && want.zero_threshold == actual.zero_threshold &&
         AlmostEqual(want.zero_count, actual.zero_count) &&
         (!want.uses_custom_buckets() || want.custom_values == actual.custom_values) &&
         SameBuckets(BucketsOf(want.positive_spans, want.positive_buckets),
                     BucketsOf(actual.positive_spans, actual.positive_buckets)) &&
         SameBuckets(BucketsOf(want.negative_spans, want.negative_buckets),
                     BucketsOf(actual.negative_spans, actual.negative_buckets)) &&
         (!expected.hint_given || want.reset_hint == actual.reset_hint);
}

bool SameSample(const SequenceValue& expected, double value, const HistogramPtr& histogram) {
  if ((expected.histogram == nullptr) != (histogram == nullptr)) return false;
  return histogram ? SameHistogram(expected, *histogram) : AlmostEqual(expected.value, value);
}

const ExpectedSeries* Find(const Eval& eval, const Labels& labels) {
  // The last one counts, as a series written twice replaces its expectation.
  const auto found =
      std::find_if(eval.series.rbegin(), eval.series.rend(),
                   [&](const ExpectedSeries& series) { return series.labels == labels; });
  return found == eval.series.rend() ? nullptr : &*found;
}

template <typename Elements>
std::string FindMissing(const Eval& eval, const Elements& actual) {
  for (const ExpectedSeries& series : eval.series) {
    const bool present = std::any_of(actual.begin(), actual.end(), [&](const auto& element) {
      return element.labels == series.labels;
    });
    if (!present) return "missing " + series.labels.ToString();
  }
  return {};
}

std::string CompareVector(const Eval& eval, const Vector& vector) {
  for (size_t i = 0; i < vector.size(); ++i) {
    const Sample& sample = vector[i];
    const ExpectedSeries* const expected = Find(eval, sample.labels);
    if (expected == nullptr) return "unexpected " + sample.labels.ToString() + " " + Show(sample);
    if (eval.ordered && expected->position != i + 1) {
      return sample.labels.ToString() + " is at position " + std::to_string(i + 1) +
             ", expected at " + std::to_string(expected->position);
    }
    if (expected->values.empty() ||
        !SameSample(expected->values[0], sample.value, sample.histogram)) {
      return sample.labels.ToString() + " is " + Show(sample) + ", expected " +
             (expected->values.empty() ? "nothing" : Show(expected->values[0]));
    }
  }
  return FindMissing(eval, vector);
}

struct Point {
  double value = 0;
  HistogramPtr histogram;
};

std::string CompareSeries(const Eval& eval, const ExpectedSeries& expected, const Series& series) {
  std::map<int64_t, Point> points;
  for (const FloatPoint& point : series.floats) points[point.time_ms] = {point.value, nullptr};
  for (const auto& point : series.histograms) points[point.time_ms] = {0, point.histogram};
  if (points.size() != series.floats.size() + series.histograms.size())
    return series.labels.ToString() + " has two points at one time";
  Timestamp time = eval.start;
  for (const SequenceValue& value : expected.values) {
    if (time > eval.end)
      return series.labels.ToString() + ": more values are expected than there are steps";
    const auto at = points.find(ToMs(time));
    const auto where = [&] {
      return series.labels.ToString() + " at " + std::to_string(ToMs(time)) + " ms";
    };
    time += eval.step;
    if (at == points.end()) {
      if (value.omitted) continue;
      return where() + " is missing, expected " + Show(value);
    }
    const std::string shown =
        at->second.histogram ? ToString(*at->second.histogram) : Show(at->second.value);
    if (value.omitted) return where() + " is " + shown + ", expected nothing";
    if (!SameSample(value, at->second.value, at->second.histogram))
      return where() + " is " + shown + ", expected " + Show(value);
    points.erase(at);
  }
  if (!points.empty()) {
    return series.labels.ToString() + " has a point at " + std::to_string(points.begin()->first) +
           " ms that is not expected";
  }
  return {};
}

std::string CompareMatrix(const Eval& eval, const Matrix& matrix) {
  if (eval.ordered) return "a range result has no order to expect";
  if (eval.scalar) return "expected a scalar, got a matrix";
  const bool sorted =
      std::is_sorted(matrix.begin(), matrix.end(),
                     [](const Series& a, const Series& b) { return a.labels < b.labels; });
  if (!sorted) return "the matrix is not sorted by labels";
  for (const Series& series : matrix) {
    const ExpectedSeries* const expected = Find(eval, series.labels);
    if (expected == nullptr) return "unexpected " + series.labels.ToString();
    if (std::string difference = CompareSeries(eval, *expected, series); !difference.empty())
      return difference;
  }
  return FindMissing(eval, matrix);
}

std::string List(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += "\n      " + text;
  return out;
}

}  // namespace

bool AlmostEqual(double a, double b) {
  if (IsStale(a) || IsStale(b)) return IsStale(a) && IsStale(b);
  if (std::isnan(a) && std::isnan(b)) return true;
  if (a == b) return true;
  constexpr double kLeast = std::numeric_limits<double>::min();
  const double sum = std::fabs(a) + std::fabs(b);
  const double difference = std::fabs(a - b);
  if (a == 0 || b == 0 || sum < kLeast) return difference < kEpsilon * kLeast;
  return difference / std::min(sum, std::numeric_limits<double>::max()) < kEpsilon;
}

std::string CompareValue(const Eval& eval, const Value& value) {
  if (const auto* const scalar = std::get_if<Scalar>(&value)) {
    if (!eval.scalar) return "expected no scalar, got " + Show(scalar->value);
    if (AlmostEqual(*eval.scalar, scalar->value)) return {};
    return "the scalar is " + Show(scalar->value) + ", expected " + Show(*eval.scalar);
  }
  if (const auto* const string = std::get_if<String>(&value)) {
    if (eval.string.value_or("") == string->value) return {};
    return "the string is " + promql::GoQuoted(string->value);
  }
  if (const auto* const vector = std::get_if<Vector>(&value)) {
    if (eval.scalar) return "expected a scalar, got a vector";
    return CompareVector(eval, *vector);
  }
  return CompareMatrix(eval, std::get<Matrix>(value));
}

bool Matches(const TextExpectation& expectation, std::string_view text) {
  switch (expectation.kind) {
    case TextExpectation::Kind::kAny:
      return true;
    case TextExpectation::Kind::kExact:
      return text == expectation.text;
    case TextExpectation::Kind::kRegex:
      return RE2::PartialMatch(text, expectation.text);
  }
  return false;
}

std::string CompareMessages(std::string_view kind, const std::vector<TextExpectation>& expected,
                            bool none_allowed, const std::vector<std::string>& actual) {
  const std::string name(kind);
  if (none_allowed && !actual.empty())
    return "no " + name + " is expected, but there is" + List(actual);
  if (expected.empty()) return {};
  for (const TextExpectation& expectation : expected) {
    const bool found = std::any_of(actual.begin(), actual.end(), [&](const std::string& text) {
      return Matches(expectation, text);
    });
    if (!found) return name + " \"" + expectation.text + "\" is missing; there is" + List(actual);
  }
  for (const std::string& text : actual) {
    const bool found =
        std::any_of(expected.begin(), expected.end(),
                    [&](const TextExpectation& expectation) { return Matches(expectation, text); });
    if (!found) return name + " is not expected: " + text;
  }
  return {};
}

}  // namespace basalt::query::script
