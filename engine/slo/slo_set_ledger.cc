// Times that do not count, and how a budget went.
#include <algorithm>
#include <utility>

#include "engine/slo/message.h"
#include "engine/slo/slo_set.h"

namespace basalt::slo {

// Excluded stretches by SLO, merged for each group when asked: exclusions are few.
class SloSet::Masks final : public Excluded {
 public:
  struct Mask {
    Labels group;
    std::vector<TimeSpan> spans;
    // Groups of the SLO that it is for, of the first `looked_at` groups there are: a total has to
    // leave out what they leave out.
    mutable std::vector<GroupIndex> groups;
    mutable size_t looked_at = 0;
  };

  explicit Masks(SloSet& set) : set_(set), by_slo_(set.definitions_.size()) {}

  void Add(SloIndex slo, Mask mask) { by_slo_[slo].push_back(std::move(mask)); }
  [[nodiscard]] bool empty() const {
    return std::all_of(by_slo_.begin(), by_slo_.end(), [](const auto& m) { return m.empty(); });
  }

  [[nodiscard]] bool Any(GroupIndex g, int64_t from_ms, int64_t to_ms) const override {
    if (by_slo_[set_.groups_[g]->slo].empty()) return false;
    if (!SpansOf(g, from_ms, to_ms).empty()) return true;
    if (set_.groups_[g]->kind != SloGroup::Kind::kTotal) return false;
    const std::vector<GroupIndex> parts = PartsOf(g);
    return std::any_of(parts.begin(), parts.end(),
                       [&](GroupIndex part) { return !SpansOf(part, from_ms, to_ms).empty(); });
  }
  WindowReading Read(GroupIndex g, int64_t from_ms, int64_t to_ms) const override {
    WindowReading out;
    AddSpans(g, SpansOf(g, from_ms, to_ms), out);
    if (set_.groups_[g]->kind != SloGroup::Kind::kTotal) return out;
    for (const GroupIndex part : PartsOf(g)) {
      // What is excluded for the whole SLO has been counted above.
      const std::vector<TimeSpan> whole = SpansOf(g, from_ms, to_ms);
      AddSpans(part, Without(SpansOf(part, from_ms, to_ms), whole), out);
    }
    return out;
  }
  // Merged and clipped, in order.
  [[nodiscard]] std::vector<TimeSpan> SpansOf(GroupIndex g, int64_t from_ms, int64_t to_ms) const {
    const SloGroup& group = *set_.groups_[g];
    std::vector<TimeSpan> spans;
    for (const Mask& mask : by_slo_[group.slo]) {
      const bool is_total = group.kind == SloGroup::Kind::kTotal;
      if (!mask.group.empty() && (is_total || !IsFor(mask, group))) continue;
      for (const auto& [from, to] : mask.spans) {
        if (from < to_ms && to > from_ms) {
          spans.emplace_back(std::max(from, from_ms), std::min(to, to_ms));
        }
      }
    }
    std::sort(spans.begin(), spans.end());
    std::vector<TimeSpan> merged;
    for (const TimeSpan& span : spans) {
      if (!merged.empty() && span.first <= merged.back().second) {
        merged.back().second = std::max(merged.back().second, span.second);
      } else {
        merged.push_back(span);
      }
    }
    return merged;
  }

