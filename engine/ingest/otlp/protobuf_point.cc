#include "engine/ingest/otlp/protobuf_point.h"

#include <array>
#include <utility>

#include "engine/ingest/otlp/any_value.h"
#include "engine/ingest/wire.h"

namespace basalt::ingest::otlp {

using protozero::pbf_reader;
using protozero::tag_and_type;
using wire::kBytes;
using wire::kFixed64;
using wire::kVarint;

namespace {

std::string_view Text(pbf_reader& field) { return wire::View(field.get_view()); }

AnyValue::Entry ReadKeyValue(pbf_reader message, int depth);

AnyValue ReadValue(pbf_reader message, int depth) {
  if (depth > kMaxValueDepth) throw TooDeep();
  AnyValue value;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(1, kBytes):
        value.kind = AnyValue::Kind::kString;
        value.text = Text(message);
        break;
      case tag_and_type(2, kVarint):
        value.kind = AnyValue::Kind::kBool;
        value.flag = wire::ReadBool(message);
        break;
      case tag_and_type(3, kVarint):
        value.kind = AnyValue::Kind::kInt;
        value.integer = message.get_int64();
        break;
      case tag_and_type(4, kFixed64):
        value.kind = AnyValue::Kind::kDouble;
        value.number = message.get_double();
        break;
      case tag_and_type(5, kBytes):
        value.kind = AnyValue::Kind::kList;
        for (pbf_reader list = message.get_message(); list.next();) {
          if (list.tag_and_type() == tag_and_type(1, kBytes)) {
            value.list.push_back(ReadValue(list.get_message(), depth + 1));
          } else {
            list.skip();
          }
        }
        break;
      case tag_and_type(6, kBytes):
        value.kind = AnyValue::Kind::kMap;
        for (pbf_reader map = message.get_message(); map.next();) {
          if (map.tag_and_type() == tag_and_type(1, kBytes)) {
            value.map.push_back(ReadKeyValue(map.get_message(), depth + 1));
          } else {
            map.skip();
          }
        }
        break;
      case tag_and_type(7, kBytes):
        value.kind = AnyValue::Kind::kBytes;
        value.text = Text(message);
        break;
      default:
        message.skip();
    }
  }
  return value;
}

AnyValue::Entry ReadKeyValue(pbf_reader message, int depth) {
  AnyValue::Entry out;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(1, kBytes):
        out.key = Text(message);
        break;
      case tag_and_type(2, kBytes):
        out.value = ReadValue(message.get_message(), depth);
        break;
      default:
        message.skip();
    }
  }
  return out;
}

template <typename T, typename Range>
void AppendAll(std::vector<T>& out, const Range& range) {
  for (const T value : range) out.push_back(value);
}

Buckets ReadBuckets(pbf_reader message) {
  Buckets buckets;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(1, kVarint):
        buckets.offset = message.get_sint32();
        break;
      case tag_and_type(2, kBytes):
        AppendAll(buckets.counts, message.get_packed_uint64());
        break;
      case tag_and_type(2, kVarint):
        buckets.counts.push_back(message.get_uint64());
        break;
      default:
        message.skip();
    }
  }
  return buckets;
}

Quantile ReadQuantile(pbf_reader message) {
  Quantile quantile;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(1, kFixed64):
        quantile.quantile = message.get_double();
        break;
      case tag_and_type(2, kFixed64):
        quantile.value = message.get_double();
        break;
      default:
        message.skip();
    }
  }
  return quantile;
}

void Clear(Point& point) {
  point.start_ns = point.time_ns = point.count = point.zero_count = 0;
  point.flags = 0;
  point.scale = 0;
  point.zero_threshold = 0;
  point.value.reset();
  point.sum.reset();
  point.attributes.clear();
  point.exemplars.clear();
  point.bucket_counts.clear();
  point.explicit_bounds.clear();
  point.quantiles.clear();
  point.positive.offset = point.negative.offset = 0;
  point.positive.counts.clear();
  point.negative.counts.clear();
}

// Every kind of point has its times in fields 2 and 3, and these three somewhere.
struct Layout {
  uint32_t attributes;
  uint32_t exemplars;
  uint32_t flags;
};
constexpr Layout kNumber = {.attributes = 7, .exemplars = 5, .flags = 8};
constexpr Layout kHistogram = {.attributes = 9, .exemplars = 8, .flags = 10};
constexpr Layout kExponential = {.attributes = 1, .exemplars = 11, .flags = 10};
constexpr uint32_t kNoField = 0;
constexpr Layout kSummary = {.attributes = 7, .exemplars = kNoField, .flags = 8};

// All but numbers: fields 4 and 5. False: the field is another one.
bool ReadTotals(pbf_reader& message, Point& point) {
  switch (message.tag_and_type()) {
    case tag_and_type(4, kFixed64):
      point.count = message.get_fixed64();
      return true;
    case tag_and_type(5, kFixed64):
      point.sum = message.get_double();
      return true;
    default:
      return false;
  }
}

