// /api/v1/export: stored series in a form that /api/v1/import takes, all at once or page by page.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "engine/base/log.h"
#include "engine/http/api/endpoint.h"
#include "engine/http/api/params.h"

namespace basalt::http::api {
namespace {

// Of one page; it is made in memory before its first byte goes out.
constexpr size_t kMinPageBytes = 64u << 10;
constexpr size_t kMaxPageBytes = 64u << 20;

constexpr std::string_view kNextCursorHeader = "X-Basalt-Next-Cursor";
constexpr std::string_view kSeriesHeader = "X-Basalt-Series";
constexpr std::string_view kSamplesHeader = "X-Basalt-Samples";

// As long as the client takes it. An error in the middle cuts the connection.
class ExportBody final : public BodySource {
 public:
  explicit ExportBody(std::unique_ptr<ExportStream> stream) : stream_(std::move(stream)) {}
  More Next(std::string& piece) override {
    const Result<bool> more = stream_->Next(kPieceBytes, piece);
    if (more.ok()) return *more ? More::kMore : More::kDone;
    BASALT_LOG(kError, "an export is cut short", {"error", more.status().ToString()});
    return More::kAbort;
  }

 private:
  std::unique_ptr<ExportStream> stream_;
};

Result<ExportQuery> ParseQuery(const Call& call) {
  ExportQuery query;
  const std::string_view format = call.form.Get("format");
  if (!format.empty() && format != "json" && format != "native") {
    return InvalidArgument("invalid parameter \"format\": \"" + std::string(format) +
                           "\" is neither json nor native");
  }
  query.native = format == "native";
  query.tenant = call.tenant;
  query.cursor = call.form.Get("cursor");
  BASALT_TRY_ASSIGN(const Timestamp start, call.TimeParam("start", kMinTime));
  BASALT_TRY_ASSIGN(const Timestamp end, call.TimeParam("end", kMaxTime));
  query.range = {ToMs(start), ToMs(end)};
  BASALT_TRY_ASSIGN(query.any_of, ParseMatchers(call.form.All("match[]")));
  if (query.any_of.empty()) return InvalidArgument("no match[] parameter provided");
  BASALT_TRY_ASSIGN(query.snapshot, call.TakeSnapshot());
  return query;
}

Result<Response> MakePage(ExportStream& stream, size_t bytes, Response head) {
  BASALT_TRY(stream.Next(bytes, head.body).status());
  if (const std::string cursor = stream.cursor(); !cursor.empty())
    head.headers.emplace_back(kNextCursorHeader, cursor);
  head.headers.emplace_back(kSeriesHeader, std::to_string(stream.series()));
  head.headers.emplace_back(kSamplesHeader, std::to_string(stream.samples()));
  return head;
}

void Export(Call& call, ResponseWriter writer) {
  const auto fail = [&writer](const Status& status) {
    Deliver(FailWith(status), std::move(writer));
  };
  Result<ExportQuery> query = ParseQuery(call);
  if (!query.ok()) return fail(query.status());
  Response head;
  head.content_type = query->native ? "application/octet-stream" : "application/x-ndjson";
  const std::string_view page = call.form.Get("max_bytes");
  size_t page_bytes = 0;
  if (!page.empty()) {
    const Result<size_t> parsed = ParseLimit(page);
    if (!parsed.ok()) return fail(parsed.status().WithContext("invalid parameter \"max_bytes\""));
    page_bytes = std::clamp(*parsed, kMinPageBytes, kMaxPageBytes);
  }
  auto stream = call.context.open_export(*std::move(query));
  if (!stream.ok()) return fail(stream.status());
  if (page_bytes == 0)
    return writer.Stream(std::move(head), std::make_unique<ExportBody>(*std::move(stream)));
  Result<Response> response = MakePage(**stream, page_bytes, std::move(head));
  if (!response.ok()) return fail(response.status());
  writer.Send(*std::move(response));
}

}  // namespace

void RegisterExport(const SharedContext& context, Router& router) {
  if (context->open_export == nullptr) return;
  AddRawEndpoint(context, router, {Method::kGet, Method::kPost}, "/api/v1/export", Export);
}

}  // namespace basalt::http::api
