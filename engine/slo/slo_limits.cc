#include "engine/slo/slo_limits.h"

#include <algorithm>
#include <string>

namespace basalt::slo {
namespace {

// True if `slo` asks for more measures than fit beside `measures`, to which its own are added.
bool ExceedsMeasures(const Definition& slo, std::vector<Measure>& measures) {
  for (const std::vector<LinearTerm>* terms : {&slo.sli.bad, &slo.sli.total}) {
    for (const LinearTerm& term : *terms) {
      if (std::find(measures.begin(), measures.end(), term.measure) != measures.end()) continue;
      if (measures.size() == kMaxMeasures) return true;
      measures.push_back(term.measure);
    }
  }
  return false;
}

}  // namespace

std::optional<Problem> FirstBeyond(const std::vector<Definition>& definitions, size_t max_slos) {
  if (definitions.size() > max_slos) {
    const Definition& slo = definitions[max_slos];
    return Problem{
        true,
        slo.file,
        slo.line,
        1,
        "",
        "the SLO \"" + slo.id + "\" is one more than the " + std::to_string(max_slos) +
            " that one server evaluates (slo.max_slos), of " + std::to_string(definitions.size()) +
            " in all. Raise it, make SLOs that differ only in a label one with `by (label)`, or "
            "give each of several servers a part of them"};
  }
  std::vector<Measure> measures{Measure{}};  // as TapIndex, whether anybody asks for it or not
  for (const Definition& slo : definitions) {
    if (!ExceedsMeasures(slo, measures)) continue;
    return Problem{true,
                   slo.file,
                   slo.line,
                   1,
                   "",
                   "with the SLO \"" + slo.id + "\", those loaded together have more than " +
                       std::to_string(kMaxMeasures) +
                       " measures: each threshold of native histograms that differs from the "
                       "others is one. Give SLOs the same thresholds, or leave some out"};
  }
  return std::nullopt;
}

}  // namespace basalt::slo
