#include "tools/export_stream.h"

#include <string>
#include <utility>

#include "engine/ingest/exporter.h"

namespace basalt::cli {
namespace {

class Stream final : public http::api::ExportStream {
 public:
  explicit Stream(std::unique_ptr<ingest::Exporter> exporter) : exporter_(std::move(exporter)) {}
  Result<bool> Next(size_t bytes, std::string& out) override { return exporter_->Next(bytes, out); }
  [[nodiscard]] std::string cursor() const override {
    const auto cursor = exporter_->cursor();
    return cursor.has_value() ? ingest::FormatCursor(*cursor) : std::string();
  }
  [[nodiscard]] uint64_t series() const override { return exporter_->series(); }
  [[nodiscard]] uint64_t samples() const override { return exporter_->samples(); }

 private:
  std::unique_ptr<ingest::Exporter> exporter_;
};

}  // namespace

Result<std::unique_ptr<http::api::ExportStream>> OpenExport(http::api::ExportQuery query) {
  ingest::ExportRequest request;
  if (!query.cursor.empty()) {
    BASALT_TRY_ASSIGN(request.from, ingest::ParseCursor(query.cursor));
  }
  request.snapshot = std::move(query.snapshot);
  request.tenant = query.tenant;
  request.any_of = std::move(query.any_of);
  request.range = query.range;
  request.format = query.native ? ingest::ExportFormat::kNative : ingest::ExportFormat::kJsonLines;
  BASALT_TRY_ASSIGN(auto exporter, ingest::Exporter::Open(std::move(request)));
  return std::unique_ptr<http::api::ExportStream>(std::make_unique<Stream>(std::move(exporter)));
}

}  // namespace basalt::cli
