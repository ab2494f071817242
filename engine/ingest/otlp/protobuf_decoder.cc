#include "engine/ingest/otlp/protobuf_decoder.h"

#include <protozero/pbf_reader.hpp>
#include <string>

#include "engine/ingest/otlp/protobuf_point.h"
#include "engine/ingest/wire.h"

namespace basalt::ingest::otlp {

using protozero::pbf_reader;
using protozero::tag_and_type;
using wire::kBytes;
using wire::kFixed64;
using wire::kVarint;

namespace {

struct DataField {
  uint32_t number;
  MetricKind kind;
};
constexpr DataField kDataFields[] = {{5, MetricKind::kGauge},
                                     {7, MetricKind::kSum},
                                     {9, MetricKind::kHistogram},
                                     {10, MetricKind::kExponentialHistogram},
                                     {11, MetricKind::kSummary}};

}  // namespace

// One request. Fields may come in any order, and a part's own fields may follow what it contains
// (a temporality after its points), so messages with parts are read twice; the first time costs
// their field headers.
class ProtobufDecoder::Walk {
 public:
  Walk(ProtobufDecoder& decoder, Visitor& visitor) : d_(decoder), visitor_(visitor) {}

  void Request(pbf_reader message) {
    while (message.next()) {
      if (message.tag_and_type() == tag_and_type(1, kBytes)) {
        Resource(message.get_message());
      } else {
        message.skip();
      }
    }
  }

 private:
  void Resource(const pbf_reader message) {
    d_.attributes_.clear();
    for (pbf_reader fields = message; fields.next();) {
      if (fields.tag_and_type() != tag_and_type(1, kBytes)) {
        fields.skip();
        continue;
      }
      for (pbf_reader resource = fields.get_message(); resource.next();) {
        if (resource.tag_and_type() == tag_and_type(1, kBytes)) {
          d_.points_->AddAttribute(resource.get_message(), d_.attributes_);
        } else {
          resource.skip();
        }
      }
    }
    visitor_.BeginResource(d_.attributes_);
    for (pbf_reader fields = message; fields.next();) {
      if (fields.tag_and_type() == tag_and_type(2, kBytes)) {
        ScopeMetrics(fields.get_message());
      } else {
        fields.skip();
      }
    }
    visitor_.EndResource();
  }

  void ScopeMetrics(const pbf_reader message) {
    Scope& scope = d_.scope_;
    scope.name = scope.version = scope.schema_url = {};
    scope.attributes.clear();
    for (pbf_reader fields = message; fields.next();) {
      switch (fields.tag_and_type()) {
        case tag_and_type(1, kBytes):
          ReadScope(fields.get_message());
          break;
        case tag_and_type(3, kBytes):
          scope.schema_url = wire::View(fields.get_view());
          break;
        default:
          fields.skip();
      }
    }
    visitor_.BeginScope(scope);
    for (pbf_reader fields = message; fields.next();) {
      if (fields.tag_and_type() == tag_and_type(2, kBytes)) {
        Metric(fields.get_message());
      } else {
        fields.skip();
      }
    }
  }

  void ReadScope(pbf_reader message) {
    while (message.next()) {
      switch (message.tag_and_type()) {
        case tag_and_type(1, kBytes):
          d_.scope_.name = wire::View(message.get_view());
          break;
        case tag_and_type(2, kBytes):
          d_.scope_.version = wire::View(message.get_view());
          break;
        case tag_and_type(3, kBytes):
          d_.points_->AddAttribute(message.get_message(), d_.scope_.attributes);
          break;
        default:
          message.skip();
      }
    }
  }

  void Metric(pbf_reader message) {
    MetricHeader header;
    pbf_reader data;
    bool has_data = false;
    while (message.next()) {
      switch (message.tag_and_type()) {
        case tag_and_type(1, kBytes):
          header.name = wire::View(message.get_view());
          break;
        case tag_and_type(2, kBytes):
          header.description = wire::View(message.get_view());
          break;
        case tag_and_type(3, kBytes):
          header.unit = wire::View(message.get_view());
          break;
        default: {
          const DataField* const field = FindData(message);
          if (field == nullptr) {
            message.skip();
            break;
          }
          header.kind = field->kind;
          data = message.get_message();
          has_data = true;
        }
      }
    }
    if (!has_data) return visitor_.SkipMetric(header.name);
    if (header.kind != MetricKind::kGauge && header.kind != MetricKind::kSummary)
      ReadDataFlags(data, header);
    visitor_.BeginMetric(header);
    while (data.next()) {
      if (data.tag_and_type() == tag_and_type(1, kBytes)) {
        visitor_.AddPoint(d_.points_->Read(data.get_message(), header.kind));
      } else {
        data.skip();
      }
    }
  }

  static const DataField* FindData(const pbf_reader& message) {
    if (message.wire_type() != kBytes) return nullptr;
    for (const DataField& field : kDataFields) {
      if (field.number == message.tag()) return &field;
    }
    return nullptr;
  }

  static void ReadDataFlags(pbf_reader data, MetricHeader& header) {
    while (data.next()) {
      switch (data.tag_and_type()) {
        case tag_and_type(2, kVarint): {
          const int32_t temporality = data.get_enum();
          header.temporality = temporality == 1   ? Temporality::kDelta
                               : temporality == 2 ? Temporality::kCumulative
                                                  : Temporality::kUnspecified;
          break;
        }
        case tag_and_type(3, kVarint):
          header.is_monotonic = wire::ReadBool(data);
          break;
        default:
          data.skip();
      }
    }
  }

  ProtobufDecoder& d_;
  Visitor& visitor_;
};

ProtobufDecoder::ProtobufDecoder() : points_(std::make_unique<PointReader>()) {}
ProtobufDecoder::~ProtobufDecoder() = default;
ProtobufDecoder::ProtobufDecoder(ProtobufDecoder&&) noexcept = default;
ProtobufDecoder& ProtobufDecoder::operator=(ProtobufDecoder&&) noexcept = default;

Status ProtobufDecoder::Decode(std::string_view message, Visitor& visitor) {
  points_->BeginRequest();
  try {
    Walk(*this, visitor).Request(pbf_reader(message.data(), message.size()));
  } catch (const protozero::exception& e) {
    return InvalidArgument(std::string("OTLP metrics request: ") + e.what());
  } catch (const TooDeep& e) {
    return InvalidArgument(std::string("OTLP metrics request: ") + e.what());
  }
  return OkStatus();
}

}  // namespace basalt::ingest::otlp
