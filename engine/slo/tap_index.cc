#include "engine/slo/tap_index.h"

#include <re2/re2.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>

#include "engine/base/regex_syntax.h"
#include "engine/base/status.h"

namespace basalt::slo {
namespace {

using storage::MatchType;

std::optional<double> Number(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  if (copy.empty() || *end != '\0') return std::nullopt;
  return value;
}

bool IsNumericLe(const storage::Matcher& matcher) {
  return matcher.name == "le" && matcher.type == MatchType::kEqual &&
         Number(matcher.value).has_value();
}

std::unique_ptr<RE2> Anchored(const std::string& pattern) {
  RE2::Options options;
  options.set_dot_nl(true);
  options.set_log_errors(false);
  auto re = std::make_unique<RE2>("^(?:" + SpelledForRe2(pattern) + ")$", options);
  BASALT_CHECK(re->ok(), "the parser let a bad regular expression pass");
  return re;
}

}  // namespace

struct TapIndex::Term {
  TenantId tenant;
  Contribution contribution;
  const LinearTerm* term;
  std::vector<std::unique_ptr<RE2>> regexes;  // parallel to the matchers; null for equality
};

TapIndex::TapIndex(const std::vector<Definition>& definitions) : definitions_(definitions) {
  std::set<std::string> names = {"up"};
  const auto add = [&](SloIndex slo, const LinearTerm& linear, bool is_bad) {
    auto term = std::make_unique<Term>();
    term->tenant = definitions[slo].tenant;
    term->contribution = {slo, is_bad ? linear.coefficient : 0, is_bad ? 0 : linear.coefficient,
                          MeasureOf(linear.measure)};
    term->term = &linear;
    const std::string* name = nullptr;
    for (const storage::Matcher& matcher : linear.matchers) {
      const bool is_regex =
          matcher.type == MatchType::kRegex || matcher.type == MatchType::kNotRegex;
      term->regexes.push_back(is_regex ? Anchored(matcher.value) : nullptr);
      if (matcher.name == kMetricName && matcher.type == MatchType::kEqual) name = &matcher.value;
    }
    if (name == nullptr) {
      unnamed_.push_back(term.get());
    } else {
      by_name_[*name].push_back(term.get());
      names.insert(*name);
    }
    terms_.push_back(std::move(term));
  };
  for (SloIndex slo = 0; slo < definitions.size(); ++slo) {
    for (const LinearTerm& term : definitions[slo].sli.bad) add(slo, term, true);
    for (const LinearTerm& term : definitions[slo].sli.total) add(slo, term, false);
  }
  metric_names_.assign(names.begin(), names.end());
}

TapIndex::~TapIndex() = default;

MeasureIndex TapIndex::MeasureOf(const Measure& measure) {
  const auto it = std::find(measures_.begin(), measures_.end(), measure);
  if (it == measures_.end()) measures_.push_back(measure);
  // SLO files are refused before they have so many (slo_files.cc).
  BASALT_CHECK(measures_.size() <= kMaxMeasures, "more measures than fit");
  return static_cast<MeasureIndex>(std::find(measures_.begin(), measures_.end(), measure) -
                                   measures_.begin());
}

bool TapIndex::Matches(const Term& term, TenantId tenant, const Labels& labels) const {
  if (term.tenant != tenant) return false;
  const storage::MatcherSet& matchers = term.term->matchers;
  for (size_t i = 0; i < matchers.size(); ++i) {
    const storage::Matcher& matcher = matchers[i];
    const std::string_view value = labels.Get(matcher.name);
    bool holds = false;
    switch (matcher.type) {
      case MatchType::kEqual:
        holds = value == matcher.value ||
                (IsNumericLe(matcher) && Number(value) == Number(matcher.value));
        break;
      case MatchType::kNotEqual:
        holds = value != matcher.value;
        break;
      case MatchType::kRegex:
      case MatchType::kNotRegex:
        holds = RE2::FullMatch(re2::StringPiece(value.data(), value.size()), *term.regexes[i]) ==
                (matcher.type == MatchType::kRegex);
        break;
    }
    if (!holds) return false;
  }
  return true;
}

std::vector<Contribution> TapIndex::Match(TenantId tenant, const Labels& labels) const {
  std::vector<Contribution> found;
  const auto look = [&](const std::vector<const Term*>& terms) {
    for (const Term* term : terms) {
      if (!Matches(*term, tenant, labels)) continue;
      const auto it = std::find_if(found.begin(), found.end(), [&](const Contribution& c) {
        return c.slo == term->contribution.slo && c.measure == term->contribution.measure;
      });
      if (it == found.end()) {
        found.push_back(term->contribution);
      } else {
        it->bad += term->contribution.bad;
        it->total += term->contribution.total;
      }
    }
  };
  const std::string_view name = labels.metric_name();
  if (const auto it = by_name_.find(std::string(name)); it != by_name_.end()) look(it->second);
  look(unnamed_);
  // `a - a` counts nothing.
  std::erase_if(found, [](const Contribution& c) { return c.bad == 0 && c.total == 0; });
  std::sort(found.begin(), found.end(), [](const Contribution& a, const Contribution& b) {
    return a.measure != b.measure ? a.measure < b.measure : a.slo < b.slo;
  });
  return found;
}

std::vector<storage::MatcherSet> TapIndex::StorageSelectors(SloIndex slo) const {
  std::vector<storage::MatcherSet> selectors;
  const LinearSli& sli = definitions_[slo].sli;
  for (const auto* side : {&sli.bad, &sli.total}) {
    for (const LinearTerm& term : *side) {
      storage::MatcherSet matchers = term.matchers;
      std::erase_if(matchers, IsNumericLe);
      // Error and total often differ by a matcher only; equal selectors need one look.
      if (std::find(selectors.begin(), selectors.end(), matchers) == selectors.end()) {
        selectors.push_back(std::move(matchers));
      }
    }
  }
  return selectors;
}

}  // namespace basalt::slo
