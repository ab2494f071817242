// engine/ingest/otlp/protobuf_point.h -- data points and attributes in protobuf. Private to
// protobuf_decoder.cc.
#pragma once

#include <deque>
#include <protozero/pbf_reader.hpp>
#include <string>
#include <string_view>

#include "engine/ingest/otlp/points.h"

namespace basalt::ingest::otlp {

// What protozero's exceptions cannot say.
struct TooDeep : std::exception {
  [[nodiscard]] const char* what() const noexcept override {
    return "attributes: lists nested too deep";
  }
};

// Reads into one Point, again and again. Everything throws protozero's exceptions and TooDeep on
// bytes that do not parse. One thread.
class PointReader {
 public:
  // Forgets the texts that were rendered for the request before.
  void BeginRequest() { texts_.clear(); }
  // Valid until the next call.
  const Point& Read(protozero::pbf_reader message, MetricKind kind);
  void AddAttribute(protozero::pbf_reader message, Attributes& out);

 private:
  void AddExemplar(protozero::pbf_reader message);
  std::string_view Keep(std::string text);

  Point point_;
  std::deque<std::string> texts_;  // what had to be rendered, until the next request
};

}  // namespace basalt::ingest::otlp
