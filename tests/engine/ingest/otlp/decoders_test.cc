// The two decoders against each other: the same request in both encodings is the same walk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <protozero/pbf_writer.hpp>
#include <sstream>

#include "engine/ingest/otlp/any_value.h"
#include "engine/ingest/otlp/json_decoder.h"
#include "engine/ingest/otlp/protobuf_decoder.h"

namespace basalt::ingest::otlp {
namespace {

using protozero::pbf_writer;
using testing::HasSubstr;

// Writes down what it sees.
class Recorder final : public Visitor {
 public:
  void BeginResource(const Attributes& a) override { out << "resource" << Text(a) << "\n"; }
  void EndResource() override { out << "end\n"; }
  void BeginScope(const Scope& s) override {
    out << "scope " << s.name << "," << s.version << "," << s.schema_url << Text(s.attributes)
        << "\n";
  }
  void BeginMetric(const MetricHeader& m) override {
    out << "metric " << m.name << "," << m.description << "," << m.unit << ","
        << static_cast<int>(m.kind) << "," << static_cast<int>(m.temporality) << ","
        << m.is_monotonic << "\n";
  }
  void SkipMetric(std::string_view name) override { out << "skip " << name << "\n"; }
  void AddPoint(const Point& p) override {
    out << "point " << p.start_ns << "," << p.time_ns << "," << p.flags << "," << Text(p.value)
        << "," << p.count << "," << Text(p.sum) << Text(p.attributes);
    for (const uint64_t c : p.bucket_counts) out << " c" << c;
    for (const double b : p.explicit_bounds) out << " b" << b;
    out << " scale" << p.scale << " zero" << p.zero_count << "/" << p.zero_threshold;
    for (const Buckets* side : {&p.positive, &p.negative}) {
      out << " @" << side->offset;
      for (const uint64_t c : side->counts) out << ":" << c;
    }
    for (const Quantile& q : p.quantiles) out << " q" << q.quantile << "=" << q.value;
    for (const Exemplar& e : p.exemplars) {
      out << " ex" << e.time_ns << "," << Text(e.value) << "," << e.trace_id << "," << e.span_id
          << Text(e.attributes);
    }
    out << "\n";
  }
  std::ostringstream out;

