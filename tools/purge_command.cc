#include "tools/purge_command.h"

#include <cstdio>
#include <string>
#include <utility>

#include "engine/http/client.h"
#include "engine/http/url.h"
#include "tools/server_call.h"

namespace basalt::cli {
namespace {

// Rewriting a large day takes its time.
constexpr Duration kTimeout = std::chrono::minutes(30);

Result<http::ClientResponse> Ask(const std::string& url, std::string_view method,
                                 const std::string& path, const std::string& form) {
  BASALT_TRY_ASSIGN(http::Url parsed, http::ParseUrl(url));
  http::Client client(std::move(parsed), {.timeout = kTimeout});
  auto sent =
      client.Send(method, path, {{"Content-Type", "application/x-www-form-urlencoded"}}, form);
  if (!sent.ok()) return sent.status().WithContext("is 'basalt serve' running? (--url says where)");
  http::ClientResponse response = std::move(sent).value();
  if (response.status / 100 != 2) return Unavailable(RefusalText(response.status, response.body));
  return response;
}

int Complain(const char* command, const Status& status) {
  std::fprintf(stderr, "basalt %s: %s\n", command, std::string(status.message()).c_str());
  return 1;
}

void AddParameter(std::string& form, std::string_view name, std::string_view value) {
  if (!form.empty()) form += '&';
  form += name;
  form += '=';
  form += http::EncodeComponent(value);
}

}  // namespace

int RunDelete(const DeleteCommandOptions& options) {
  std::string form;
  for (const std::string& selector : options.selectors) AddParameter(form, "match[]", selector);
  if (!options.start.empty()) AddParameter(form, "start", options.start);
  if (!options.end.empty()) AddParameter(form, "end", options.end);
  const auto deleted = Ask(options.url, "POST", "/api/v1/admin/tsdb/delete_series", form);
  if (!deleted.ok()) return Complain("delete", deleted.status());
  if (options.clean) {
    const auto cleaned = Ask(options.url, "POST", "/api/v1/admin/tsdb/clean_tombstones", "");
    if (!cleaned.ok()) return Complain("delete", cleaned.status());
  }
  const std::string_view id = deleted->headers.Get("X-Basalt-Purge-Id");
  return RunPurges({.id = std::string(id), .url = options.url}) == 1 ? 1 : 0;
}

int RunPurges(const PurgesCommandOptions& options) {
  const std::string path = "/api/v1/admin/purges" + (options.id.empty() ? "" : "/" + options.id);
  const auto answer = Ask(options.url, "GET", path, "");
  if (!answer.ok()) return Complain("purges", answer.status());
  std::printf("%s\n", answer->body.c_str());
  const bool is_pending = answer->body.find("\"state\":\"pending\"") != std::string::npos;
  return !options.id.empty() && is_pending ? 2 : 0;
}

}  // namespace basalt::cli
