#include "engine/ingest/exposition.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/base/hash.h"
#include "engine/ingest/acceptor.h"
#include "engine/ingest/series_labels.h"

namespace basalt::ingest {
namespace {

// Labels as they were written, hashed: another seed than remote write's raw bytes have.
constexpr uint64_t kFingerprintSeed = 0x62617361'6c740002;
constexpr double kMaxSeconds = 1e15;
// 1700000000.123 in doubles lies a little below its millisecond; finer times are floored.
constexpr double kHalfMicrosecond = 0.0005;

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == ':';
}

// Go's words for the values that have no digits, in any case.
bool ParseValue(std::string_view text, double& out) {
  std::string_view digits = text;
  const bool is_negative = digits.starts_with('-');
  if (is_negative || digits.starts_with('+')) digits.remove_prefix(1);
  if (digits.empty() || digits.front() == '-' || digits.front() == '+') return false;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  if (end != digits.data() + digits.size()) return false;
  if (error == std::errc::result_out_of_range) {
    // 1e999 is infinite and 1e-999 is zero, as in Go.
    out = digits.find("e-") != std::string_view::npos || digits.find("E-") != std::string_view::npos
              ? 0.0
              : std::numeric_limits<double>::infinity();
  } else if (error != std::errc()) {
    return false;
  }
  if (std::isnan(out)) return (out = std::numeric_limits<double>::quiet_NaN(), true);
  if (is_negative) out = -out;
  return true;
}

storage::MetricType ParseType(std::string_view word) {
  using storage::MetricType;
  constexpr std::array<std::pair<std::string_view, MetricType>, 7> kTypes = {
      {{"counter", MetricType::kCounter},
       {"gauge", MetricType::kGauge},
       {"histogram", MetricType::kHistogram},
       {"gaugehistogram", MetricType::kGaugeHistogram},
       {"summary", MetricType::kSummary},
       {"info", MetricType::kInfo},
       {"stateset", MetricType::kStateset}}};
  for (const auto& [name, type] : kTypes) {
    if (name == word) return type;
  }
  return MetricType::kUnknown;  // "untyped", "unknown", and what is new
}

}  // namespace

// One line on its way into the builder. Refusals end it by a status.
class ExpositionDecoder::Line {
 public:
  Line(ExpositionDecoder& decoder, std::string_view text, Exposition format, int64_t now_ms,
       Place place, Acceptor& accept, storage::BatchBuilder& builder, Report& report)
      : d_(decoder),
        rest_(text),
        format_(format),
        now_ms_(now_ms),
        place_(place),
        accept_(accept),
        builder_(builder),
        report_(report) {}

  // False: nothing may follow ("# EOF").
  bool Decode() {
    SkipBlanks();
    if (rest_.empty()) return true;
    if (rest_.front() == '#') return Comment();
    if (const Status status = Sample(); !status.ok())
      report_.Reject(reason_, 1,
                     [&] { return place_.Text() + ": " + std::string(status.message()); });
    return true;
  }

 private:
  void SkipBlanks() {
    while (!rest_.empty() && IsBlank(rest_.front())) rest_.remove_prefix(1);
  }

  std::string_view TakeWord() {
    SkipBlanks();
    size_t end = 0;
    while (end < rest_.size() && !IsBlank(rest_[end])) ++end;
    const std::string_view word = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return word;
  }

  bool Comment() {
    rest_.remove_prefix(1);
    const std::string_view word = TakeWord();
    if (word == "EOF" && format_ == Exposition::kOpenMetrics) return false;
    storage::MetadataEntry entry;
    if (word != "TYPE" && word != "HELP" && word != "UNIT") return true;
    entry.metric = Unquoted(TakeWord());
    SkipBlanks();
    if (word == "TYPE") {
      entry.type = ParseType(rest_.substr(0, rest_.find_last_not_of(" \t") + 1));
    } else if (word == "UNIT") {
      entry.unit = rest_;
    } else {
      entry.help = UnescapedHelp(rest_);
    }
    if (accept_.CheckMetadataEntry(place_, entry)) builder_.AddMetadata(std::move(entry));
    return true;
  }

