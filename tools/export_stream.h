// tools/export_stream.h -- ingest's Exporter as the source of /api/v1/export.
#pragma once

#include <memory>

#include "engine/base/status.h"
#include "engine/http/api/export_source.h"

namespace basalt::cli {

// An http::api::OpenExport.
Result<std::unique_ptr<http::api::ExportStream>> OpenExport(http::api::ExportQuery query);

}  // namespace basalt::cli
