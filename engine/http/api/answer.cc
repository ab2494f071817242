#include "engine/http/api/answer.h"

#include <utility>

namespace basalt::http::api {
namespace {

constexpr std::string_view kJson = "application/json";

void WriteAnnotations(JsonWriter& json, std::string_view key, std::string_view kind,
                      const std::vector<std::string>& texts) {
  if (texts.empty()) return;
  json.Key(key);
  json.BeginArray();
  for (size_t i = 0; i < texts.size() && i < kMaxAnnotations; ++i) json.String(texts[i]);
  if (texts.size() > kMaxAnnotations) {
    json.String(std::to_string(texts.size() - kMaxAnnotations) + " more " + std::string(kind) +
                " annotations omitted");
  }
  json.EndArray();
}

class ListBody final : public BodySource {
 public:
  ListBody(size_t count, std::function<void(size_t, JsonWriter&)> item, Annotations annotations)
      : count_(count), item_(std::move(item)), annotations_(std::move(annotations)) {}

  More Next(std::string& piece) override {
    json_.Continue(piece);
    if (next_ == 0) {
      BeginSuccess(json_);
      json_.BeginArray();
    }
    for (; next_ < count_; ++next_) {
      if (piece.size() >= kPieceBytes) return More::kMore;
      item_(next_, json_);
    }
    json_.EndArray();
    EndSuccess(json_, annotations_);
    return More::kDone;
  }

 private:
  const size_t count_;
  const std::function<void(size_t, JsonWriter&)> item_;
  const Annotations annotations_;
  size_t next_ = 0;
  std::string unused_;
  JsonWriter json_{unused_};
};

}  // namespace

std::string_view ErrorTypeName(ErrorType type) {
  switch (type) {
    case ErrorType::kBadData:
      return "bad_data";
    case ErrorType::kExecution:
      return "execution";
    case ErrorType::kCanceled:
      return "canceled";
    case ErrorType::kTimeout:
      return "timeout";
    case ErrorType::kInternal:
      return "internal";
    case ErrorType::kUnavailable:
      return "unavailable";
    case ErrorType::kNotFound:
      return "not_found";
  }
  return "internal";
}

int HttpStatusOf(ErrorType type) {
  switch (type) {
    case ErrorType::kBadData:
      return 400;
    case ErrorType::kExecution:
      return 422;
    case ErrorType::kCanceled:
      return 499;  // nginx's "client closed request"
    case ErrorType::kTimeout:
    case ErrorType::kUnavailable:
      return 503;
    case ErrorType::kNotFound:
      return 404;
    case ErrorType::kInternal:
      return 500;
  }
  return 500;
}

Answer Fail(ErrorType type, std::string_view message) {
  Answer answer;
  answer.head.status = HttpStatusOf(type);
  answer.head.content_type = kJson;
  JsonWriter json(answer.head.body);
  json.BeginObject();
  json.Field("status", "error");
  json.Field("errorType", ErrorTypeName(type));
  json.Field("error", message);
  json.EndObject();
  return answer;
}

Answer FailWith(const Status& status) {
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
      return Fail(ErrorType::kBadData, status.message());
    case StatusCode::kCancelled:
      return Fail(ErrorType::kCanceled, status.message());
    case StatusCode::kDeadlineExceeded:
      return Fail(ErrorType::kTimeout, status.message());
    case StatusCode::kUnavailable:
      return Fail(ErrorType::kUnavailable, status.message());
    case StatusCode::kInternal:
    case StatusCode::kDataLoss:
      return Fail(ErrorType::kInternal, status.message());
    default:
      return Fail(ErrorType::kExecution, status.message());
  }
}

Answer InvalidParameter(std::string_view name, const Status& status) {
  std::string text = "invalid parameter \"";
  text.append(name).append("\": ").append(status.message());
  return Fail(ErrorType::kBadData, text);
}

Answer Succeed(std::string_view data, const Annotations& annotations) {
  Answer answer;
  answer.head.content_type = kJson;
  JsonWriter json(answer.head.body);
  BeginSuccess(json);
  json.Raw(data);
  EndSuccess(json, annotations);
  return answer;
}

Answer NoContent() {
  Answer answer;
  answer.head.status = 204;
  return answer;
}

Answer SucceedWithList(size_t count, std::function<void(size_t, JsonWriter&)> item,
                       const Annotations& annotations) {
  Answer answer;
  answer.head.content_type = kJson;
  answer.stream = std::make_unique<ListBody>(count, std::move(item), annotations);
  return answer;
}

void BeginSuccess(JsonWriter& json) {
  json.BeginObject();
  json.Field("status", "success");
  json.Key("data");
}

void EndSuccess(JsonWriter& json, const Annotations& annotations) {
  WriteAnnotations(json, "warnings", "warning", annotations.warnings);
  WriteAnnotations(json, "infos", "info", annotations.infos);
  json.EndObject();
}

void Deliver(Answer answer, ResponseWriter writer) {
  if (answer.stream != nullptr) {
    writer.Stream(std::move(answer.head), std::move(answer.stream));
  } else {
    writer.Send(std::move(answer.head));
  }
}

}  // namespace basalt::http::api
