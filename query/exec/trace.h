// query/exec/trace.h -- what each operator of a plan took, for stats=all.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/base/clock.h"
#include "query/exec/context.h"
#include "query/operator_stats.h"
#include "query/plan/plan.h"

namespace basalt::query::exec {

// One per query that is traced. One thread: the one that walks the plan.
class Trace {
 public:
  // All must outlive it.
  Trace(const plan::Node& plan, const Clock& clock, Counters& counters);

  // Measures one evaluation of `node`, from its making to Done (or its end, after an error).
  class Span {
   public:
    Span(Trace* trace, const plan::Node& node);  // null: measures nothing
    ~Span() { Done(0); }
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;
    void Done(uint64_t series);

   private:
    Trace* trace_;
    size_t line_ = 0;
    std::chrono::nanoseconds begun_{0};
    uint64_t samples_read_ = 0;
    uint64_t rows_summarized_ = 0;
    uint64_t blocks_opened_ = 0;
  };

  // In the plan's order, an operator before its operands.
  [[nodiscard]] std::vector<OperatorStats> Finish() &&;

 private:
  const Clock& clock_;
  Counters& counters_;
  std::vector<OperatorStats> lines_;
  std::unordered_map<const plan::Node*, size_t> line_of_;
};

}  // namespace basalt::query::exec
