#include <algorithm>
#include <array>
#include <cstdint>

#include "engine/base/varint.h"
#include "storage/codec/integer_column.h"
#include "storage/codec/raw_row.h"
#include "storage/codec/row.h"
#include "storage/codec/row_coding.h"
#include "storage/codec/row_mapping.h"

namespace basalt::storage {
namespace {

// What stands before the integers.
struct RowHeader {
  IntegerMethod method;
  MappingByte mapping;
};

Status ReadHeader(VarintReader& in, RowHeader& header) {
  std::string_view byte;
  if (!in.ReadBytes(1, byte)) return DataLoss("row: empty");
  const auto method = ParseMethod(static_cast<uint8_t>(byte[0]));
  if (!method)
    return DataLoss("row: unknown method " + std::to_string(static_cast<uint8_t>(byte[0])));
  header.method = *method;
  if (!method->mapped) return OkStatus();
  if (!in.ReadBytes(1, byte)) return DataLoss("row: cut off before the mapping");
  const auto mapping = ParseMapping(static_cast<uint8_t>(byte[0]));
  if (!mapping)
    return DataLoss("row: unknown mapping " + std::to_string(static_cast<uint8_t>(byte[0])));
  header.mapping = *mapping;
  return OkStatus();
}

bool IsConstant(const RowHeader& header) {
  return header.method.predictor == Predictor::kConstant && !header.mapping.exceptions &&
         header.mapping.mapping != Mapping::kCorrected;
}

Status CheckRange(size_t samples, size_t first, size_t count) {
  if (samples == 0 || samples > kMaxSamplesPerRow) {
    return DataLoss("row: " + std::to_string(samples) + " samples are not possible");
  }
  if (count == 0 || first > samples || count > samples - first) {
    return InvalidArgument("row: samples " + std::to_string(first) + " and " +
                           std::to_string(count) + " after it are not all among " +
                           std::to_string(samples));
  }
  return OkStatus();
}

bool IsRaw(std::string_view in) { return !in.empty() && static_cast<uint8_t>(in[0]) == kRawMethod; }

Status DecodeRaw(std::string_view in, size_t samples, size_t first, std::span<double> out,
                 std::span<int64_t> integers) {
  std::array<double, kMaxSamplesPerRow> buffer;
  const auto values = out.empty() ? std::span(buffer).first(integers.size()) : out;
  if (!ReadRawRow(in, samples, first, values))
    return DataLoss("row: the raw values do not fit " + std::to_string(samples) + " samples");
  std::transform(values.begin(), values.end(), integers.begin(), AsOrdered);
  return OkStatus();
}

}  // namespace

std::optional<ConstantRow> ReadConstantRow(std::string_view in) {
  // Bits 0-2 of the method: most rows that are not constant are seen by one look.
  if (in.empty() || (static_cast<unsigned char>(in[0]) & 7) != 0) return std::nullopt;
  VarintReader reader(in);
  RowHeader header;
  ConstantRow row;
  if (!ReadHeader(reader, header).ok() || !IsConstant(header) || !reader.ReadSigned(row.integer) ||
      !reader.done()) {
    return std::nullopt;
  }
  IntegersToDoubles(header.mapping, std::span(&row.integer, 1), {}, std::span(&row.value, 1));
  return row;
}

bool NeedsReference(std::string_view in) {
  // Bits 0-2 of the method; whether the rest of it is possible is seen when the row is decoded.
  return !in.empty() &&
         (static_cast<unsigned char>(in[0]) & 7) == static_cast<unsigned>(Predictor::kNeighbour);
}

Status DecodeRowAgainst(std::string_view in, size_t samples, std::span<const int64_t> reference,
                        size_t first, std::span<double> out, std::span<int64_t> integers) {
  BASALT_CHECK(out.empty() || out.size() == integers.size());
  BASALT_TRY(CheckRange(samples, first, integers.size()));
  if (IsRaw(in)) return DecodeRaw(in.substr(1), samples, first, out, integers);
  VarintReader reader(in);
  RowHeader header;
  BASALT_TRY(ReadHeader(reader, header));
  VarintReader again = reader;  // the exceptions, to be walked once more when the integers stand
  if (header.mapping.exceptions) {
    ExceptionReader exceptions(reader, samples);
    size_t position = 0;
    double value = 0;
    while (exceptions.Next(position, value)) continue;
    if (!exceptions.ok()) return DataLoss("row: the list of exceptions does not fit");
  }
  const IntegerRange range{samples, first, EntryPoints::kEvery256};
  if (!ReadIntegers(reader, header.method, range, integers, reference)) {
    return DataLoss("row: the integers do not fit " + std::to_string(samples) + " samples");
  }
  std::array<int64_t, kMaxSamplesPerRow> buffer;
  std::span<int64_t> corrections;
  if (header.mapping.mapping == Mapping::kCorrected) {
    corrections = std::span(buffer).first(integers.size());
    std::string_view byte;
    if (!reader.ReadBytes(1, byte)) return DataLoss("row: the corrections are missing");
    const auto method = ParseMethod(static_cast<uint8_t>(byte[0]));
    if (!method || method->mapped || !ReadIntegers(reader, *method, range, corrections)) {
      return DataLoss("row: the corrections do not fit " + std::to_string(samples) + " samples");
    }
  }
  if (!reader.done()) return DataLoss("row: bytes are left over");
  if (out.empty()) return OkStatus();
  if (IsConstant(header)) {
    IntegersToDoubles(header.mapping, integers.first(1), {}, out.first(1));
    std::fill(out.begin() + 1, out.end(), out[0]);
    return OkStatus();
  }
  IntegersToDoubles(header.mapping, integers, corrections, out);
  if (header.mapping.exceptions) {
    ExceptionReader exceptions(again, samples);
    size_t position = 0;
    double value = 0;
    while (exceptions.Next(position, value)) {
      if (position >= first && position - first < out.size()) out[position - first] = value;
    }
  }
  return OkStatus();
}

Status DecodeRow(std::string_view in, std::span<double> out) {
  return DecodeRowRange(in, out.size(), 0, out);
}

Status DecodeRowRange(std::string_view in, size_t samples, size_t first, std::span<double> out) {
  BASALT_TRY(CheckRange(samples, first, out.size()));
  std::array<int64_t, kMaxSamplesPerRow> buffer;
  return DecodeRowAgainst(in, samples, {}, first, out, std::span(buffer).first(out.size()));
}

}  // namespace basalt::storage
