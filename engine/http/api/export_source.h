// engine/http/api/export_source.h -- where /api/v1/export gets its bytes from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "storage/reader.h"

namespace basalt::http::api {

struct ExportQuery {
  std::shared_ptr<const storage::Snapshot> snapshot;
  TenantId tenant = kDefaultTenant;
  std::vector<storage::MatcherSet> any_of;
  storage::TimeRange range;
  bool native = false;  // otherwise lines of JSON
  std::string cursor;   // where to go on; empty: from the beginning
};

// One thread at a time.
class ExportStream {
 public:
  virtual ~ExportStream() = default;
  // Appends to `out` until it has about `bytes`. False: that was the end.
  virtual Result<bool> Next(size_t bytes, std::string& out) = 0;
  // Where to go on after what was given; empty after the end.
  [[nodiscard]] virtual std::string cursor() const = 0;
  [[nodiscard]] virtual uint64_t series() const = 0;   // given so far
  [[nodiscard]] virtual uint64_t samples() const = 0;  // likewise
};

// kInvalidArgument: the cursor, or a regular expression.
using OpenExport = std::function<Result<std::unique_ptr<ExportStream>>(ExportQuery)>;

}  // namespace basalt::http::api
