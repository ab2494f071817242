// engine/http/api/answer.h -- the envelope that every answer of the API comes in.
//
//   {"status":"success","data":...,"warnings":[...],"infos":[...]}
//   {"status":"error","errorType":"bad_data","error":"..."}
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/http/json_writer.h"
#include "engine/http/message.h"
#include "engine/http/response_writer.h"

namespace basalt::http::api {

// Prometheus' error types and the status codes that go with them.
enum class ErrorType : uint8_t {
  kBadData,
  kExecution,
  kCanceled,
  kTimeout,
  kInternal,
  kUnavailable,
  kNotFound
};
std::string_view ErrorTypeName(ErrorType type);  // "bad_data"
int HttpStatusOf(ErrorType type);                // 400

// What came with the data. Of each at most kMaxAnnotations are shown; one more line tells how many
// were left out.
inline constexpr size_t kMaxAnnotations = 10;
struct Annotations {
  std::vector<std::string> warnings;
  std::vector<std::string> infos;
};
inline constexpr std::string_view kTruncatedWarning = "results truncated due to limit";

// What an endpoint gives back: a whole answer or one that is streamed.
struct Answer {
  Response head;
  std::unique_ptr<BodySource> stream;  // null: `head` is all
};

Answer Fail(ErrorType type, std::string_view message);
// A storage or engine error where upstream would answer errorExec: cancelled and timed out keep
// their own types, and what the client asked wrongly (kInvalidArgument) is bad_data.
Answer FailWith(const Status& status);
// `invalid parameter "limit": <status>`, bad_data.
Answer InvalidParameter(std::string_view name, const Status& status);
// `data` is JSON.
Answer Succeed(std::string_view data, const Annotations& annotations = {});
Answer NoContent();
// A list that may be long: `item(i, json)` writes element i. Owns what `item` owns until the answer
// is out.
Answer SucceedWithList(size_t count, std::function<void(size_t, JsonWriter&)> item,
                       const Annotations& annotations = {});

// The beginning up to and including `"data":`, and the end from behind the data on.
void BeginSuccess(JsonWriter& json);
void EndSuccess(JsonWriter& json, const Annotations& annotations);

// Sends it, whole or streamed.
void Deliver(Answer answer, ResponseWriter writer);

}  // namespace basalt::http::api
