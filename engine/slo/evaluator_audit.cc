// The background audit: random slots are recomputed from stored samples, and have to agree.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/slo/evaluator.h"
#include "engine/slo/message.h"

namespace basalt::slo {

void Evaluator::Audit(size_t slots) {
  const MutexLock lock(mu_);
  if (set_ != nullptr) AuditSlots(slots);
}

void Evaluator::AuditSlots(size_t slots) {
  // A late sample may be in storage already and not have reached the sweep. So a slot is only
  // suspected at first, and looked at again after the next sweep.
  for (const SlotName& name : std::exchange(suspects_, {})) AuditSlot(name, true);
  for (size_t i = 0; i < slots; ++i) {
    const auto name = set_->PickSlot(random_());
    if (name.has_value()) AuditSlot(*name, false);
  }
  set_->DropSnapshot();
}

void Evaluator::AuditSlot(const SlotName& name, bool is_suspect) {
  const Audited audited = set_->Audit(name);
  switch (audited.outcome) {
    case Audited::Outcome::kSkipped:
      ++stats_.audit_skipped;
      return;
    case Audited::Outcome::kAgrees:
      ++stats_.audited_slots;
      return;
    case Audited::Outcome::kDiffers:
      break;
  }
  if (!is_suspect) {
    suspects_.push_back(name);
    return;
  }
  ++stats_.audited_slots;
  ++stats_.audit_mismatches;
  const SloGroup& group = set_->group(name.group);
  const Definition& definition = set_->definitions()[group.slo];
  std::string labels;
  for (const Label& label : GroupLabels(definition, group.values)) {
    labels += " " + label.name + "=" + label.value;
  }
  const auto counts = [&](const Counts& c) {
    return FormatNumber(Events(c.bad, definition.sli.scale)) + " of " +
           FormatNumber(Events(c.total, definition.sli.scale));
  };
  const int64_t slot_ms = set_->slots().layout(name.group).levels()[name.level].slot_ms;
  stats_.audit_last_mismatch =
      definition.id + labels + ": the " + FormatDuration(Duration(slot_ms)) + " after " +
      std::to_string(name.slot * slot_ms) + " ms hold " + counts(audited.booked) +
      ", stored samples say " + counts(audited.stored);
}

}  // namespace basalt::slo
