// engine/http/api/query_body.h -- a query's result as JSON, piece by piece.
#pragma once

#include <cstddef>
#include <string>

#include "engine/http/api/answer.h"
#include "query/engine.h"
#include "query/value.h"

namespace basalt::http::api {

// Of the `stats` parameter.
enum class StatsLevel : uint8_t { kNone, kBasic, kAll };

// The whole answer of /query and /query_range: resultType before result, since readers stream it,
// and stats after. A series is cut at any point, so a piece is never much larger than it should be.
class QueryBody final : public BodySource {
 public:
  QueryBody(query::QueryResult result, Annotations annotations, StatsLevel stats);
  More Next(std::string& piece) override;

 private:
  void Begin();
  bool WriteVector(std::string& piece);
  bool WriteMatrix(std::string& piece);
  // False if the piece is full.
  bool WriteSeries(const query::Series& series, std::string& piece);
  void WriteStats();

  query::QueryResult result_;
  const Annotations annotations_;
  const StatsLevel stats_;
  std::string unused_;
  JsonWriter json_{unused_};
  bool begun_ = false;
  size_t item_ = 0;   // of the vector or matrix
  size_t point_ = 0;  // of the series: floats, then histograms
  bool in_series_ = false;
};

// {"count":"42","sum":"1.5","buckets":[[0,"0.25","0.5","12"]]}; empty buckets are left out.
void WriteHistogram(const query::FloatHistogram& histogram, JsonWriter& json);

}  // namespace basalt::http::api
