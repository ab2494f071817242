#include "engine/http/response_writer.h"

#include <utility>

#include "engine/base/status.h"

namespace basalt::http {

ResponseWriter::~ResponseWriter() {
  if (sink_ != nullptr) sink_->Send(TextResponse(500, "the request was dropped without an answer"));
}

ResponseWriter& ResponseWriter::operator=(ResponseWriter&& other) noexcept {
  if (this != &other) {
    ResponseWriter old(std::move(sink_));  // answers, if it still has to
    sink_ = std::move(other.sink_);
  }
  return *this;
}

void ResponseWriter::Send(Response response) {
  BASALT_CHECK(!spent(), "a request is answered once");
  std::exchange(sink_, nullptr)->Send(std::move(response));
}

void ResponseWriter::Stream(Response head, std::unique_ptr<BodySource> body) {
  BASALT_CHECK(!spent(), "a request is answered once");
  std::exchange(sink_, nullptr)->Stream(std::move(head), std::move(body));
}

}  // namespace basalt::http
