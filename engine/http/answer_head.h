// engine/http/answer_head.h -- status line and headers of an answer.
#pragma once

#include <string>

#include "engine/base/time.h"
#include "engine/http/message.h"
#include "engine/http/server.h"

namespace basalt::http {

// What of the request, and of the connection, decides how its answer looks.
struct AnswerShape {
  bool http10 = false;
  bool head_only = false;  // HEAD: the body is told of and left out
  bool close = false;      // the connection ends with the answer
  bool streamed = false;   // its length is not known: chunks, or in HTTP/1.0 the connection's end
  std::string origin;      // the request's Origin
};

// Appends the head of `response`, with the empty line that ends it. `now` is for Date.
void AppendAnswerHead(const SessionOptions& options, const AnswerShape& shape,
                      const Response& response, Timestamp now, std::string& out);

// Whether an answer to that request has a body on the wire.
bool HasBody(const AnswerShape& shape, int status);

}  // namespace basalt::http
