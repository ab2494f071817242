// What rows of recorded metrics cost: bytes a sample, apart by part and by kind, and nanoseconds of
// this thread's CPU beside Gorilla's. Prints a table; ../shared/data must be there.
//
//   codec_report            all tables
//   codec_report quick      without the expansion to 40 hosts
//   codec_report shapes     made-up metrics instead, of other statistics; needs no data
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <map>
#include <string>
#include <vector>

#include "bench/codec/gorilla.h"
#include "bench/codec/recorded_rows.h"
#include "bench/codec/shaped_rows.h"
#include "storage/codec/integer_column.h"
#include "storage/codec/raw_row.h"
#include "storage/codec/row_coding.h"
#include "storage/codec/row_mapping.h"
#include "storage/codec/row_summary.h"
#include "storage/codec/superblock.h"
#include "storage/codec/superblock_builder.h"

namespace basalt::bench {
namespace {

using namespace storage;  // NOLINT(google-build-using-namespace): a program of one file

struct Options {
  bool summaries = false;  // as a rewrite keeps them
  bool entropy = true;
};

std::vector<std::string> Build(const RecordedRows& in, const Options& options) {
  std::vector<std::string> blocks;
  SuperblockBuilder builder;
  uint32_t window = 0;
  for (const RecordedRow& row : in.rows) {
    if (row.window != window || builder.EstimatedBytes() >= kSuperblockTargetBytes ||
        builder.row_count() == kMaxRowsPerSuperblock) {
      if (!builder.empty()) blocks.push_back(builder.Finish());
      window = row.window;
    }
    const uint32_t number = row.window * in.targets + row.target;
    const uint32_t column = builder.AddSharedColumn(number, in.columns[number]).value();
    RowInput input{.ordinal = SeriesOrdinal{row.series}, .group = GroupId{row.target}};
    RowTimes placed{column, {}};
    if (row.time_ms.size() != in.columns[number].size())
      placed = builder.PlaceTimes(row.time_ms, column).value();
    input.time_column = placed.time_column;
    input.presence = placed.presence;
    input.values = row.values;
    input.options.entropy = options.entropy;
    RowSummary summary;
    if (options.summaries && row.values.size() >= kMinSummarySamples) {
      summary = SummarizeRow(row.time_ms, row.values, {});
      input.summary = &summary;
    }
    BASALT_CHECK(builder.AddRow(input).ok());
  }
  blocks.push_back(builder.Finish());
  return blocks;
}

size_t TimeBytes(const RecordedRows& in) {
  SuperblockBuilder builder;
  for (const auto& column : in.columns) BASALT_CHECK(builder.AddColumn(column).ok());
  return builder.Finish().size();
}

size_t TotalBytes(const std::vector<std::string>& blocks) {
  size_t bytes = 0;
  for (const auto& block : blocks) bytes += block.size();
  return bytes;
}

// Nanoseconds a sample: the fastest of several passes, since the machine is shared.
template <typename Pass>
double Nanoseconds(size_t samples, double seconds, Pass pass) {
  const auto now = [] {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
  };
  double best = 1e18;
  const double begin = now();
  for (int i = 0; i < 5 || (now() - begin < seconds * 1e9 && i < 40); ++i) {
    const double start = now();
    pass();
    best = std::min(best, now() - start);
  }
  return best / static_cast<double>(samples);
}

void DecodeAll(const std::vector<std::string>& blocks, RowDecoder& decoder,
               std::vector<double>& values) {
  for (const std::string& bytes : blocks) {
    const auto block = Superblock::Open(bytes);
    decoder.Reset(*block);
    for (uint32_t row = 0; row < block->row_count(); ++row) {
      const auto info = block->row(row);
      values.resize(info->samples);
      BASALT_CHECK(decoder.Values(row, values).ok());
    }
  }
}

void CheckBits(const RecordedRows& in, const std::vector<std::string>& blocks) {
  RowDecoder decoder;
  size_t next = 0;
  std::vector<double> values;
  for (const std::string& bytes : blocks) {
    const auto block = Superblock::Open(bytes);
    decoder.Reset(*block);
    for (uint32_t row = 0; row < block->row_count(); ++row, ++next) {
      values.resize(in.rows[next].values.size());
      BASALT_CHECK(decoder.Values(row, values).ok());
      BASALT_CHECK(std::memcmp(values.data(), in.rows[next].values.data(), values.size() * 8) == 0);
    }
  }
  BASALT_CHECK(next == in.rows.size());
}

void ReportGorilla(const RecordedRows& in, double& encode, double& decode, double& bytes) {
  std::vector<std::string> coded(in.rows.size());
  encode = Nanoseconds(in.samples, 0.5, [&] {
    for (size_t i = 0; i < coded.size(); ++i) {
      coded[i].clear();
      EncodeGorilla(in.rows[i].values, coded[i]);
    }
  });
  size_t total = 0;
  std::vector<double> out;
  for (size_t i = 0; i < coded.size(); ++i) {
    total += coded[i].size();
    coded[i].append(kGorillaPadding, '\0');
    out.resize(in.rows[i].values.size());
    DecodeGorilla(coded[i], out);
    BASALT_CHECK(std::memcmp(out.data(), in.rows[i].values.data(), out.size() * 8) == 0);
  }
  bytes = static_cast<double>(total) / static_cast<double>(in.samples);
  decode = Nanoseconds(in.samples, 0.5, [&] {
    for (size_t i = 0; i < coded.size(); ++i) {
      out.resize(in.rows[i].values.size());
      DecodeGorilla(coded[i], out);
    }
  });
}

const char* const kMappings[] = {"integer", "decimal", "corrected", "bits"};
const char* const kPredictors[] = {"constant", "frame",     "delta", "rising",
                                   "second",   "neighbour", "?",     "?"};

std::string KindOf(const RowParts& parts) {
  if (parts.repeats) return "repeats";
  if (static_cast<uint8_t>(parts.values[0]) == kRawMethod) return "raw";
  const auto method = ParseMethod(static_cast<uint8_t>(parts.values[0]));
  BASALT_CHECK(method.has_value());
  if (method->predictor == Predictor::kConstant) return "constant";
  MappingByte mapping;
  if (method->mapped) mapping = *ParseMapping(static_cast<uint8_t>(parts.values[1]));
  return std::string(kMappings[static_cast<size_t>(mapping.mapping)]) +
         (mapping.exceptions ? "+exc " : " ") +
         kPredictors[static_cast<size_t>(method->predictor)] + " " + StreamCoderName(method->coder);
}

// Rows of one kind. Times are of EncodeRow and DecodeRow alone; those that lean on another row have
// none.
struct Kind {
  size_t rows = 0;
  size_t samples = 0;
  size_t bytes = 0;
  std::vector<std::pair<std::string_view, const RecordedRow*>> alone;
};

void ReportKinds(const RecordedRows& in, const std::vector<std::string>& blocks) {
  std::map<std::string, Kind> kinds;
  size_t next = 0;
  for (const std::string& bytes : blocks) {
    const auto block = Superblock::Open(bytes);
    for (uint32_t row = 0; row < block->row_count(); ++row, ++next) {
      const auto parts = block->Parts(row);
      Kind& kind = kinds[KindOf(*parts)];
      ++kind.rows;
      kind.samples += in.rows[next].values.size();
      kind.bytes += parts->values.size();
      if (!parts->repeats && !NeedsReference(parts->values))
        kind.alone.emplace_back(parts->values, &in.rows[next]);
    }
  }
  std::vector<std::pair<std::string, Kind>> sorted(kinds.begin(), kinds.end());
  std::sort(sorted.begin(), sorted.end(),
            [](const auto& a, const auto& b) { return a.second.bytes > b.second.bytes; });
  std::printf("    %-34s %6s %9s %9s %10s %9s %9s\n", "kind", "rows", "samples", "B/sample",
              "of all B/s", "enc ns", "dec ns");
  for (const auto& [name, kind] : sorted) {
    std::printf("    %-34s %6zu %8.2f%% %9.4f %10.4f", name.c_str(), kind.rows,
                100.0 * static_cast<double>(kind.samples) / static_cast<double>(in.samples),
                static_cast<double>(kind.bytes) / static_cast<double>(kind.samples),
                static_cast<double>(kind.bytes) / static_cast<double>(in.samples));
    if (!kind.alone.empty()) {
      std::vector<double> values;
      std::string coded;
      size_t samples = 0;
      for (const auto& [bytes, row] : kind.alone) samples += row->values.size();
      const double encode = Nanoseconds(samples, 0.02, [&] {
        for (const auto& [bytes, row] : kind.alone) {
          coded.clear();
          BASALT_CHECK(EncodeRow(row->values, coded).ok());
        }
      });
      const double decode = Nanoseconds(samples, 0.02, [&] {
        for (const auto& [bytes, row] : kind.alone) {
          values.resize(row->values.size());
          BASALT_CHECK(DecodeRow(bytes, values).ok());
        }
      });
      std::printf(" %9.2f %9.2f", encode, decode);
    }
    std::printf("\n");
  }
}

void Report(const char* name, const RecordedRows& in, bool kinds, bool times) {
  if (in.rows.empty()) return;
  const auto per_sample = [&](size_t bytes) {
    return static_cast<double>(bytes) / static_cast<double>(in.samples);
  };
  const auto blocks = Build(in, {});
  CheckBits(in, blocks);
  size_t values = 0;
  for (const std::string& bytes : blocks) {
    const auto block = Superblock::Open(bytes);
    for (uint32_t row = 0; row < block->row_count(); ++row)
      values += block->Parts(row)->values.size();
  }
  const size_t total = TotalBytes(blocks);
  const size_t rewritten = TotalBytes(Build(in, {.summaries = true}));
  const size_t time_bytes = TimeBytes(in);
  std::printf(
      "%-28s %7zu rows %9zu samples: values %.4f + headers %.4f + times %.4f = %.4f B/sample; "
      "with summaries %.4f",
      name, in.rows.size(), in.samples, per_sample(values), per_sample(total - values),
      per_sample(time_bytes), per_sample(total + time_bytes), per_sample(rewritten + time_bytes));
  if (times) {
    double gorilla_encode = 0;
    double gorilla_decode = 0;
    double gorilla_bytes = 0;
    ReportGorilla(in, gorilla_encode, gorilla_decode, gorilla_bytes);
    const double encode = Nanoseconds(in.samples, 1, [&] { Build(in, {}); });
    RowDecoder decoder;
    std::vector<double> buffer;
    const double decode = Nanoseconds(in.samples, 1, [&] { DecodeAll(blocks, decoder, buffer); });
    std::printf(
        "\n    encode %.2f ns (Gorilla %.2f: x%.2f), decode %.2f ns (Gorilla %.2f: x%.2f); "
        "Gorilla %.3f B/sample",
        encode, gorilla_encode, encode / gorilla_encode, decode, gorilla_decode,
        decode / gorilla_decode, gorilla_bytes);
  }
  std::printf("\n");
  if (kinds) ReportKinds(in, blocks);
  std::fflush(stdout);
}

void ReportCut(const RowCut& cut, bool hosts) {
  std::printf("== rows of %zu samples, every %zu s\n", cut.samples, cut.stride);
  Report("trained half", CutRecorded(cut, Half::kTrained), false, false);
  Report("held-out half", CutRecorded(cut, Half::kHeldOut), false, false);
  Report("all", CutRecorded(cut, Half::kAll), true, true);
  if (!hosts) return;
  constexpr uint32_t kHosts = 40;
  Report("40 hosts, by target", CutRecorded(cut, Half::kHeldOut, kHosts, RowOrder::kByTarget),
         false, false);
  Report("40 hosts, by labels", CutRecorded(cut, Half::kHeldOut, kHosts, RowOrder::kByLabels),
         false, false);
}

// Rows by themselves, without their superblock's directory.
void ReportShapes(size_t samples) {
  constexpr size_t kRows = 64;
  std::printf("== made-up rows of %zu samples\n", samples);
  std::printf("    %-28s %9s %9s %9s %9s\n", "shape", "B/sample", "Gorilla", "enc ns", "dec ns");
  for (const Shape& shape : MakeShapes(kRows, samples, /*seed=*/1)) {
    size_t bytes = 0;
    size_t gorilla_bytes = 0;
    std::vector<std::string> coded(shape.rows.size());
    std::vector<double> values(samples);
    for (size_t i = 0; i < coded.size(); ++i) {
      BASALT_CHECK(EncodeRow(shape.rows[i], coded[i]).ok());
      BASALT_CHECK(coded[i].size() <= MaxRowBytes(samples));
      BASALT_CHECK(DecodeRow(coded[i], values).ok());
      BASALT_CHECK(std::memcmp(values.data(), shape.rows[i].data(), samples * 8) == 0);
      bytes += coded[i].size();
      std::string gorilla;
      EncodeGorilla(shape.rows[i], gorilla);
      gorilla_bytes += gorilla.size();
    }
    const size_t all = samples * coded.size();
    std::string scratch;
    const double encode = Nanoseconds(all, 0.1, [&] {
      for (const auto& row : shape.rows) {
        scratch.clear();
        BASALT_CHECK(EncodeRow(row, scratch).ok());
      }
    });
    const double decode = Nanoseconds(all, 0.1, [&] {
      for (const std::string& row : coded) BASALT_CHECK(DecodeRow(row, values).ok());
    });
    std::printf("    %-28s %9.4f %9.4f %9.2f %9.2f\n", shape.name.c_str(),
                static_cast<double>(bytes) / static_cast<double>(all),
                static_cast<double>(gorilla_bytes) / static_cast<double>(all), encode, decode);
  }
}

}  // namespace
}  // namespace basalt::bench

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "shapes") == 0) {
    basalt::bench::ReportShapes(512);
    basalt::bench::ReportShapes(120);
    return 0;
  }
  const bool quick = argc > 1 && std::strcmp(argv[1], "quick") == 0;
  basalt::bench::ReportCut({512, 1}, !quick);
  basalt::bench::ReportCut({60, 15}, !quick);
  basalt::bench::ReportCut({120, 1}, false);
  return 0;
}
