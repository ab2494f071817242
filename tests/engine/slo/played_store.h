// tests/engine/slo/played_store.h -- what a play (outage.h) writes to: a store in memory, or a real
// one behind the real write path.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/slo/sample_store.h"

namespace basalt::slo {

// One thread. A sample is visible when Write returns.
class PlayedStore {
 public:
  virtual ~PlayedStore() = default;
  virtual Status Write(const Labels& labels, int64_t t_ms, double value, int64_t start_ms) = 0;
  // The samples of one series in [from_ms, to_ms].
  virtual Status Delete(const Labels& labels, int64_t from_ms, int64_t to_ms) = 0;
  // The series leaves memory, where a store can be made to.
  virtual Status Forget(const Labels& labels) = 0;
  // The clock has moved: background work that is due.
  virtual Status Tick() { return OkStatus(); }
  // The process ends, one way or another, and the next one opens what is there. No evaluator is
  // alive meanwhile, and samples() is another one afterwards.
  virtual Status Restart() { return OkStatus(); }
  virtual SampleStore& samples() = 0;
};

}  // namespace basalt::slo
