#include "engine/ingest/json_lines.h"

#include <simdjson.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/stale.h"
#include "engine/ingest/acceptor.h"
#include "engine/ingest/series_labels.h"

namespace basalt::ingest {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

bool ParseSpecial(std::string_view text, double& out) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (text == "NaN") return (out = std::numeric_limits<double>::quiet_NaN(), true);
  if (text == "Infinity" || text == "+Inf") return (out = kInfinity, true);
  if (text == "-Infinity" || text == "-Inf") return (out = -kInfinity, true);
  if (text == "stale") return (out = kStaleMarker, true);
  return false;
}

Result<double> ValueOf(const element& item, size_t index) {
  double value = 0;
  if (item.get(value) == simdjson::SUCCESS) return value;
  if (item.is_null()) return std::numeric_limits<double>::quiet_NaN();
  std::string_view text;
  if (item.get(text) == simdjson::SUCCESS && ParseSpecial(text, value)) return value;
  return InvalidArgument("values[" + std::to_string(index) +
                         "] is neither a number nor one of \"NaN\", \"Infinity\", \"-Infinity\", "
                         "\"stale\"");
}

}  // namespace

class JsonLinesDecoder::Impl {
 public:
  explicit Impl(const Limits& limits) : limits_(limits) {}

  void Decode(std::string_view text, Timestamp now, uint64_t first_line,
              storage::BatchBuilder& builder, Report& report) {
    Acceptor accept(limits_, now, builder, report);
    for (uint64_t number = first_line; !text.empty(); ++number) {
      const size_t end = text.find('\n');
      const std::string_view line = text.substr(0, end);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      const Place place{.list = "line", .index = number};
      if (const Status status = Line(line, place, accept, builder); !status.ok()) {
        // How many samples it held is known only if it could be parsed.
        report.Reject(reason_, std::max<uint64_t>(samples_, 1),
                      [&] { return place.Text() + ": " + std::string(status.message()); });
      }
    }
  }

 private:
  // All of the line or nothing: its values are read before the first is added.
  Status Line(std::string_view line, const Place& place, Acceptor& accept,
              storage::BatchBuilder& builder) {
    samples_ = 0;
    reason_ = Reason::kSyntax;
    object in;
    if (const auto error = parser_.parse(line.data(), line.size()).get(in);
        error != simdjson::SUCCESS) {
      return InvalidArgument(simdjson::error_message(error));
    }
    object metric;
    if (in["metric"].get(metric) != simdjson::SUCCESS)
      return InvalidArgument("\"metric\" needs an object of labels");
    array values;
    array times;
    if (in["values"].get(values) != simdjson::SUCCESS)
      return InvalidArgument("\"values\" needs a list");
    if (in["timestamps"].get(times) != simdjson::SUCCESS)
      return InvalidArgument("\"timestamps\" needs a list");
    samples_ = values.size();
    if (times.size() != samples_) {
      return InvalidArgument(std::to_string(samples_) + " values and " +
                             std::to_string(times.size()) + " timestamps");
    }
    values_.clear();
    for (const element item : values) {
      BASALT_TRY_ASSIGN(const double value, ValueOf(item, values_.size()));
      values_.push_back(value);
    }
    times_.clear();
    for (const element item : times) {
      int64_t ms = 0;
      if (item.get(ms) != simdjson::SUCCESS) {
        return InvalidArgument("timestamps[" + std::to_string(times_.size()) +
                               "] is no whole number of milliseconds");
      }
      times_.push_back(ms);
    }
    if (values_.empty()) return OkStatus();  // no series is made for nothing
    BASALT_TRY(Select(metric, builder));
    for (size_t i = 0; i < values_.size(); ++i) accept.AddSample(place, times_[i], values_[i]);
    return OkStatus();
  }

  Status Select(const object& metric, storage::BatchBuilder& builder) {
    reason_ = Reason::kLabels;
    labels_.clear();
    for (const auto& [name, value] : metric) {
      std::string_view text;
      if (value.get(text) != simdjson::SUCCESS)
        return InvalidArgument("label \"" + std::string(name) + "\" is no string");
      labels_.push_back({name, text});
    }
    std::stable_sort(labels_.begin(), labels_.end(),
                     [](const LabelView& a, const LabelView& b) { return a.name < b.name; });
    BASALT_TRY(NormalizeSeriesLabels(limits_, labels_, reason_));
    canonical_.clear();
    AppendCanonical(labels_, canonical_);
    const Hash128 fingerprint = CanonicalFingerprint(canonical_);
    if (!builder.SelectKnown(fingerprint)) builder.SelectLabels(fingerprint, labels_);
    return OkStatus();
  }

  const Limits limits_;
  simdjson::dom::parser parser_;
  std::vector<LabelView> labels_;
  std::string canonical_;
  std::vector<double> values_;
  std::vector<int64_t> times_;
  uint64_t samples_ = 0;
  Reason reason_ = Reason::kSyntax;
};

JsonLinesDecoder::JsonLinesDecoder(const Limits& limits) : impl_(std::make_unique<Impl>(limits)) {}
JsonLinesDecoder::~JsonLinesDecoder() = default;
JsonLinesDecoder::JsonLinesDecoder(JsonLinesDecoder&&) noexcept = default;
JsonLinesDecoder& JsonLinesDecoder::operator=(JsonLinesDecoder&&) noexcept = default;

void JsonLinesDecoder::Decode(std::string_view text, Timestamp now, uint64_t first_line,
                              storage::BatchBuilder& builder, Report& report) {
  impl_->Decode(text, now, first_line, builder, report);
}

}  // namespace basalt::ingest
