#include "query/exec/trace.h"

#include <algorithm>
#include <utility>

#include "query/plan/describe.h"

namespace basalt::query::exec {

Trace::Trace(const plan::Node& plan, const Clock& clock, Counters& counters)
    : clock_(clock), counters_(counters) {
  for (plan::PlanLine& line : plan::Describe(plan)) {
    if (line.node != nullptr) line_of_.emplace(line.node, lines_.size());
    OperatorStats& stats = lines_.emplace_back();
    stats.depth = static_cast<uint32_t>(line.depth);
    stats.text = std::move(line.text);
  }
}

Trace::Span::Span(Trace* trace, const plan::Node& node) : trace_(trace) {
  if (trace_ == nullptr) return;
  const auto line = trace_->line_of_.find(&node);
  if (line == trace_->line_of_.end()) {
    trace_ = nullptr;
    return;
  }
  line_ = line->second;
  begun_ = trace_->clock_.Monotonic();
  samples_read_ = trace_->counters_.samples_read.load(std::memory_order_relaxed);
  rows_summarized_ = trace_->counters_.rows_summarized.load(std::memory_order_relaxed);
  blocks_opened_ = trace_->counters_.blocks_opened.load(std::memory_order_relaxed);
}

void Trace::Span::Done(uint64_t series) {
  if (trace_ == nullptr) return;
  const Counters& counters = trace_->counters_;
  OperatorStats& stats = trace_->lines_[line_];
  stats.total += trace_->clock_.Monotonic() - begun_;
  stats.series += series;
  stats.samples_read += counters.samples_read.load(std::memory_order_relaxed) - samples_read_;
  stats.rows_summarized +=
      counters.rows_summarized.load(std::memory_order_relaxed) - rows_summarized_;
  stats.blocks_opened += counters.blocks_opened.load(std::memory_order_relaxed) - blocks_opened_;
  trace_ = nullptr;
}

std::vector<OperatorStats> Trace::Finish() && {
  // From the last line up, so that operands are complete before what is above them.
  for (size_t i = lines_.size(); i-- > 0;) {
    OperatorStats& stats = lines_[i];
    std::chrono::nanoseconds operands{0};
    for (size_t k = i + 1; k < lines_.size() && lines_[k].depth > stats.depth; ++k) {
      if (lines_[k].depth == stats.depth + 1) operands += lines_[k].total;
    }
    // A subquery is evaluated by what is above it: it is the sum of what is below.
    if (stats.total.count() == 0) stats.total = operands;
    stats.own = std::max(stats.total - operands, std::chrono::nanoseconds(0));
  }
  return std::move(lines_);
}

}  // namespace basalt::query::exec
