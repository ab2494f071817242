// /api/v1/admin/tsdb/delete_series and clean_tombstones, in Prometheus' shape, and what Basalt has
// to say about what became of a delete: /api/v1/admin/purges.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/labels.h"
#include "engine/http/api/endpoint.h"
#include "engine/http/api/params.h"
#include "engine/http/json_writer.h"
#include "storage/store.h"

namespace basalt::http::api {
namespace {

// The id of a purge receipt, "<lane>-<seq>".
constexpr std::string_view kPurgeHeader = "X-Basalt-Purge-Id";

std::string IdText(LogPosition id) {
  return std::to_string(id.lane) + "-" + std::to_string(id.seq);
}

std::string Hex(const Hash128& hash) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const uint64_t half : {hash.high, hash.low}) {
    for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[half >> shift & 15];
  }
  return text;
}

// The store, or the answer that says why there is none.
struct AdminStore {
  storage::Store* store = nullptr;
  std::optional<Answer> error;
};

AdminStore Find(const ApiContext& context, bool changes) {
  if (changes && !context.admin_api) {
    return {nullptr, Fail(ErrorType::kUnavailable,
                          "admin APIs disabled (http.admin_api: true enables them)")};
  }
  storage::Store* const store = context.store == nullptr ? nullptr : context.store();
  if (store == nullptr) return {nullptr, Fail(ErrorType::kUnavailable, "the store is not open")};
  return {store, std::nullopt};
}

Answer DeleteSeries(Call& call) {
  AdminStore admin = Find(call.context, /*changes=*/true);
  if (admin.error.has_value()) return std::move(*admin.error);
  if (!call.form_error.ok())
    return FailWith(call.form_error.WithContext("error parsing form values"));
  if (call.form.All("match[]").empty())
    return Fail(ErrorType::kBadData, "no match[] parameter provided");
  const Result<Timestamp> start = call.TimeParam("start", kMinTime);
  if (!start.ok()) return InvalidParameter("start", start.status());
  const Result<Timestamp> end = call.TimeParam("end", kMaxTime);
  if (!end.ok()) return InvalidParameter("end", end.status());
  auto matchers = ParseMatchers(call.form.All("match[]"));
  if (!matchers.ok()) return InvalidParameter("match[]", matchers.status());
  if (*start > *end) {
    return InvalidParameter("end", InvalidArgument("end timestamp must not be before start time"));
  }
  const Result<LogPosition> done =
      admin.store->Delete({.tenant = call.tenant,
                           .any_of = std::move(*matchers),
                           .range = {.min_ms = ToMs(*start), .max_ms = ToMs(*end)}});
  if (!done.ok()) {
    // What would cut a bucket: the message says which range would work.
    return done.status().code() == StatusCode::kFailedPrecondition
               ? Fail(ErrorType::kBadData, done.status().message())
               : FailWith(done.status());
  }
  Answer answer = NoContent();
  answer.head.headers.emplace_back(kPurgeHeader, IdText(*done));
  return answer;
}

Answer CleanTombstones(Call& call) {
  AdminStore admin = Find(call.context, /*changes=*/true);
  if (admin.error.has_value()) return std::move(*admin.error);
  const Status done = admin.store->CleanTombstones();
  return done.ok() ? NoContent() : FailWith(done);
}

void WriteSelector(const storage::MatcherSet& set, JsonWriter& json) {
  std::string text = "{";
  for (const storage::Matcher& m : set) {
    static constexpr std::string_view kOperators[] = {"=", "!=", "=~", "!~"};
    if (text.size() > 1) text += ',';
    text += m.name;
    text += kOperators[static_cast<size_t>(m.type)];
    AppendQuoted(m.value, text);
  }
  json.String(text + "}");
}

void WriteBound(std::string_view name, int64_t ms, JsonWriter& json) {
  json.Key(name);
  // An open end is none.
  if (ms <= ToMs(kMinTime) || ms >= ToMs(kMaxTime)) {
    json.Null();
  } else {
    json.Time(FromMs(ms));
  }
}

void WriteReceipt(const storage::PurgeReceipt& receipt, JsonWriter& json) {
  const bool is_purged = receipt.state == storage::PurgeState::kPurged;
  json.BeginObject();
  json.Field("id", IdText(receipt.id));
  json.Field("state", is_purged ? "purged" : "pending");
  json.Field("tenant", std::to_string(static_cast<uint32_t>(receipt.tenant)));
  json.Key("match");
  json.BeginArray();
  for (const storage::MatcherSet& set : receipt.any_of) WriteSelector(set, json);
  json.EndArray();
  WriteBound("start", receipt.range.min_ms, json);
  WriteBound("end", receipt.range.max_ms, json);
  json.Key("requestedAt");
  json.Time(FromMs(receipt.requested_ms));
  json.Key("purgedAt");
  if (is_purged) {
    json.Time(FromMs(receipt.purged_ms));
  } else {
    json.Null();
  }
  json.Key("series");
  json.Uint(receipt.series);
  json.Key("samplesRemoved");
  json.Uint(receipt.samples);
  json.Key("bytesFreed");
  json.Uint(receipt.bytes_freed);
  json.Field("digest", Hex(receipt.digest));
  json.EndObject();
}

Answer Purges(Call& call) {
  AdminStore admin = Find(call.context, /*changes=*/false);
  if (admin.error.has_value()) return std::move(*admin.error);
  auto receipts = admin.store->PurgeReceipts();
  std::erase_if(receipts, [&](const storage::PurgeReceipt& r) { return r.tenant != call.tenant; });
  auto shared = std::make_shared<const std::vector<storage::PurgeReceipt>>(std::move(receipts));
  return SucceedWithList(
      shared->size(), [shared](size_t i, JsonWriter& json) { WriteReceipt((*shared)[i], json); });
}

Answer OnePurge(Call& call) {
  AdminStore admin = Find(call.context, /*changes=*/false);
  if (admin.error.has_value()) return std::move(*admin.error);
  std::string text(call.request.path_param("id"));
  if (const size_t dash = text.find('-'); dash != std::string::npos) text[dash] = ':';
  const Result<LogPosition> id = ParseLogPosition(text);
  if (!id.ok()) return InvalidParameter("id", id.status());
  const auto receipt = admin.store->FindPurgeReceipt(*id);
  if (!receipt.ok() || receipt->tenant != call.tenant) {
    return Fail(ErrorType::kNotFound, "no delete has the id " + IdText(*id));
  }
  std::string data;
  JsonWriter json(data);
  WriteReceipt(*receipt, json);
  return Succeed(data);
}

}  // namespace

void RegisterDeletes(const SharedContext& context, Router& router) {
  AddEndpoint(context, router, {Method::kPost, Method::kPut}, "/api/v1/admin/tsdb/delete_series",
              DeleteSeries);
  AddEndpoint(context, router, {Method::kPost, Method::kPut}, "/api/v1/admin/tsdb/clean_tombstones",
              CleanTombstones);
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/admin/purges", Purges);
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/admin/purges/{id}", OnePurge);
}

}  // namespace basalt::http::api
