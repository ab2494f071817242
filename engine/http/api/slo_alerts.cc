// /api/v1/slo/alerts: what became of each alert, and what people say of it; /api/v1/slo/delivery:
// how it goes to its receivers.
#include <charconv>
#include <string>

#include "engine/actionability/journal.h"
#include "engine/actionability/report.h"
#include "engine/actionability/webhook_in.h"
#include "engine/http/api/endpoint.h"
#include "engine/http/api/params.h"
#include "engine/http/api/slo_json.h"
#include "engine/notify/delivery_stats.h"
#include "engine/notify/webhook.h"

namespace basalt::http::api {
namespace {

using actionability::AlertRecord;

constexpr size_t kMaxListed = 100'000;

actionability::Journal* JournalOf(const Call& call) {
  return call.context.journal ? call.context.journal() : nullptr;
}
Answer NoJournal() { return FailWith(Unavailable("no SLO is evaluated")); }

void WriteRecord(const AlertRecord& record, JsonWriter& json) {
  json.BeginObject();
  json.Field("id", std::to_string(record.id));
  json.Field("fingerprint", actionability::FingerprintText(record.fingerprint));
  json.Field("alertmanagerFingerprint", notify::AlertmanagerFingerprint(record.labels));
  json.Key("labels");
  json.LabelSet(record.labels);
  json.Field("team", record.team());
  json.Field("service", record.service());
  json.Field("slo", record.slo());
  json.Field("severity", record.page ? "page" : "ticket");
  json.Field("state", record.ends_at.has_value() ? "resolved" : "firing");
  json.Key("startsAt");
  json.Time(record.starts_at);
  WriteOptional("endsAt", record.ends_at, json);
  json.Key("publishedAt");
  json.Time(record.published_at);
  WriteOptional("deliveredAt", record.delivered_at, json);
  json.Field("deliveredTo", record.delivered_to);
  json.Field("undelivered", record.undelivered());
  WriteOptional("acknowledgedAt", record.acknowledged_at, json);
  json.Field("acknowledgedBy", record.acknowledged_by);
  json.Field("flap", record.flap);
  json.Key("feedback");
  if (record.feedback.has_value()) {
    const actionability::Feedback& feedback = *record.feedback;
    json.BeginObject();
    json.Field("actionable", actionability::VerdictName(feedback.verdict));
    WriteNumber("minutes", feedback.minutes, json);
    json.Field("by", feedback.by);
    json.Field("ticket", feedback.ticket);
    json.Field("note", feedback.note);
    json.Key("at");
    json.Time(feedback.at);
    json.EndObject();
  } else {
    json.Null();
  }
  json.EndObject();
}

Answer OneRecord(const Result<AlertRecord>& record) {
  if (!record.ok()) return FailAs(record.status());
  std::string data;
  JsonWriter json(data);
  WriteRecord(*record, json);
  return Succeed(data);
}

// "" is none of both. kInvalidArgument with what there is.
Result<std::optional<bool>> OneOf(std::string_view text, std::string_view yes,
                                  std::string_view no) {
  if (text.empty()) return std::optional<bool>();
  if (text == yes) return std::optional<bool>(true);
  if (text == no) return std::optional<bool>(false);
  return InvalidArgument("\"" + std::string(text) + "\" is neither " + std::string(yes) + " nor " +
                         std::string(no));
}

// Parameters: team, service, slo, severity, state, from, to, limit.
Answer ListAlerts(const Call& call) {
  actionability::Journal* journal = JournalOf(call);
  if (journal == nullptr) return NoJournal();
  actionability::RecordFilter filter;
  filter.team = call.form.Get("team");
  filter.service = call.form.Get("service");
  filter.slo = call.form.Get("slo");
  const auto page = OneOf(call.form.Get("severity"), "page", "ticket");
  if (!page.ok()) return InvalidParameter("severity", page.status());
  filter.page = *page;
  const auto firing = OneOf(call.form.Get("state"), "firing", "resolved");
  if (!firing.ok()) return InvalidParameter("state", firing.status());
  filter.firing = *firing;
  for (const auto& [name, to] : {std::pair("from", &filter.from), std::pair("to", &filter.to)}) {
    if (call.form.Get(name).empty()) continue;
    const Result<Timestamp> time = ParseTime(call.form.Get(name));
    if (!time.ok()) return InvalidParameter(name, time.status());
    *to = *time;
  }
  if (!call.form.Get("limit").empty()) {
    const Result<size_t> limit = ParseLimit(call.form.Get("limit"));
    if (!limit.ok()) return InvalidParameter("limit", limit.status());
    filter.limit = *limit == 0 ? kMaxListed : std::min(*limit, kMaxListed);
  }
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("alerts");
  json.BeginArray();
  for (const AlertRecord& record : journal->List(filter)) WriteRecord(record, json);
  json.EndArray();
  json.EndObject();
  return Succeed(data);
}

Answer OneAlert(const Call& call) {
  const actionability::Journal* journal = JournalOf(call);
  if (journal == nullptr) return NoJournal();
  return OneRecord(journal->Find(call.request.path_param("alert")));
}

// Parameter: by.
Answer Acknowledge(const Call& call) {
  if (!call.form_error.ok()) return FailWith(call.form_error);
  actionability::Journal* journal = JournalOf(call);
  if (journal == nullptr) return NoJournal();
  return OneRecord(
      journal->Acknowledge(call.request.path_param("alert"), std::string(call.form.Get("by"))));
}

// Parameters: actionable; minutes, by, ticket, note.
Answer GiveFeedback(const Call& call) {
  if (!call.form_error.ok()) return FailWith(call.form_error);
  actionability::Journal* journal = JournalOf(call);
  if (journal == nullptr) return NoJournal();
  actionability::Feedback feedback;
  const auto verdict = actionability::ParseVerdict(call.form.Get("actionable"));
  if (!verdict.ok()) return InvalidParameter("actionable", verdict.status());
  feedback.verdict = *verdict;
  if (const std::string_view text = call.form.Get("minutes"); !text.empty()) {
    const std::optional<double> minutes = ParseGoFloat(text);
    if (!minutes.has_value()) {
      return InvalidParameter("minutes",
                              InvalidArgument("\"" + std::string(text) + "\" is not a number"));
    }
    feedback.minutes = *minutes;
  }
  feedback.by = call.form.Get("by");
  feedback.ticket = call.form.Get("ticket");
  feedback.note = call.form.Get("note");
  return OneRecord(journal->Give(call.request.path_param("alert"), std::move(feedback)));
}

// Body: Alertmanager's webhook payload. Parameter: by; else the payload counts as nobody's.
Answer AcknowledgeByWebhook(const Call& call) {
  actionability::Journal* journal = JournalOf(call);
  if (journal == nullptr) return NoJournal();
  const auto alerts = actionability::FiringInWebhook(call.request.body.view());
  if (!alerts.ok()) return FailWith(alerts.status());
  std::string by(call.form.Get("by"));
  if (by.empty()) by = "webhook";
  const Result<size_t> matched = journal->AcknowledgeMatching(*alerts, by);
  if (!matched.ok()) return FailWith(matched.status());
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  WriteCount("alerts", alerts->size(), json);
  WriteCount("acknowledged", *matched, json);
  json.EndObject();
  return Succeed(data);
}

void WriteTeam(const actionability::TeamReport& team, JsonWriter& json) {
  json.BeginObject();
  json.Field("team", team.team);
  WriteCount("pages", team.pages, json);
  WriteCount("tickets", team.tickets, json);
  WriteNumber("pagesPerWeek", team.pages_per_week, json);
  WriteCount("withFeedback", team.with_feedback, json);
  WriteCount("actionable", team.actionable, json);
  WriteOptional("actionableShare", team.actionable_share, json);
  WriteCount("acknowledgedPages", team.acknowledged_pages, json);
  WriteOptional("timeToAcknowledgeMedianSeconds", team.acknowledge_p50_seconds, json);
  WriteOptional("timeToAcknowledgeMeanSeconds", team.acknowledge_mean_seconds, json);
  WriteCount("flaps", team.flaps, json);
  WriteCount("undelivered", team.undelivered, json);
  WriteNumber("minutesSpent", team.minutes, json);
  json.Key("pagesBySlo");
  json.BeginObject();
  for (const auto& [slo, pages] : team.worst) WriteCount(slo, pages, json);
  json.EndObject();
  json.EndObject();
}

// Parameters: month ("2026-11", UTC; the present one by default), or from and to; team; format
// json or md.
Answer MonthlyReport(const Call& call) {
  const actionability::Journal* journal = JournalOf(call);
  if (journal == nullptr) return NoJournal();
  const Timestamp now = call.context.clock->Now();
  std::string month(call.form.Get("month"));
  actionability::TimeRange range;
  if (!call.form.Get("from").empty()) {
    const Result<Timestamp> from = ParseTime(call.form.Get("from"));
    if (!from.ok()) return InvalidParameter("from", from.status());
    const Result<Timestamp> to = call.TimeParam("to", now);
    if (!to.ok()) return InvalidParameter("to", to.status());
    if (*to <= *from) return InvalidParameter("to", InvalidArgument("is not after from"));
    range = {*from, *to};
  } else {
    if (month.empty()) {
      std::string text;
      AppendRfc3339(now, text);
      month = text.substr(0, 7);
    }
    const auto parsed = actionability::ParseMonth(month);
    if (!parsed.ok()) return InvalidParameter("month", parsed.status());
    range = *parsed;
  }
  const auto markdown = OneOf(call.form.Get("format"), "md", "json");
  if (!markdown.ok()) return InvalidParameter("format", markdown.status());
  actionability::RecordFilter filter;
  filter.team = call.form.Get("team");
  filter.from = range.from;
  filter.to = range.to;
  filter.limit = actionability::kMaxRecords;
  const actionability::Report report =
      actionability::MakeReport(journal->List(filter), range.from, range.to, now);
  if (markdown->value_or(false)) {
    Answer answer;
    answer.head.content_type = "text/markdown; charset=utf-8";
    answer.head.body = actionability::ReportMarkdown(report);
    return answer;
  }
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("from");
  json.Time(report.from);
  json.Key("to");
  json.Time(report.to);
  json.Key("teams");
  json.BeginArray();
  for (const actionability::TeamReport& team : report.teams) WriteTeam(team, json);
  json.EndArray();
  json.EndObject();
  return Succeed(data);
}

void WriteTimes(std::string_view key, const notify::DeliveryTimes& times, JsonWriter& json) {
  json.Key(key);
  json.BeginObject();
  WriteCount("count", times.count, json);
  WriteNumber("p50Seconds", times.Quantile(0.5), json);
  WriteNumber("p99Seconds", times.Quantile(0.99), json);
  WriteNumber("slowestSeconds", static_cast<double>(times.slowest_ns) * 1e-9, json);
  json.Key("buckets");
  json.BeginArray();
  uint64_t below = 0;
  for (size_t i = 0; i < times.buckets.size(); ++i) {
    below += times.buckets[i];
    json.BeginObject();
    json.Key("le");
    if (i < notify::kDeliveryBounds.size()) {
      json.Float(notify::kDeliveryBounds[i]);
    } else {
      json.String("+Inf");
    }
    WriteCount("count", below, json);
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
}

void WriteReceiver(const notify::ReceiverStats& receiver, JsonWriter& json) {
  json.BeginObject();
  json.Field("receiver", receiver.key);
  json.Field("url", receiver.url);
  json.Field("kind", receiver.webhook ? "webhook" : "alertmanager");
  json.Field("insecureSkipVerify", receiver.insecure);
  json.Field("answers", receiver.last_error.empty());
  json.Field("breakerOpen", receiver.breaker_open);
  WriteCount("waiting", receiver.waiting, json);
  WriteCount("sent", receiver.sent, json);
  WriteCount("posts", receiver.posts, json);
  WriteCount("failures", receiver.failures, json);
  WriteCount("rejected", receiver.rejected, json);
  WriteCount("droppedByRelabelling", receiver.dropped, json);
  json.Field("lastError", receiver.last_error);
  json.Field("lastRejection", receiver.last_rejection);
  json.Key("refused");
  json.BeginArray();
  for (const Labels& labels : receiver.refused) json.LabelSet(labels);
  json.EndArray();
  json.EndObject();
}

Answer Delivery(const Call& call) {
  std::optional<notify::OutboxStats> stats;
  if (call.context.delivery) stats = call.context.delivery();
  if (!stats.has_value()) return NoJournal();
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("receivers");
  json.BeginArray();
  for (const notify::ReceiverStats& receiver : stats->receivers) WriteReceiver(receiver, json);
  json.EndArray();
  json.Key("discoveryProblems");
  json.BeginArray();
  for (const auto& [where, problem] : stats->discovery_problems) {
    json.BeginObject();
    json.Field("where", where);
    json.Field("problem", problem);
    json.EndObject();
  }
  json.EndArray();
  json.Key("outbox");
  json.BeginObject();
  WriteCount("alerts", stats->alerts, json);
  WriteCount("firing", stats->firing, json);
  WriteCount("shed", stats->shed, json);
  WriteCount("logBytes", stats->log_bytes, json);
  WriteCount("logErrors", stats->log_errors, json);
  json.EndObject();
  json.Key("deliveryTime");
  json.BeginObject();
  WriteTimes("page", stats->pages, json);
  WriteTimes("ticket", stats->tickets, json);
  json.EndObject();
  json.EndObject();
  return Succeed(data);
}

}  // namespace

void RegisterSloAlerts(const SharedContext& context, Router& router) {
  const std::vector<Method> get = {Method::kGet};
  const std::vector<Method> post = {Method::kPost};
  AddEndpoint(context, router, get, "/api/v1/slo/alerts", ListAlerts);
  AddEndpoint(context, router, get, "/api/v1/slo/alerts/report", MonthlyReport);
  AddEndpoint(context, router, post, "/api/v1/slo/alerts/webhook", AcknowledgeByWebhook);
  AddEndpoint(context, router, get, "/api/v1/slo/alerts/{alert}", OneAlert);
  AddEndpoint(context, router, post, "/api/v1/slo/alerts/{alert}/acknowledge", Acknowledge);
  AddEndpoint(context, router, post, "/api/v1/slo/alerts/{alert}/feedback", GiveFeedback);
  AddEndpoint(context, router, get, "/api/v1/slo/delivery", Delivery);
}

}  // namespace basalt::http::api
