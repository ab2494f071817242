// info(): adds the labels of info metrics (target_info by default) to the series that they
// describe.
#include <re2/re2.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/base/regex_syntax.h"
#include "query/exec/assemble.h"
#include "query/exec/evaluator.h"
#include "query/exec/fragment.h"

namespace basalt::query::exec {
namespace {

using plan::FragmentNode;
using storage::Matcher;
using storage::MatchType;

constexpr std::string_view kTargetInfo = "target_info";
// An info series describes the series that agree with it in these.
constexpr std::string_view kIdentifying[] = {"instance", "job"};

bool Matches(const Matcher& m, std::string_view value) {
  if (m.type == MatchType::kEqual) return value == m.value;
  if (m.type == MatchType::kNotEqual) return value != m.value;
  RE2::Options options;
  options.set_dot_nl(true);
  options.set_log_errors(false);
  const RE2 regex(SpelledForRe2(m.value), options);
  const re2::StringPiece text(value.data() == nullptr ? "" : value.data(), value.size());
  return RE2::FullMatch(text, regex) == (m.type == MatchType::kRegex);
}

bool IsPositive(const Matcher& m) {
  return m.type == MatchType::kEqual || m.type == MatchType::kRegex;
}

// Which metrics count as info metrics, given what the query says of their names.
std::vector<Matcher> NameMatchers(std::vector<Matcher> given) {
  const std::string name(kMetricName);
  if (given.empty()) return {{MatchType::kEqual, name, std::string(kTargetInfo)}};
  if (std::none_of(given.begin(), given.end(), IsPositive))
    given.insert(given.begin(), {MatchType::kRegex, name, ".+_info"});
  return given;
}

// When the info series are looked at: as the first selector of the first argument is. Depth first.
struct When {
  std::optional<int64_t> at_ms;
  int64_t offset_ms = 0;
};
std::optional<When> FindWhen(const plan::Node& node);

std::optional<When> FirstOf(const std::vector<const plan::Node*>& nodes) {
  for (const plan::Node* node : nodes) {
    if (node == nullptr) continue;
    if (auto when = FindWhen(*node)) return when;
  }
  return std::nullopt;
}

std::optional<When> InSubquery(const plan::SubqueryNode& s) {
  auto when = FindWhen(*s.expr);
  // Offsets add up until an @ anchors them.
  if (when.has_value() && !when->at_ms.has_value()) {
    when->offset_ms += s.offset_ms;
    when->at_ms = s.at_ms;
  }
  return when;
}

std::optional<When> FindWhen(const plan::Node& node) {
  if (const auto* n = node.As<FragmentNode>())
    return When{n->fragment.selector.at_ms, n->fragment.selector.offset_ms};
  if (const auto* n = node.As<plan::SubqueryNode>()) return InSubquery(*n);
  if (const auto* n = node.As<plan::SubqueryCallNode>()) return InSubquery(n->subquery);
  if (const auto* n = node.As<plan::CallNode>()) {
    std::vector<const plan::Node*> args;
    for (const plan::NodePtr& arg : n->args) args.push_back(arg.get());
    return FirstOf(args);
  }
  if (const auto* n = node.As<plan::AggregateNode>())
    return FirstOf({n->expr.get(), n->parameter.get()});
  if (const auto* n = node.As<plan::BinaryNode>()) return FirstOf({n->lhs.get(), n->rhs.get()});
  if (const auto* n = node.As<plan::NegateNode>()) return FindWhen(*n->expr);
  if (const auto* n = node.As<plan::StepInvariantNode>()) return FindWhen(*n->expr);
  return std::nullopt;
}

// Name, instance and job.
using Signature = std::tuple<std::string, std::string, std::string>;
Signature SignatureOf(std::string name, const RowLabels& labels) {
  return {std::move(name), std::string(labels.Get(kIdentifying[0])),
          std::string(labels.Get(kIdentifying[1]))};
}

class Enricher {
 public:
  // Cells of `info` are the times of the samples that stand there.
  Enricher(const Matrix& base, const Matrix& info, std::vector<uint8_t> ignored,
           std::vector<Matcher> data_matchers)
      : base_(base),
        info_(info),
        ignored_(std::move(ignored)),
        data_matchers_(std::move(data_matchers)) {
    for (uint32_t i = 0; i < info.size(); ++i) {
      std::string name(info.rows()[i].labels.metric_name());
      names_.insert(name);
      by_signature_[SignatureOf(std::move(name), info.rows()[i].labels)].push_back(i);
    }
    for (const Matcher& m : data_matchers_) data_names_.insert(m.name);
    requires_info_ = std::any_of(data_matchers_.begin(), data_matchers_.end(),
                                 [](const Matcher& m) { return !Matches(m, ""); });
  }

  Result<Matrix> Run() {
    RowCollector out(base_.grid());
    for (size_t step = 0; step < base_.steps(); ++step) BASALT_TRY(Step(step, out));
    return out.Finish();
  }

