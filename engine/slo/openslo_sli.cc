#include "engine/slo/openslo_sli.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <utility>

#include "engine/slo/slo_builder.h"

namespace basalt::slo {
namespace {

// Slices shorter than samples are apart are empty; longer than a day is not a slice of a budget.
constexpr Duration kMinSlice = std::chrono::seconds(4);
constexpr Duration kMaxSlice = std::chrono::hours(24);

class SliReader {
 public:
  SliReader(YamlChecker& yaml, const Place& at, const Fields& objective, OpenSloMethod method,
            Definition& slo)
      : yaml_(yaml), at_(at), objective_(objective), method_(method), slo_(slo) {}

  void Read(const Place& indicator) {
    const Fields kinds =
        yaml_.FieldsOf(indicator, {"description", "thresholdMetric", "ratioMetric"});
    if (kinds.contains("thresholdMetric") == kinds.contains("ratioMetric")) {
      return yaml_.Error(indicator, "needs one of `ratioMetric` and `thresholdMetric`");
    }
    const int errors_before = yaml_.errors();
    Slices();
    if (yaml_.errors() != errors_before) return;
    if (kinds.contains("thresholdMetric")) return Threshold(kinds.at("thresholdMetric"));
    Ratio(kinds.at("ratioMetric"));
  }

 private:
  [[nodiscard]] bool by_slices() const { return method_ != OpenSloMethod::kOccurrences; }

  void Slices() {
    if (!by_slices()) return;
    const bool has_target = objective_.contains("timeSliceTarget");
    if (method_ == OpenSloMethod::kTimeslices && !has_target) {
      yaml_.Error(at_, "lacks `timeSliceTarget`: what makes a slice good under Timeslices");
    }
    if (const auto target = yaml_.Number(objective_, "timeSliceTarget")) {
      if (Less(Fraction{1, 1}, *target)) {
        yaml_.Error(objective_.at("timeSliceTarget"), "is above 1: it is a share such as 0.95");
      }
      polled_.slice_target = *target;
    }
    const std::string text = yaml_.RequiredText(at_, objective_, "timeSliceWindow");
    if (text.empty()) return;
    int64_t minutes = 0;  // a bare number
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), minutes);
    if (error == std::errc() && end == text.data() + text.size()) {
      polled_.slice = Duration(std::clamp<int64_t>(minutes, 0, 10'000) * 60'000);
    } else if (const auto length = yaml_.Length(objective_, "timeSliceWindow")) {
      polled_.slice = *length;
    } else {
      return;
    }
    if (polled_.slice < kMinSlice || polled_.slice > kMaxSlice ||
        polled_.slice % std::chrono::seconds(4) != Duration(0)) {
      yaml_.Error(objective_.at("timeSliceWindow"),
                  "\"" + text + "\" is not a slice from 4s to 1d in steps of 4s");
    }
    polled_.slice_budget = method_ == OpenSloMethod::kTimeslices ? PolledSli::SliceBudget::kTarget
                                                                 : PolledSli::SliceBudget::kMean;
    polled_.why = method_ == OpenSloMethod::kTimeslices ? "Timeslices judges each slice as a whole"
                                                        : "RatioTimeslices counts each slice alike";
  }

  // The query under parent.key.metricSource.spec; empty after an error.
  PlacedQuery Query(const Place& parent, const Fields& fields, const char* key) {
    const auto it = fields.find(key);
    if (it == fields.end()) {
      yaml_.Error(parent, std::string("lacks `") + key + "`, which is required");
      return {parent, ""};
    }
    const Fields metric = yaml_.FieldsOf(it->second, {"metricSource"});
    const auto source = metric.find("metricSource");
    if (source == metric.end()) {
      yaml_.Error(it->second, "lacks `metricSource`, which is required");
      return {parent, ""};
    }
    const Fields own = yaml_.FieldsOf(source->second, {"metricSourceRef", "type", "spec"});
    const std::string type = yaml_.Text(own, "type");
    const auto spec = own.find("spec");
    if (spec == own.end() || !spec->second.node.IsMap()) {
      yaml_.Error(source->second, "lacks `spec` with the query");
      return {parent, ""};
    }
    for (const char* name : {"promql", "query"}) {
      const YAML::Node query = spec->second.node[name];
      if (!query.IsDefined() || !query.IsScalar()) continue;
      const Place at = spec->second.Child(name, query);
      if (!type.empty() && type != "Prometheus" && type != "prometheus") {
        if (!ReadPolledQuery(query.Scalar()).ok()) {
          yaml_.Error(at, "is a query of \"" + type +
                              "\": only PromQL can be asked here, so write it in PromQL with "
                              "type: Prometheus");
          return {parent, ""};
        }
        yaml_.Warn(own.at("type"),
                   "\"" + type + "\" is not Prometheus: its query is read as PromQL");
      }
      return {at, query.Scalar()};
    }
    yaml_.Error(spec->second, "has no `query` in PromQL" +
                                  (type.empty() ? "" : ": \"" + type + "\" cannot be asked here"));
    return {parent, ""};
  }