bool ReadNumberField(pbf_reader& message, Point& point) {
  switch (message.tag_and_type()) {
    case tag_and_type(4, kFixed64):
      point.value = message.get_double();
      return true;
    case tag_and_type(6, kFixed64):
      point.value = static_cast<double>(message.get_sfixed64());
      return true;
    default:
      return false;
  }
}

bool ReadHistogramField(pbf_reader& message, Point& point) {
  switch (message.tag_and_type()) {
    case tag_and_type(6, kBytes):
      AppendAll(point.bucket_counts, message.get_packed_fixed64());
      return true;
    case tag_and_type(6, kFixed64):
      point.bucket_counts.push_back(message.get_fixed64());
      return true;
    case tag_and_type(7, kBytes):
      AppendAll(point.explicit_bounds, message.get_packed_double());
      return true;
    case tag_and_type(7, kFixed64):
      point.explicit_bounds.push_back(message.get_double());
      return true;
    default:
      return ReadTotals(message, point);
  }
}

bool ReadExponentialField(pbf_reader& message, Point& point) {
  switch (message.tag_and_type()) {
    case tag_and_type(6, kVarint):
      point.scale = message.get_sint32();
      return true;
    case tag_and_type(7, kFixed64):
      point.zero_count = message.get_fixed64();
      return true;
    case tag_and_type(8, kBytes):
      point.positive = ReadBuckets(message.get_message());
      return true;
    case tag_and_type(9, kBytes):
      point.negative = ReadBuckets(message.get_message());
      return true;
    case tag_and_type(14, kFixed64):
      point.zero_threshold = message.get_double();
      return true;
    default:
      return ReadTotals(message, point);
  }
}

bool ReadSummaryField(pbf_reader& message, Point& point) {
  if (message.tag_and_type() != tag_and_type(6, kBytes)) return ReadTotals(message, point);
  point.quantiles.push_back(ReadQuantile(message.get_message()));
  return true;
}

// How each kind is read, by MetricKind.
struct Kind {
  const Layout& layout;
  bool (*read_field)(pbf_reader& message, Point& point);
};
constexpr std::array<Kind, 5> kKinds = {{{kNumber, ReadNumberField},
                                         {kNumber, ReadNumberField},
                                         {kHistogram, ReadHistogramField},
                                         {kExponential, ReadExponentialField},
                                         {kSummary, ReadSummaryField}}};

}  // namespace

const Point& PointReader::Read(pbf_reader message, MetricKind kind) {
  Clear(point_);
  if (kind == MetricKind::kSummary) point_.sum = 0;  // not optional there
  const auto& [layout, read_field] = kKinds[static_cast<size_t>(kind)];
  while (message.next()) {
    const uint32_t tag = message.tag();
    const protozero::pbf_wire_type type = message.wire_type();
    if (tag == 2 && type == kFixed64) {
      point_.start_ns = message.get_fixed64();
    } else if (tag == 3 && type == kFixed64) {
      point_.time_ns = message.get_fixed64();
    } else if (tag == layout.attributes && type == kBytes) {
      AddAttribute(message.get_message(), point_.attributes);
    } else if (tag == layout.exemplars && type == kBytes) {
      AddExemplar(message.get_message());
    } else if (tag == layout.flags && type == kVarint) {
      point_.flags = message.get_uint32();
    } else if (!read_field(message, point_)) {
      message.skip();
    }
  }
  return point_;
}

void PointReader::AddExemplar(pbf_reader message) {
  Exemplar exemplar;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(2, kFixed64):
        exemplar.time_ns = message.get_fixed64();
        break;
      case tag_and_type(3, kFixed64):
        exemplar.value = message.get_double();
        break;
      case tag_and_type(4, kBytes):
        exemplar.span_id = Keep(HexOf(Text(message)));
        break;
      case tag_and_type(5, kBytes):
        exemplar.trace_id = Keep(HexOf(Text(message)));
        break;
      case tag_and_type(6, kFixed64):
        exemplar.value = static_cast<double>(message.get_sfixed64());
        break;
      case tag_and_type(7, kBytes):
        AddAttribute(message.get_message(), exemplar.attributes);
        break;
      default:
        message.skip();
    }
  }
  point_.exemplars.push_back(std::move(exemplar));
}

void PointReader::AddAttribute(pbf_reader message, Attributes& out) {
  auto [key, value] = ReadKeyValue(message, 0);
  out.push_back({key, value.kind == AnyValue::Kind::kString ? value.text : Keep(ToText(value))});
}

std::string_view PointReader::Keep(std::string text) {
  if (text.empty()) return {};
  return texts_.emplace_back(std::move(text));
}

}  // namespace basalt::ingest::otlp