 private:
  Status Step(size_t step, RowCollector& out) {
    const bool any = std::any_of(base_.rows().begin(), base_.rows().end(), [&](const Row& row) {
      return base_.kind(row, step) != CellKind::kAbsent;
    });
    if (!any) return OkStatus();
    std::map<Signature, uint32_t> newest;
    for (const auto& [signature, rows] : by_signature_) {
      std::optional<uint32_t> best;
      for (const uint32_t i : rows) {
        const Row& row = info_.rows()[i];
        if (info_.kind(row, step) != CellKind::kFloat) continue;
        if (best.has_value()) {
          const double mine = info_.value(row, step);
          const double theirs = info_.value(info_.rows()[*best], step);
          if (mine == theirs) return Duplicate(info_.rows()[*best], row, mine);
          if (mine < theirs) continue;
        }
        best = i;
      }
      if (best.has_value()) newest[signature] = *best;
    }
    for (size_t b = 0; b < base_.size(); ++b) {
      const Row& row = base_.rows()[b];
      Cell cell = base_.cell(row, step);
      if (!cell.present()) continue;
      Labels labels = row.labels.ToLabels();
      if (ignored_[b] == 0) {
        BASALT_TRY_ASSIGN(const bool keep, Enrich(row, newest, labels));
        if (!keep) continue;
      }
      BASALT_TRY(out.Put(labels, row.drop_name, step, std::move(cell)));
    }
    return OkStatus();
  }

  static Status Duplicate(const Row& existing, const Row& added, double seconds) {
    const std::string time = std::to_string(static_cast<int64_t>(seconds * 1000));
    return FailedPrecondition("found duplicate series for info metric: existing " +
                              BracedText(existing.labels.ToLabels()) + " @ " + time + ", new " +
                              BracedText(added.labels.ToLabels()) + " @ " + time);
  }

  // Adds labels to `labels`. False if the series is to be left out.
  Result<bool> Enrich(const Row& row, const std::map<Signature, uint32_t>& newest,
                      Labels& labels) const {
    Labels added;
    bool found = false;
    for (const std::string& name : names_) {
      const auto it = newest.find(SignatureOf(name, row.labels));
      if (it == newest.end()) continue;
      found = true;
      for (const Label& l : info_.rows()[it->second].labels.ToLabels()) {
        if (l.name == kMetricName) continue;
        if (!data_names_.empty() && !data_names_.contains(l.name)) continue;
        const std::string_view before = added.Get(l.name);
        if (!before.empty() && before != l.value)
          return FailedPrecondition("conflicting label: " + l.name);
        if (!labels.Has(l.name)) added.Set(l.name, l.value);
      }
    }
    if (!found && requires_info_) return false;
    for (const Label& l : added) labels.Set(l.name, l.value);
    return true;
  }

  const Matrix& base_;
  const Matrix& info_;
  std::vector<uint8_t> ignored_;  // rows of base that are info series themselves
  std::vector<Matcher> data_matchers_;
  std::set<std::string> data_names_;
  bool requires_info_ = false;
  std::set<std::string> names_;
  std::map<Signature, std::vector<uint32_t>> by_signature_;
};

}  // namespace

Result<Matrix> Evaluator::Info(const plan::CallNode& node, const plan::Grid& grid) {
  BASALT_TRY_ASSIGN(const Matrix base, Evaluate(*node.args[0], grid));
  std::vector<Matcher> names;
  std::vector<Matcher> data;
  if (node.args.size() > 1) {
    for (const Matcher& m : node.args[1]->As<FragmentNode>()->fragment.selector.matchers) {
      (m.name == kMetricName ? names : data).push_back(m);
    }
  }
  names = NameMatchers(std::move(names));

  std::vector<uint8_t> ignored(base.size());
  std::set<std::string> values[2];
  for (size_t i = 0; i < base.size(); ++i) {
    const RowLabels& labels = base.rows()[i].labels;
    const std::string_view name = labels.metric_name();
    ignored[i] =
        std::all_of(names.begin(), names.end(), [&](const Matcher& m) { return Matches(m, name); })
            ? 1
            : 0;
    if (ignored[i] != 0) continue;
    for (size_t k = 0; k < 2; ++k) {
      if (const std::string_view value = labels.Get(kIdentifying[k]); !value.empty())
        values[k].emplace(value);
    }
  }
  Matrix info(grid);
  if (!values[0].empty() || !values[1].empty()) {
    plan::FragmentPlan fragment;
    const When when = FindWhen(*node.args[0]).value_or(When{});
    fragment.selector.at_ms = when.at_ms;
    fragment.selector.offset_ms = when.offset_ms;
    for (size_t k = 0; k < 2; ++k) {
      if (values[k].empty()) continue;
      std::string regex;
      for (const std::string& value : values[k])
        regex += (regex.empty() ? "" : "|") + RE2::QuoteMeta(value);
      fragment.selector.matchers.push_back(
          {MatchType::kRegex, std::string(kIdentifying[k]), std::move(regex)});
    }
    fragment.selector.matchers.insert(fragment.selector.matchers.end(), data.begin(), data.end());
    fragment.selector.matchers.insert(fragment.selector.matchers.end(), names.begin(), names.end());
    const plan::FragmentInput input{
        .grid = grid, .lookback_ms = context_.lookback_ms(), .arguments = {}};
    BASALT_TRY_ASSIGN(const Matrix info_values,
                      RunFragments(context_, fragment, {}, input, annotations_));
    for (const Row& row : info_values.rows()) {
      for (const CellKind kind : info_values.kinds(row)) {
        if (kind != CellKind::kHistogram) continue;
        return FailedPrecondition("this should be an info metric, with float samples: " +
                                  BracedText(row.labels.ToLabels()));
      }
    }
    // The time of each info sample decides between two that describe the same series. They are
    // counted already.
    const uint64_t counted = context_.counters().samples.load(std::memory_order_relaxed);
    fragment.function = plan::FunctionId::kTimestamp;
    BASALT_TRY_ASSIGN(info, RunFragments(context_, fragment, {}, input, annotations_));
    context_.counters().samples.store(counted, std::memory_order_relaxed);
  }
  return Enricher(base, info, std::move(ignored), std::move(data)).Run();
}

}  // namespace basalt::query::exec
