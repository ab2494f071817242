// /api/v1/format_query and /api/v1/parse_query: an expression as pretty text and as a JSON tree.
#include <optional>
#include <string>
#include <vector>

#include "engine/http/api/endpoint.h"
#include "query/promql/ast.h"
#include "query/promql/functions.h"
#include "query/promql/parser.h"
#include "query/promql/printer.h"

namespace basalt::http::api {
namespace {

using promql::Expr;

void WriteTree(const Expr& expr, JsonWriter& json);

void WriteStrings(std::string_view key, const std::vector<std::string>& texts, JsonWriter& json) {
  json.Key(key);
  json.BeginArray();
  for (const std::string& text : texts) json.String(text);
  json.EndArray();
}

void WriteNumber(double value, JsonWriter& json) {
  std::string text;
  AppendGoFloatFixed(value, text);
  json.Field("type", "numberLiteral");
  json.Field("val", text);
}

std::string_view DurationOpText(promql::DurationOp op) {
  using enum promql::DurationOp;
  switch (op) {
    case kStep:
      return "step";
    case kRange:
      return "range";
    case kPlus:
    case kAdd:
      return "+";
    case kMinus:
    case kSub:
      return "-";
    case kMul:
      return "*";
    case kDiv:
      return "/";
    case kMod:
      return "%";
    case kPow:
      return "^";
    case kMinOf:
      return "min_of";
    case kMaxOf:
      return "max_of";
    case kLiteral:
      return "";
  }
  return "";
}

void WriteDurationExpr(const promql::DurationExpr* expr, JsonWriter& json) {
  if (expr == nullptr) return json.Null();
  json.BeginObject();
  if (expr->op == promql::DurationOp::kLiteral) {
    json.Field("duration", expr->written_as_duration);
    WriteNumber(expr->literal_seconds, json);
  } else {
    json.Key("lhs");
    WriteDurationExpr(expr->lhs.get(), json);
    json.Field("op", DurationOpText(expr->op));
    json.Key("rhs");
    WriteDurationExpr(expr->rhs.get(), json);
    json.Field("type", "durationExpr");
    json.Field("wrapped", expr->wrapped);
  }
  json.EndObject();
}

// "range":300000,"rangeExpr":null
void WriteDuration(std::string_view key, const promql::DurationValue& duration, JsonWriter& json) {
  json.Key(key);
  json.Int(std::chrono::duration_cast<Duration>(duration.value).count());
  json.Key(std::string(key) + "Expr");
  WriteDurationExpr(duration.expr.get(), json);
}

void WriteStartOrEnd(const promql::AtModifier& at, JsonWriter& json) {
  json.Key("startOrEnd");
  switch (at.kind) {
    case promql::AtModifier::Kind::kStart:
      return json.String("start");
    case promql::AtModifier::Kind::kEnd:
      return json.String("end");
    case promql::AtModifier::Kind::kNone:
    case promql::AtModifier::Kind::kTimestamp:
      return json.Null();
  }
}

void WriteTimestamp(const promql::AtModifier& at, JsonWriter& json) {
  json.Key("timestamp");
  if (at.kind == promql::AtModifier::Kind::kTimestamp) return json.Int(at.timestamp_ms);
  json.Null();
}

std::string_view MatchTypeText(storage::MatchType type) {
  switch (type) {
    case storage::MatchType::kEqual:
      return "=";
    case storage::MatchType::kNotEqual:
      return "!=";
    case storage::MatchType::kRegex:
      return "=~";
    case storage::MatchType::kNotRegex:
      return "!~";
  }
  return "";
}

// Keys come in alphabetical order, as Go writes its maps. `range` is null for a plain selector.
void WriteSelector(const promql::VectorSelector& selector, const promql::DurationValue* range,
                   JsonWriter& json) {
  json.Field("anchored", selector.mode == promql::RangeMode::kAnchored);
  json.Key("matchers");
  json.BeginArray();
  for (const storage::Matcher& matcher : selector.matchers) {
    json.BeginObject();
    json.Field("name", matcher.name);
    json.Field("type", MatchTypeText(matcher.type));
    json.Field("value", matcher.value);
    json.EndObject();
  }
  json.EndArray();
  json.Field("name", selector.name);
  WriteDuration("offset", selector.offset, json);
  if (range != nullptr) WriteDuration("range", *range, json);
  json.Field("smoothed", selector.mode == promql::RangeMode::kSmoothed);
  WriteStartOrEnd(selector.at, json);
  WriteTimestamp(selector.at, json);
  json.Field("type", range == nullptr ? "vectorSelector" : "matrixSelector");
}

void WriteFill(std::string_view key, const std::optional<double>& fill, JsonWriter& json) {
  json.Key(key);
  if (fill.has_value()) return json.Float(*fill);
  json.Null();
}

void WriteMatching(const std::optional<promql::VectorMatching>& matching, JsonWriter& json) {
  json.Key("matching");
  if (!matching.has_value()) return json.Null();
  json.BeginObject();
  json.Field("card", promql::CardinalityName(matching->card));
  json.Key("fillValues");
  json.BeginObject();
  WriteFill("lhs", matching->fill_lhs, json);
  WriteFill("rhs", matching->fill_rhs, json);
  json.EndObject();
  WriteStrings("include", matching->include, json);
  WriteStrings("labels", matching->labels, json);
  json.Field("on", matching->on);
  json.EndObject();
}

void WriteFunction(const promql::FunctionSpec& function, JsonWriter& json) {
  json.Key("func");
  json.BeginObject();
  json.Key("argTypes");
  json.BeginArray();
  for (const promql::ValueType type : function.arg_types) json.String(promql::ValueTypeName(type));
  json.EndArray();
  json.Field("name", function.name);
  json.Field("returnType", promql::ValueTypeName(function.return_type));
  json.Key("variadic");
  json.Int(function.variadic);
  json.EndObject();
}

void WriteChild(std::string_view key, const promql::ExprPtr& child, JsonWriter& json) {
  json.Key(key);
  if (child == nullptr) return json.Null();
  WriteTree(*child, json);
}

void WriteTree(const Expr& expr, JsonWriter& json) {
  json.BeginObject();
  promql::Visit(
      expr, promql::Overloaded{
                [&json](const promql::NumberLiteral& number) { WriteNumber(number.value, json); },
                [&json](const promql::StringLiteral& text) {
                  json.Field("type", "stringLiteral");
                  json.Field("val", text.value);
                },
                [&json](const promql::VectorSelector& selector) {
                  WriteSelector(selector, nullptr, json);
                },
                [&json](const promql::MatrixSelector& matrix) {
                  WriteSelector(matrix.vector(), &matrix.range, json);
                },
                [&json](const promql::Subquery& subquery) {
                  WriteChild("expr", subquery.expr, json);
                  WriteDuration("offset", subquery.offset, json);
                  WriteDuration("range", subquery.range, json);
                  WriteStartOrEnd(subquery.at, json);
                  WriteDuration("step", subquery.step, json);
                  WriteTimestamp(subquery.at, json);
                  json.Field("type", "subquery");
                },
                [&json](const promql::Aggregate& aggregate) {
                  WriteChild("expr", aggregate.expr, json);
                  WriteStrings("grouping", aggregate.grouping, json);
                  json.Field("op", promql::AggregateOpName(aggregate.op));
                  WriteChild("param", aggregate.parameter, json);
                  json.Field("type", "aggregation");
                  json.Field("without", aggregate.without);
                },
                [&json](const promql::Call& call) {
                  json.Key("args");
                  json.BeginArray();
                  for (const promql::ExprPtr& arg : call.args) WriteTree(*arg, json);
                  json.EndArray();
                  WriteFunction(*call.function, json);
                  json.Field("type", "call");
                },
                [&json](const promql::Binary& binary) {
                  json.Field("bool", binary.return_bool);
                  WriteChild("lhs", binary.lhs, json);
                  WriteMatching(binary.matching, json);
                  json.Field("op", promql::BinaryOpName(binary.op));
                  WriteChild("rhs", binary.rhs, json);
                  json.Field("type", "binaryExpr");
                },
                [&json](const promql::Unary& unary) {
                  WriteChild("expr", unary.expr, json);
                  json.Field("op", unary.minus ? "-" : "+");
                  json.Field("type", "unaryExpr");
                },
                [&json](const promql::Paren& paren) {
                  WriteChild("expr", paren.expr, json);
                  json.Field("type", "parenExpr");
                },
                // The parser makes none; the tree below it is what was written.
                [&json](const promql::StepInvariant& wrapper) {
                  WriteChild("expr", wrapper.expr, json);
                  json.Field("type", "parenExpr");
                },
            });
  json.EndObject();
}

Answer FormatQuery(Call& call) {
  const Result<promql::ExprPtr> expr = promql::ParseExpr(call.form.Get("query"));
  if (!expr.ok()) return InvalidParameter("query", expr.status());
  std::string data;
  JsonWriter(data).String(promql::Pretty(**expr));
  return Succeed(data);
}

Answer ParseQuery(Call& call) {
  const Result<promql::ExprPtr> expr = promql::ParseExpr(call.form.Get("query"));
  if (!expr.ok()) return InvalidParameter("query", expr.status());
  std::string data;
  JsonWriter json(data);
  WriteTree(**expr, json);
  return Succeed(data);
}

}  // namespace

void RegisterExpressions(const SharedContext& context, Router& router) {
  AddEndpoint(context, router, {Method::kGet, Method::kPost}, "/api/v1/format_query", FormatQuery);
  AddEndpoint(context, router, {Method::kGet, Method::kPost}, "/api/v1/parse_query", ParseQuery);
}

}  // namespace basalt::http::api