 private:
  [[nodiscard]] bool IsFor(const Mask& mask, const SloGroup& group) const {
    const Labels labels = GroupLabels(set_.definitions_[group.slo], group.values);
    return std::all_of(mask.group.begin(), mask.group.end(),
                       [&](const Label& label) { return labels.Get(label.name) == label.value; });
  }
  // The groups below a total that have exclusions of their own; each once.
  [[nodiscard]] std::vector<GroupIndex> PartsOf(GroupIndex total) const {
    const SloIndex slo = set_.groups_[total]->slo;
    std::vector<GroupIndex> parts;
    for (const Mask& mask : by_slo_[slo]) {
      if (mask.group.empty()) continue;
      for (; mask.looked_at < set_.groups_.size(); ++mask.looked_at) {
        const SloGroup& group = *set_.groups_[mask.looked_at];
        if (group.slo == slo && group.kind != SloGroup::Kind::kTotal && IsFor(mask, group)) {
          mask.groups.push_back(static_cast<GroupIndex>(mask.looked_at));
        }
      }
      parts.insert(parts.end(), mask.groups.begin(), mask.groups.end());
    }
    std::sort(parts.begin(), parts.end());
    parts.erase(std::unique(parts.begin(), parts.end()), parts.end());
    return parts;
  }
  void AddSpans(GroupIndex g, const std::vector<TimeSpan>& spans, WindowReading& out) const {
    for (const auto& [from, to] : spans) {
      const WindowReading since = set_.ReadSince(g, from, true);
      const WindowReading after = set_.ReadSince(g, to, true);
      out.counts += since.counts - after.counts;
      out.exact = out.exact && since.exact && after.exact;
    }
  }
  // `spans` without what lies in `taken`; both merged and in order.
  static std::vector<TimeSpan> Without(const std::vector<TimeSpan>& spans,
                                       const std::vector<TimeSpan>& taken) {
    std::vector<TimeSpan> out;
    for (const auto& [from, to] : spans) {
      int64_t at = from;
      for (const auto& [taken_from, taken_to] : taken) {
        if (taken_to <= at || taken_from >= to) continue;
        if (taken_from > at) out.emplace_back(at, taken_from);
        at = taken_to;
      }
      if (at < to) out.emplace_back(at, to);
    }
    return out;
  }

  SloSet& set_;
  std::vector<std::vector<Mask>> by_slo_;
};

SloSet::~SloSet() = default;

const Excluded* SloSet::excluded() const { return masks_.get(); }

void SloSet::SetExclusions(const std::vector<Exclusion>& exclusions) {
  const int64_t now_ms = ToMs(options_.clock->Now());
  const int64_t first_ms =
      std::min(now_ms - kReplayMs, options_.replay_from_ms.value_or(INT64_MAX));
  auto masks = std::make_shared<Masks>(*this);
  for (SloIndex slo = 0; slo < definitions_.size(); ++slo) {
    const Definition& definition = definitions_[slo];
    int64_t reach_ms = definition.period.count();
    for (const Window& window : definition.layout->windows()) {
      reach_ms = std::max(reach_ms, window.length_ms);
    }
    for (const Exclusion& exclusion : exclusions) {
      if (exclusion.removed_ms != 0) continue;
      if (!exclusion.slo.empty() && exclusion.slo != definition.id) continue;
      Masks::Mask mask{
          exclusion.group, exclusion.Within({first_ms - reach_ms, now_ms + 2 * kMsPerDay}), {}, 0};
      if (!mask.spans.empty()) masks->Add(slo, std::move(mask));
    }
  }
  masks_.reset();
  if (!masks->empty()) masks_ = std::move(masks);
  for (const auto& group : groups_) group->quiet = {};
}

std::vector<CurvePoint> SloSet::Curve(GroupIndex g, int64_t from_ms, int64_t to_ms) {
  const int64_t head_ms = slots_.head_ms(g);
  to_ms = std::min(to_ms, head_ms);
  std::vector<CurvePoint> out = SlotsBetween(g, from_ms, to_ms);
  for (CurvePoint& point : out) {
    const GroupBooking even{point.begin_ms, point.end_ms, point.counts};
    // Nothing of the newest slot lies after the head.
    const bool is_newest = point.end_ms >= to_ms && to_ms == head_ms;
    point.begin_ms = std::max(point.begin_ms, from_ms);
    point.end_ms = std::min(point.end_ms, to_ms);
    point.counts =
        BookedUpTo(even, is_newest ? even.to_ms : point.end_ms) - BookedUpTo(even, point.begin_ms);
    if (masks_ != nullptr && masks_->Any(g, point.begin_ms, point.end_ms)) {
      point.counts -= masks_->Read(g, point.begin_ms, point.end_ms).counts;
    }
  }
  return out;
}

}  // namespace basalt::slo
