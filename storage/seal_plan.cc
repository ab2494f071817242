#include "storage/seal_plan.h"

#include <algorithm>

namespace basalt::storage {
namespace {

// How full the rows of a partition are before its first seal.
uint64_t PhaseSamples(size_t partition, size_t partitions, uint32_t seal_samples) {
  const uint64_t samples = uint64_t{seal_samples} * (partition + 1) / partitions;
  return std::max<uint64_t>(samples, seal_samples / kShortestPhase);
}

std::optional<SealOrder> ForHeadBudget(std::span<const PartitionFill> partitions,
                                       const SealLimits& limits) {
  uint64_t all = 0;
  size_t largest = 0;
  for (size_t p = 0; p < partitions.size(); ++p) {
    all += partitions[p].head.sample_bytes;
    if (partitions[p].head.sample_bytes > partitions[largest].head.sample_bytes) largest = p;
  }
  if (all <= limits.head_budget_bytes ||
      partitions[largest].head.sample_bytes < limits.head_budget_bytes / kLeastRelief ||
      partitions[largest].head.samples == 0) {
    return std::nullopt;
  }
  return SealOrder{
      .partition = largest, .wish = {.everything = true}, .reason = SealReason::kHeadBudget};
}

std::optional<SealOrder> ForLogBudget(std::span<const PartitionFill> partitions, const LogFill& log,
                                      const SealLimits& limits) {
  if (log.bytes <= limits.log_budget_bytes || log.segments <= 1) return std::nullopt;
  // The older half, so that rows of the newer half may still fill.
  const uint64_t half =
      log.first_seq + (log.head_seq + 1 - std::min(log.first_seq, log.head_seq + 1)) / 2;
  std::optional<size_t> oldest;
  for (size_t p = 0; p < partitions.size(); ++p) {
    const auto& seq = partitions[p].oldest_seq;
    if (seq.has_value() && *seq <= half &&
        (!oldest.has_value() || *seq < *partitions[*oldest].oldest_seq)) {
      oldest = p;
    }
  }
  if (!oldest.has_value()) return std::nullopt;
  return SealOrder{
      .partition = *oldest,
      .wish = {.everything = false, .full = true, .full_layers = 1, .older_than_seq = half + 1},
      .reason = SealReason::kLogBudget};
}

}  // namespace

std::string_view SealReasonName(SealReason reason) {
  switch (reason) {
    case SealReason::kHeadBudget:
      return "head budget";
    case SealReason::kLogBudget:
      return "log budget";
    case SealReason::kAge:
      return "age";
    case SealReason::kFull:
      return "full rows";
    case SealReason::kPhase:
      return "phase";
  }
  return "";
}

uint32_t FullLayers(std::span<const PartitionFill> partitions, const SealLimits& limits) {
  uint64_t series = 0;
  for (const PartitionFill& fill : partitions) series += fill.head.filled_series;
  const uint64_t of_a_layer =
      std::max<uint64_t>(series, 1) * std::max<uint32_t>(limits.seal_samples, 1);
  return static_cast<uint32_t>(
      std::clamp<uint64_t>(limits.head_samples / of_a_layer, 1, kMostFullLayers));
}

std::optional<SealOrder> NextSeal(std::span<const PartitionFill> partitions, const LogFill& log,
                                  const SealLimits& limits) {
  if (auto order = ForHeadBudget(partitions, limits); order.has_value()) return order;
  const uint32_t full_layers = FullLayers(partitions, limits);
  if (auto order = ForLogBudget(partitions, log, limits); order.has_value()) {
    order->wish.full_layers = full_layers;
    return order;
  }
  for (size_t p = 0; p < partitions.size(); ++p) {
    const PartitionFill& fill = partitions[p];
    if (log.old_seq > 0 && fill.oldest_seq.has_value() && *fill.oldest_seq <= log.old_seq) {
      return SealOrder{.partition = p,
                       .wish = {.everything = false,
                                .full = false,
                                .full_layers = 1,
                                .older_than_seq = std::max(log.old_seq, log.nearly_old_seq) + 1},
                       .reason = SealReason::kAge};
    }
    const uint64_t groups_full = fill.head.groups_full[full_layers - 1];
    if (groups_full > 0 && (fill.patience_over || groups_full * 2 >= fill.head.groups_filled)) {
      return SealOrder{.partition = p,
                       .wish = {.everything = false,
                                .full = true,
                                .full_layers = full_layers,
                                .older_than_seq = 0},
                       .reason = SealReason::kFull};
    }
    const uint64_t phase = PhaseSamples(p, partitions.size(), limits.seal_samples);
    if (full_layers == 1 && !fill.phased && limits.seal_samples >= kMinPhasedSamples &&
        phase < limits.seal_samples && fill.head.filled_series > 0 &&
        fill.head.samples >= phase * fill.head.filled_series) {
      return SealOrder{.partition = p, .wish = {.everything = true}, .reason = SealReason::kPhase};
    }
  }
  return std::nullopt;
}

}  // namespace basalt::storage