 private:
  static std::string Text(const std::optional<double>& value) {
    return value ? std::to_string(*value) : "-";
  }
  static std::string Text(const Attributes& attributes) {
    std::string text = "{";
    for (const Attribute& a : attributes)
      text += std::string(a.key) + "=" + std::string(a.value) + ";";
    return text + "}";
  }
};

std::string WalkOfJson(const std::string& json) {
  JsonDecoder decoder;
  Recorder recorder;
  const Status status = decoder.Decode(json, recorder);
  return status.ok() ? recorder.out.str() : std::string(status.message());
}

std::string WalkOfProtobuf(const std::string& bytes) {
  ProtobufDecoder decoder;
  Recorder recorder;
  const Status status = decoder.Decode(bytes, recorder);
  return status.ok() ? recorder.out.str() : std::string(status.message());
}

void WriteAttribute(pbf_writer& parent, uint32_t field, const std::string& key,
                    const std::string& value) {
  pbf_writer attribute(parent, field);
  attribute.add_string(1, key);
  pbf_writer any(attribute, 2);
  any.add_string(1, value);
}

// One resource, one scope, one metric whose data is `data` in field `field`.
std::string Wrap(uint32_t field, const std::string& data) {
  std::string bytes;
  pbf_writer request(bytes);
  pbf_writer resource_metrics(request, 1);
  {
    pbf_writer resource(resource_metrics, 1);
    WriteAttribute(resource, 1, "service.name", "shop");
  }
  pbf_writer scope_metrics(resource_metrics, 2);
  {
    pbf_writer scope(scope_metrics, 1);
    scope.add_string(1, "lib");
    scope.add_string(2, "2");
    WriteAttribute(scope, 3, "k", "v");
  }
  scope_metrics.add_string(3, "url");
  pbf_writer metric(scope_metrics, 2);
  metric.add_string(1, "m");
  metric.add_string(2, "help");
  metric.add_string(3, "s");
  metric.add_message(field, data);
  metric.commit();
  scope_metrics.commit();
  resource_metrics.commit();
  return bytes;
}

std::string WrapJson(const std::string& data) {
  return R"({"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":)"
         R"({"stringValue":"shop"}}]},"scopeMetrics":[{"scope":{"name":"lib","version":"2",)"
         R"("attributes":[{"key":"k","value":{"stringValue":"v"}}]},"schemaUrl":"url","metrics":)"
         R"([{"name":"m","description":"help","unit":"s",)" +
         data + "}]}]}]}";
}

void WriteExemplar(pbf_writer& point, uint32_t field) {
  pbf_writer exemplar(point, field);
  exemplar.add_fixed64(2, 99);
  exemplar.add_double(3, 1.25);
  exemplar.add_bytes(4, std::string("\x01\xfe", 2));
  exemplar.add_bytes(5, std::string("\xab\x00", 2));
  WriteAttribute(exemplar, 7, "f", "g");
}
constexpr const char* kExemplarJson =
    R"("exemplars":[{"timeUnixNano":"99","asDouble":1.25,"spanId":"01fe","traceId":"ab00",)"
    R"("filteredAttributes":[{"key":"f","value":{"stringValue":"g"}}]}])";

TEST(OtlpDecoders, AgreeOnSums) {
  std::string data;
  {
    pbf_writer sum(data);
    {
      pbf_writer point(sum, 1);
      point.add_fixed64(2, 5);
      point.add_fixed64(3, 6);
      point.add_sfixed64(6, -7);
      WriteExemplar(point, 5);
      WriteAttribute(point, 7, "a", "b");
      point.add_uint32(8, 1);
      point.add_string(99, "a field of tomorrow");
    }
    // After the points, as encoders write them.
    sum.add_enum(2, 1);
    sum.add_bool(3, true);
  }
  const std::string walk = WalkOfProtobuf(Wrap(7, data));
  EXPECT_EQ(
      walk,
      WalkOfJson(WrapJson(std::string(R"("sum":{"isMonotonic":true,"aggregationTemporality":1,)"
                                      R"("dataPoints":[{"startTimeUnixNano":"5","timeUnixNano":6,)"
                                      R"("asInt":"-7","flags":1,"tomorrow":[{}],"attributes":)"
                                      R"([{"key":"a","value":{"stringValue":"b"}}],)") +
                          kExemplarJson + "}]}")));
  EXPECT_THAT(walk, HasSubstr("metric m,help,s,1,1,1\n"));
  EXPECT_THAT(walk, HasSubstr("point 5,6,1,-7.000000,"));
  EXPECT_THAT(walk, HasSubstr("ex99,1.250000,ab00,01fe{f=g;}"));
}

TEST(OtlpDecoders, AgreeOnHistograms) {
  std::string data;
  {
    pbf_writer histogram(data);
    histogram.add_enum(2, 2);
    pbf_writer point(histogram, 1);
    point.add_fixed64(2, 5);
    point.add_fixed64(3, 6);
    point.add_fixed64(4, 10);
    point.add_double(5, 0.5);
    const std::vector<uint64_t> counts = {1, 2, 7};
    const std::vector<double> bounds = {0.1, 2.5};
    point.add_packed_fixed<uint64_t>(6, counts.begin(), counts.end());
    point.add_packed_double(7, bounds.begin(), bounds.end());
    WriteExemplar(point, 8);
    WriteAttribute(point, 9, "a", "b");
  }
  const std::string walk = WalkOfProtobuf(Wrap(9, data));
  EXPECT_EQ(walk,
            WalkOfJson(WrapJson(
                std::string(R"("histogram":{"aggregationTemporality":)"
                            R"("AGGREGATION_TEMPORALITY_CUMULATIVE","dataPoints":[)"
                            R"({"start_time_unix_nano":5,"time_unix_nano":"6","count":"10",)"
                            R"("sum":0.5,"bucketCounts":["1",2,"7"],"explicitBounds":[0.1,2.5],)"
                            R"("attributes":[{"key":"a","value":{"stringValue":"b"}}],)") +
                kExemplarJson + "}]}")));
  EXPECT_THAT(walk, HasSubstr(" c1 c2 c7 b0.1 b2.5"));
}

TEST(OtlpDecoders, AgreeOnExponentialHistograms) {
  std::string data;
  {
    pbf_writer histogram(data);
    histogram.add_enum(2, 2);
    pbf_writer point(histogram, 1);
    WriteAttribute(point, 1, "a", "b");
    point.add_fixed64(3, 6);
    point.add_fixed64(4, 10);
    point.add_sint32(6, -2);
    point.add_fixed64(7, 3);
    {
      pbf_writer positive(point, 8);
      positive.add_sint32(1, -4);
      const std::vector<uint64_t> counts = {1, 0, 6};
      positive.add_packed_uint64(2, counts.begin(), counts.end());
    }
    WriteExemplar(point, 11);
    point.add_double(14, 0.125);
  }
  const std::string walk = WalkOfProtobuf(Wrap(10, data));
  EXPECT_EQ(walk, WalkOfJson(WrapJson(
                      std::string(R"("exponentialHistogram":{"aggregationTemporality":2,)"
                                  R"("dataPoints":[{"timeUnixNano":6,"count":10,"scale":-2,)"
                                  R"("zeroCount":3,"zeroThreshold":0.125,"positive":{"offset":-4,)"
                                  R"("bucketCounts":["1","0","6"]},"attributes":[{"key":"a",)"
                                  R"("value":{"stringValue":"b"}}],)") +
                      kExemplarJson + "}]}")));
  EXPECT_THAT(walk, HasSubstr("scale-2 zero3/0.125 @-4:1:0:6 @0"));
}

TEST(OtlpDecoders, AgreeOnSummaries) {
  std::string data;
  {
    pbf_writer summary(data);
    pbf_writer point(summary, 1);
    point.add_fixed64(3, 6);
    point.add_fixed64(4, 10);
    point.add_double(5, 4.5);
    {
      pbf_writer quantile(point, 6);
      quantile.add_double(1, 0.5);
      quantile.add_double(2, 7);
    }
    WriteAttribute(point, 7, "a", "b");
  }
  const std::string walk = WalkOfProtobuf(Wrap(11, data));
  EXPECT_EQ(walk, WalkOfJson(
                      WrapJson(R"("summary":{"dataPoints":[{"timeUnixNano":6,"count":10,"sum":4.5,)"
                               R"("quantileValues":[{"quantile":0.5,"value":7}],"attributes":)"
                               R"([{"key":"a","value":{"stringValue":"b"}}]}]})")));
  EXPECT_THAT(walk, HasSubstr("q0.5=7"));
}

TEST(OtlpDecoders, AttributesOfAllTypesAreText) {
  std::string data;
  {
    pbf_writer gauge(data);
    pbf_writer point(gauge, 1);
    const auto attribute = [&](const std::string& key, const auto& write) {
      pbf_writer kv(point, 7);
      kv.add_string(1, key);
      pbf_writer any(kv, 2);
      write(any);
    };
    attribute("bool", [](pbf_writer& any) { any.add_bool(2, false); });
    attribute("int", [](pbf_writer& any) { any.add_int64(3, -42); });
    attribute("double", [](pbf_writer& any) { any.add_double(4, 1e-7); });
    attribute("whole", [](pbf_writer& any) { any.add_double(4, 3); });
    attribute("bytes", [](pbf_writer& any) { any.add_bytes(7, "ab"); });
    attribute("list", [](pbf_writer& any) {
      pbf_writer list(any, 5);
      {
        pbf_writer one(list, 1);
        one.add_string(1, "<x>");
      }
      pbf_writer two(list, 1);
      two.add_int64(3, 2);
    });
    attribute("map", [](pbf_writer& any) {
      pbf_writer map(any, 6);
      WriteAttribute(map, 1, "z", "1");
      WriteAttribute(map, 1, "a", "2");
    });
    attribute("empty", [](pbf_writer&) {});
  }
  const std::string walk = WalkOfProtobuf(Wrap(5, data));
  EXPECT_THAT(walk, HasSubstr(R"({bool=false;int=-42;double=1e-7;whole=3;bytes=YWI=;)"
                              R"(list=["\u003cx\u003e",2];map={"a":"2","z":"1"};empty=;})"));
  EXPECT_EQ(
      walk,
      WalkOfJson(WrapJson(
          R"("gauge":{"dataPoints":[{"attributes":[{"key":"bool","value":{"boolValue":false}},)"
          R"({"key":"int","value":{"intValue":"-42"}},{"key":"double","value":)"
          R"({"doubleValue":1e-7}},{"key":"whole","value":{"doubleValue":3}},{"key":"bytes",)"
          R"("value":{"bytesValue":"YWI="}},{"key":"list","value":{"arrayValue":{"values":)"
          R"([{"stringValue":"<x>"},{"intValue":2}]}}},{"key":"map","value":{"kvlistValue":)"
          R"({"values":[{"key":"z","value":{"stringValue":"1"}},{"key":"a","value":)"
          R"({"stringValue":"2"}}]}}},{"key":"empty","value":{}}]}]})")));
}

TEST(OtlpDecoders, AttributesNestedTooDeepAreRefused) {
  std::string any;
  std::string json = R"({"intValue":1})";
  for (int i = 0; i <= kMaxValueDepth; ++i) {
    std::string list;
    pbf_writer(list).add_message(1, any);
    any.clear();
    pbf_writer(any).add_message(5, list);
    json = R"({"arrayValue":{"values":[)" + json + "]}}";
  }
  std::string data;
  {
    pbf_writer gauge(data);
    pbf_writer point(gauge, 1);
    pbf_writer attribute(point, 7);
    attribute.add_message(2, any);
  }
  EXPECT_THAT(WalkOfProtobuf(Wrap(5, data)), HasSubstr("nested too deep"));
  EXPECT_THAT(WalkOfJson(WrapJson(R"("gauge":{"dataPoints":[{"attributes":[{"key":"k","value":)" +
                                  json + "}]}]}")),
              HasSubstr("nested too deep"));
}

TEST(OtlpDecoders, WrongJsonNamesTheField) {
  EXPECT_THAT(WalkOfJson("{"), HasSubstr("OTLP metrics request"));
  EXPECT_THAT(WalkOfJson("[]"), HasSubstr("needs an object"));
  EXPECT_THAT(WalkOfJson(R"({"resourceMetrics":{}})"), HasSubstr("resourceMetrics: needs a list"));
  EXPECT_THAT(WalkOfJson(WrapJson(R"("gauge":{"dataPoints":[{"timeUnixNano":"soon"}]})")),
              HasSubstr(R"(metric "m": timeUnixNano: needs a whole number)"));
  EXPECT_THAT(WalkOfJson(WrapJson(R"("gauge":{"dataPoints":[{"flags":-1}]})")),
              HasSubstr("flags: needs a whole number"));
}

// Cut anywhere, a request is an error or a shorter walk, never a crash; sanitizers watch.
RC_GTEST_PROP(OtlpDecoders, TakeBytesThatWereCutOrChanged, ()) {
  std::string data;
  {
    pbf_writer sum(data);
    pbf_writer point(sum, 1);
    point.add_fixed64(3, *rc::gen::arbitrary<uint64_t>());
    WriteExemplar(point, 5);
    WriteAttribute(point, 7, *rc::gen::string<std::string>(), "b");
  }
  std::string bytes = Wrap(7, data);
  const auto at = *rc::gen::inRange<size_t>(0, bytes.size());
  if (*rc::gen::arbitrary<bool>()) {
    bytes.resize(at);
  } else {
    bytes[at] = *rc::gen::arbitrary<char>();
  }
  WalkOfProtobuf(bytes);
}

}  // namespace
}  // namespace basalt::ingest::otlp