  void Threshold(const Place& at) {
    // Its place is one level higher than a ratio's parts.
    const Fields fields{{"thresholdMetric", at}};
    const PlacedQuery value = Query(at, fields, "thresholdMetric");
    polled_.kind = PolledSli::Kind::kThreshold;
    const std::string op = yaml_.RequiredText(at_, objective_, "op");
    const std::string bound = yaml_.RequiredText(at_, objective_, "value");
    if (value.text.empty() || op.empty() || bound.empty()) return;
    constexpr std::array<std::pair<std::string_view, Comparison>, 4> kOps = {
        {{"lt", Comparison::kLess},
         {"lte", Comparison::kLessOrEqual},
         {"gt", Comparison::kGreater},
         {"gte", Comparison::kGreaterOrEqual}}};
    const auto* const found =
        std::find_if(kOps.begin(), kOps.end(), [&](const auto& one) { return one.first == op; });
    if (found == kOps.end()) {
      return yaml_.Error(objective_.at("op"), "\"" + op + "\" is not lt, lte, gt or gte");
    }
    polled_.op = found->second;
    const auto [end, error] =
        std::from_chars(bound.data(), bound.data() + bound.size(), polled_.bound);
    if (error != std::errc() || end != bound.data() + bound.size()) {
      return yaml_.Error(objective_.at("value"), "\"" + bound + "\" is not a number");
    }
    if (!by_slices()) {
      polled_.slice = kDefaultSlice;
      polled_.why = "a threshold is looked at once a minute";
    }
    SetPolled(yaml_, value, {value.at, ""}, polled_, slo_);
    slo_.error_query = "not (" + value.text + " " + op + " " + bound + ")";
  }

  void Ratio(const Place& at) {
    const Fields ratio = yaml_.FieldsOf(at, {"counter", "good", "bad", "total", "raw", "rawType"});
    if (ratio.contains("raw")) return Raw(at, ratio);
    const bool has_good = ratio.contains("good");
    if (has_good == ratio.contains("bad")) {
      return yaml_.Error(at, "needs either `good` or `bad`, and `total`");
    }
    const bool is_counter = yaml_.Flag(ratio, "counter", false);
    PlacedQuery part = Query(at, ratio, has_good ? "good" : "bad");
    PlacedQuery total = Query(at, ratio, "total");
    if (part.text.empty() || total.text.empty()) return;
    part.text = OverWindow(part.text, is_counter, by_slices());
    total.text = OverWindow(total.text, is_counter, by_slices());
    if (has_good) part.text = "(" + total.text + ") - (" + part.text + ")";
    const bool over_windows = HasWindow(part.text) && HasWindow(total.text);
    if (!by_slices() && over_windows) return SetEvents(yaml_, part, total, slo_);
    polled_.kind = PolledSli::Kind::kEvents;
    if (!by_slices()) {
      polled_.slice = kDefaultSlice;
      polled_.why = "its queries have ranges of their own, without {{.window}}";
    }
    SetPolled(yaml_, part, total, polled_, slo_);
  }

  void Raw(const Place& at, const Fields& ratio) {
    const std::string type = yaml_.RequiredText(at, ratio, "rawType");
    PlacedQuery query = Query(at, ratio, "raw");
    if (type.empty() || query.text.empty()) return;
    if (type != "success" && type != "failure") {
      return yaml_.Error(ratio.at("rawType"), "\"" + type + "\" is neither success nor failure");
    }
    if (type == "success") query.text = "1 - (" + query.text + ")";
    if (!by_slices() && HasWindow(query.text)) return SetRatio(yaml_, query.at, query.text, slo_);
    polled_.kind = PolledSli::Kind::kRatio;
    if (!by_slices()) {
      polled_.slice = kDefaultSlice;
      polled_.why = "its query has no {{.window}}: each minute counts alike";
    }
    SetPolled(yaml_, query, {query.at, ""}, polled_, slo_);
  }

  YamlChecker& yaml_;
  const Place& at_;
  const Fields& objective_;
  const OpenSloMethod method_;
  Definition& slo_;
  PolledSli polled_;
};

}  // namespace

OpenSloMethod MethodOf(YamlChecker& yaml, const Place& at, const Fields& spec) {
  const std::string method = yaml.RequiredText(at, spec, "budgetingMethod");
  if (method == "Timeslices") return OpenSloMethod::kTimeslices;
  if (method == "RatioTimeslices") return OpenSloMethod::kRatioTimeslices;
  if (!method.empty() && method != "Occurrences") {
    yaml.Error(spec.at("budgetingMethod"),
               "\"" + method + "\" is not Occurrences, Timeslices or RatioTimeslices");
  }
  return OpenSloMethod::kOccurrences;
}

void SetOpenSloSli(YamlChecker& checker, const Place& indicator, const Place& at,
                   const Fields& objective, OpenSloMethod method, Definition& slo) {
  SliReader(checker, at, objective, method, slo).Read(indicator);
}

}  // namespace basalt::slo