  // "\\\\" and "\\n" are the only escapes of a help text (and "\\\"" in OpenMetrics).
  static std::string UnescapedHelp(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      const char next = i + 1 < text.size() ? text[i + 1] : '\0';
      if (text[i] != '\\' || (next != '\\' && next != 'n' && next != '"')) {
        out += text[i];
        continue;
      }
      out += next == 'n' ? '\n' : next;
      ++i;
    }
    return out;
  }

  static std::string_view Unquoted(std::string_view word) {
    if (word.size() >= 2 && word.front() == '"' && word.back() == '"')
      return word.substr(1, word.size() - 2);
    return word;
  }

  Status Sample() {
    reason_ = Reason::kLabels;
    BASALT_TRY_ASSIGN(const std::string_view series, TakeSeries());
    reason_ = Reason::kSyntax;
    BASALT_TRY_ASSIGN(const double value, TakeNumber("value"));
    int64_t ms = now_ms_;
    SkipBlanks();
    if (!rest_.empty() && rest_.front() != '#') {
      reason_ = Reason::kTimestamp;
      BASALT_TRY_ASSIGN(ms, TakeTime());
    }
    SkipBlanks();
    const bool has_exemplar = format_ == Exposition::kOpenMetrics && rest_.starts_with('#');
    if (!rest_.empty() && !has_exemplar) {
      return InvalidArgument("\"" + std::string(rest_.substr(0, 40)) + "\" follows the sample");
    }
    // Selected last, so that no series is made for a line that cannot be read.
    reason_ = Reason::kLabels;
    const Hash128 fingerprint = HashBytes128(series, kFingerprintSeed);
    if (!builder_.SelectKnown(fingerprint)) {
      BASALT_TRY(ReadLabels(series));
      // Scrapers take labels in the order in which exporters show them.
      std::stable_sort(d_.labels_.begin(), d_.labels_.end(),
                       [](const LabelView& a, const LabelView& b) { return a.name < b.name; });
      BASALT_TRY(NormalizeSeriesLabels(d_.limits_, d_.labels_, reason_));
      builder_.SelectLabels(fingerprint, d_.labels_);
    }
    accept_.AddSample(place_, ms, value);
    reason_ = Reason::kExemplar;
    return has_exemplar ? Exemplar(ms) : OkStatus();
  }

  // " # {trace_id="x"} 0.5 1700000000.25"
  Status Exemplar(int64_t sample_ms) {
    rest_.remove_prefix(1);
    SkipBlanks();
    if (!rest_.starts_with('{')) return InvalidArgument("an exemplar begins with its labels");
    BASALT_TRY_ASSIGN(const std::string_view labels, TakeSeries());
    BASALT_TRY(ReadLabels(labels));
    BASALT_TRY_ASSIGN(const double value, TakeNumber("exemplar"));
    int64_t ms = sample_ms;
    SkipBlanks();
    if (!rest_.empty()) {
      BASALT_TRY_ASSIGN(ms, TakeTime());
    }
    accept_.AddExemplar(place_, ms, value, d_.labels_);
    return OkStatus();
  }

  Result<double> TakeNumber(std::string_view what) {
    const std::string_view word = TakeWord();
    double value = 0;
    if (!ParseValue(word, value))
      return InvalidArgument(std::string(what) + " \"" + std::string(word.substr(0, 40)) +
                             "\" is not a number");
    return value;
  }

  Result<int64_t> TakeTime() {
    const std::string_view word = TakeWord();
    const auto wrong = [&] {
      return InvalidArgument("timestamp \"" + std::string(word.substr(0, 40)) + "\" is not in " +
                             (format_ == Exposition::kOpenMetrics ? "seconds" : "milliseconds"));
    };
    if (format_ == Exposition::kOpenMetrics) {
      double seconds = 0;
      if (!ParseValue(word, seconds) || !(std::fabs(seconds) < kMaxSeconds)) return wrong();
      return static_cast<int64_t>(std::floor(seconds * 1000 + kHalfMicrosecond));
    }
    int64_t ms = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), ms);
    if (error != std::errc() || end != word.data() + word.size()) return wrong();
    return ms;
  }

  // Everything up to the end of the labels, or of the name if there are none.
  Result<std::string_view> TakeSeries() {
    size_t end = 0;
    while (end < rest_.size() && IsNameByte(rest_[end])) ++end;
    size_t at = end;
    while (at < rest_.size() && IsBlank(rest_[at])) ++at;
    if (at < rest_.size() && rest_[at] == '{') {
      bool quoted = false;
      for (end = at + 1; end < rest_.size() && (quoted || rest_[end] != '}'); ++end) {
        if (rest_[end] == '"') quoted = !quoted;
        if (quoted && rest_[end] == '\\') ++end;
      }
      if (end >= rest_.size()) return InvalidArgument("\"}\" is missing");
      ++end;
    }
    if (end == 0) return InvalidArgument("begins with neither a metric name nor \"{\"");
    const std::string_view series = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return series;
  }

  // name{a="b",c="d"}, {"utf-8 name",a="b"}, or labels alone, into d_.labels_.
  Status ReadLabels(std::string_view text) {
    d_.labels_.clear();
    d_.unescaped_.clear();
    d_.unescaped_.reserve(text.size());
    rest_of_labels_ = text;
    const size_t name = text.find_first_of(" \t{");
    if (name != 0) d_.labels_.push_back({kMetricName, text.substr(0, name)});
    if (name == std::string_view::npos) return OkStatus();
    rest_of_labels_.remove_prefix(text.find('{') + 1);
    for (;;) {
      SkipLabelBlanks();
      if (rest_of_labels_.front() == '}') return OkStatus();
      BASALT_TRY(ReadLabel());
      SkipLabelBlanks();
      if (rest_of_labels_.front() == ',') {
        rest_of_labels_.remove_prefix(1);
      } else if (rest_of_labels_.front() != '}') {
        return InvalidArgument("\",\" or \"}\" is missing before \"" +
                               std::string(rest_of_labels_.substr(0, 20)) + "\"");
      }
    }
  }

  Status ReadLabel() {
    LabelView label;
    const bool quoted = rest_of_labels_.front() == '"';
    if (quoted) {
      BASALT_TRY_ASSIGN(label.name, TakeQuoted());
    } else {
      size_t end = 0;
      while (IsNameByte(rest_of_labels_[end])) ++end;  // the text ends with '}'
      label.name = rest_of_labels_.substr(0, end);
      rest_of_labels_.remove_prefix(end);
    }
    SkipLabelBlanks();
    if (rest_of_labels_.front() != '=') {
      // A quoted text without a value is the metric's name.
      if (!quoted) {
        return InvalidArgument("\"=\" is missing after label \"" + std::string(label.name) + "\"");
      }
      d_.labels_.push_back({kMetricName, label.name});
      return OkStatus();
    }
    rest_of_labels_.remove_prefix(1);
    SkipLabelBlanks();
    if (rest_of_labels_.front() != '"') {
      return InvalidArgument("label \"" + std::string(label.name) +
                             "\": its value is not in quotes");
    }
    BASALT_TRY_ASSIGN(label.value, TakeQuoted());
    d_.labels_.push_back(label);
    return OkStatus();
  }

  // From a quote to the next one that is not escaped. TakeSeries has seen that it is there.
  Result<std::string_view> TakeQuoted() {
    rest_of_labels_.remove_prefix(1);
    size_t end = 0;
    bool escaped = false;
    while (end < rest_of_labels_.size() && rest_of_labels_[end] != '"') {
      if (rest_of_labels_[end] == '\\') {
        escaped = true;
        ++end;
      }
      ++end;
    }
    if (end + 1 >= rest_of_labels_.size()) return InvalidArgument("a closing quote is missing");
    std::string_view text = rest_of_labels_.substr(0, end);
    rest_of_labels_.remove_prefix(end + 1);
    if (escaped) {
      const size_t begin = d_.unescaped_.size();
      for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\') {
          ++i;
          d_.unescaped_ += text[i] == 'n' ? '\n' : text[i];
        } else {
          d_.unescaped_ += text[i];
        }
      }
      text = std::string_view(d_.unescaped_).substr(begin);
    }
    return text;
  }

  void SkipLabelBlanks() {
    while (IsBlank(rest_of_labels_.front())) rest_of_labels_.remove_prefix(1);
  }

  ExpositionDecoder& d_;
  std::string_view rest_;
  std::string_view rest_of_labels_;
  const Exposition format_;
  const int64_t now_ms_;
  const Place place_;
  Acceptor& accept_;
  storage::BatchBuilder& builder_;
  Report& report_;
  Reason reason_ = Reason::kSyntax;
};

void ExpositionDecoder::Decode(std::string_view text, Exposition format, Timestamp now,
                               uint64_t first_line, storage::BatchBuilder& builder,
                               Report& report) {
  Acceptor accept(limits_, now, builder, report);
  for (uint64_t number = first_line; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const Place place{.list = "line", .index = number};
    if (!Line(*this, line, format, ToMs(now), place, accept, builder, report).Decode()) return;
  }
}

}  // namespace basalt::ingest
