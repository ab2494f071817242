#include "engine/http/api/query_body.h"

#include <utility>

namespace basalt::http::api {
namespace {

double Seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

void WritePoint(int64_t time_ms, double value, JsonWriter& json) { json.Point(time_ms, value); }

void WritePoint(int64_t time_ms, const query::FloatHistogram& histogram, JsonWriter& json) {
  json.BeginArray();
  json.SampleTime(time_ms);
  WriteHistogram(histogram, json);
  json.EndArray();
}

std::string_view ResultType(const query::Value& value) {
  constexpr std::string_view kNames[] = {"scalar", "string", "vector",
                                         "matrix"};  // the variant's order
  return kNames[value.index()];
}

}  // namespace

void WriteHistogram(const query::FloatHistogram& histogram, JsonWriter& json) {
  json.BeginObject();
  json.Key("count");
  json.SampleValue(histogram.count);
  json.Key("sum");
  json.SampleValue(histogram.sum);
  bool any = false;
  for (const query::HistogramBucket& bucket : query::AllBuckets(histogram)) {
    if (bucket.count == 0) continue;
    if (!std::exchange(any, true)) {
      json.Key("buckets");
      json.BeginArray();
    }
    json.BeginArray();
    json.Int(bucket.boundaries());
    json.SampleValue(bucket.lower);
    json.SampleValue(bucket.upper);
    json.SampleValue(bucket.count);
    json.EndArray();
  }
  if (any) json.EndArray();
  json.EndObject();
}

QueryBody::QueryBody(query::QueryResult result, Annotations annotations, StatsLevel stats)
    : result_(std::move(result)), annotations_(std::move(annotations)), stats_(stats) {}

BodySource::More QueryBody::Next(std::string& piece) {
  json_.Continue(piece);
  if (!std::exchange(begun_, true)) Begin();
  if (std::holds_alternative<query::Vector>(result_.value)) {
    if (!WriteVector(piece)) return More::kMore;
  } else if (std::holds_alternative<query::Matrix>(result_.value)) {
    if (!WriteMatrix(piece)) return More::kMore;
  }
  if (stats_ != StatsLevel::kNone) WriteStats();
  json_.EndObject();  // data
  EndSuccess(json_, annotations_);
  return More::kDone;
}

void QueryBody::Begin() {
  BeginSuccess(json_);
  json_.BeginObject();
  json_.Field("resultType", ResultType(result_.value));
  json_.Key("result");
  if (const auto* scalar = std::get_if<query::Scalar>(&result_.value)) {
    WritePoint(scalar->time_ms, scalar->value, json_);
  } else if (const auto* text = std::get_if<query::String>(&result_.value)) {
    json_.BeginArray();
    json_.SampleTime(text->time_ms);
    json_.String(text->value);
    json_.EndArray();
  } else {
    json_.BeginArray();
  }
}

bool QueryBody::WriteVector(std::string& piece) {
  const auto& vector = std::get<query::Vector>(result_.value);
  for (; item_ < vector.size(); ++item_) {
    if (piece.size() >= kPieceBytes) return false;
    const query::Sample& sample = vector[item_];
    json_.BeginObject();
    json_.Key("metric");
    json_.LabelSet(sample.labels);
    json_.Key(sample.histogram == nullptr ? "value" : "histogram");
    if (sample.histogram == nullptr) {
      WritePoint(sample.time_ms, sample.value, json_);
    } else {
      WritePoint(sample.time_ms, *sample.histogram, json_);
    }
    json_.EndObject();
  }
  json_.EndArray();
  return true;
}

bool QueryBody::WriteMatrix(std::string& piece) {
  auto& matrix = std::get<query::Matrix>(result_.value);
  for (; item_ < matrix.size(); ++item_) {
    if (!WriteSeries(matrix[item_], piece)) return false;
    matrix[item_] = {};  // memory goes as the client takes it
  }
  json_.EndArray();
  return true;
}

bool QueryBody::WriteSeries(const query::Series& series, std::string& piece) {
  if (piece.size() >= kPieceBytes) return false;
  const size_t floats = series.floats.size();
  const size_t points = floats + series.histograms.size();
  if (!std::exchange(in_series_, true)) {
    point_ = 0;
    json_.BeginObject();
    json_.Key("metric");
    json_.LabelSet(series.labels);
  }
  for (; point_ < points; ++point_) {
    if (piece.size() >= kPieceBytes) return false;
    if (point_ == 0 || point_ == floats) {
      if (point_ != 0) json_.EndArray();
      json_.Key(point_ < floats ? "values" : "histograms");
      json_.BeginArray();
    }
    if (point_ < floats) {
      WritePoint(series.floats[point_].time_ms, series.floats[point_].value, json_);
    } else {
      const query::HistogramPoint& point = series.histograms[point_ - floats];
      WritePoint(point.time_ms, *point.histogram, json_);
    }
  }
  if (points > 0) json_.EndArray();
  json_.EndObject();
  in_series_ = false;
  return true;
}

// Upstream's keys; what we do not measure apart is 0. Ours stand in an object of their own.
void QueryBody::WriteStats() {
  const query::QueryStats& stats = result_.stats;
  json_.Key("stats");
  json_.BeginObject();
  json_.Key("timings");
  json_.BeginObject();
  const auto timing = [this](std::string_view key, double seconds) {
    json_.Key(key);
    json_.Float(seconds);
  };
  timing("evalTotalTime", Seconds(stats.evaluate));
  timing("resultSortTime", 0);
  timing("queryPreparationTime", Seconds(stats.parse));
  timing("innerEvalTime", Seconds(stats.evaluate));
  timing("execQueueTime", 0);
  timing("execTotalTime", Seconds(stats.parse + stats.evaluate));
  json_.EndObject();
  json_.Key("samples");
  json_.BeginObject();
  json_.Key("totalQueryableSamples");
  json_.Uint(stats.samples);
  json_.Key("samplesRead");
  json_.Uint(stats.samples_read);
  json_.Key("peakSamples");
  json_.Uint(stats.peak_samples);
  json_.EndObject();
  if (stats_ == StatsLevel::kAll) {
    json_.Key("basalt");
    json_.BeginObject();
    json_.Key("seriesSelected");
    json_.Uint(stats.series_selected);
    json_.Key("steps");
    json_.Uint(stats.steps);
    json_.Key("stepsCached");
    json_.Uint(stats.steps_cached);
    json_.Key("rowsSummarized");
    json_.Uint(stats.rows_summarized);
    json_.Key("blocksOpened");
    json_.Uint(stats.blocks_opened);
    json_.Key("operators");
    json_.BeginArray();
    for (const query::OperatorStats& of : stats.operators) {
      json_.BeginObject();
      json_.Key("depth");
      json_.Uint(of.depth);
      json_.Field("operator", of.text);
      timing("totalTime", Seconds(of.total));
      timing("ownTime", Seconds(of.own));
      json_.Key("series");
      json_.Uint(of.series);
      json_.Key("samplesRead");
      json_.Uint(of.samples_read);
      json_.Key("rowsSummarized");
      json_.Uint(of.rows_summarized);
      json_.Key("blocksOpened");
      json_.Uint(of.blocks_opened);
      json_.EndObject();
    }
    json_.EndArray();
    json_.EndObject();
  }
  json_.EndObject();
}

}  // namespace basalt::http::api
