// Trains the built-in tables of the entropy coder on the families of ../shared/data that HalfOf
// calls trained, and prints them as storage/codec/entropy_tables_<set>.cc. The same data gives
// the same text.
//
//   train_tables 1 > storage/codec/entropy_tables_1.cc
//
// A set that superblocks have been written with is never trained again: add another one.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <utility>
#include <vector>

#include "bench/codec/recorded_rows.h"
#include "storage/codec/entropy_table.h"
#include "storage/codec/integer_column.h"
#include "storage/codec/row.h"
#include "storage/codec/row_coding.h"
#include "storage/codec/row_mapping.h"

namespace basalt::bench {
namespace {

using namespace storage;  // NOLINT(google-build-using-namespace): a program of one file

constexpr int kRounds = 40;
constexpr size_t kTables = EntropyTables::kCount;
constexpr size_t kTrained = kTables - 1;  // the universal one is the sum of all
// Every token up to the largest of a table's lists can come, however rare.
constexpr double kSmoothing = 2e-5;
// The states of a list's lanes and its table's number, about.
constexpr double kListBits = 32;

using Numbers = std::array<double, kTokens>;

// What one way of coding needs from one table.
struct List {
  Numbers histogram{};
  double extra_bits = 0;
  size_t table = 0;
  void Add(uint64_t value) {
    const Token token = TokenOf(value);
    ++histogram[token.token];
    extra_bits += token.extra_bits;
  }
};

// A residual stream: coded densely, or as gaps and values, or plainly.
struct Stream {
  List dense;
  List gaps;
  List values;
  double plain_bits = 0;
  double weight = 1;
};

// ---- Collecting.

Stream MakeStream(std::span<const uint64_t> residuals, size_t plain_bytes, double weight) {
  Stream stream;
  stream.plain_bits = static_cast<double>(plain_bytes) * 8;
  stream.weight = weight;
  size_t next = 0;
  for (size_t i = 0; i < residuals.size(); ++i) {
    if (i % kRowEntryInterval == 0) next = i;  // gaps begin anew where decoding may
    stream.dense.Add(residuals[i]);
    if (residuals[i] == 0) continue;
    stream.gaps.Add(i - next);
    stream.values.Add(residuals[i] - 1);
    next = i + 1;
  }
  return stream;
}

class Collector {
 public:
  void Collect(const RowCut& cut, double weight) {
    const RecordedRows in = CutRecorded(cut, Half::kTrained);
    std::vector<int64_t> before;
    for (const RecordedRow& row : in.rows) {
      std::vector<int64_t> integers(row.values.size());
      if (before.size() != integers.size()) before.clear();
      std::string bytes;
      const auto leans = EncodeRowAgainst(row.values, before, {.entropy = false}, bytes, integers);
      BASALT_CHECK(leans.ok());
      const auto method = *ParseMethod(static_cast<uint8_t>(bytes[0]));
      MappingByte mapping;
      if (method.mapped) mapping = *ParseMapping(static_cast<uint8_t>(bytes[1]));
      if (method.predictor != Predictor::kConstant)
        Add(integers, leans.value() ? before : std::vector<int64_t>(), weight);
      if (mapping.mapping == Mapping::kCorrected) AddCorrections(row, integers, mapping, weight);
      before = std::move(integers);
    }
  }

  std::vector<Stream> streams;

 private:
  void Add(const std::vector<int64_t>& integers, const std::vector<int64_t>& reference,
           double weight) {
    const IntegerPlan plan =
        PlanIntegers(integers, {EntryPoints::kEvery256, reference, /*entropy=*/false});
    if (plan.method.predictor == Predictor::kConstant) return;
    std::vector<uint64_t> residuals(integers.size());
    ComputeResiduals(integers, plan, reference, residuals);
    streams.push_back(MakeStream(residuals, plan.stream.bytes, weight));
  }

  void AddCorrections(const RecordedRow& row, const std::vector<int64_t>& integers,
                      const MappingByte& mapping, double weight) {
    std::vector<int64_t> corrections;
    for (size_t i = 0; i < integers.size(); ++i)
      corrections.push_back(Correction(row.values[i], integers[i], mapping.power));
    Add(corrections, {}, weight);
  }
};

// ---- Clustering: lists go to the table that codes them best, tables become the sum of their
// lists.

struct Table {
  TokenCounts counts{};
  Numbers cost{};  // bits
};

// Counts that add up to kEntropyStates and follow `sum`; each token to be coded has one at least.
Table Normalize(const Numbers& sum, bool universal) {
  Table table;
  const double total = std::max(1.0, std::accumulate(sum.begin(), sum.end(), 0.0));
  size_t top = 0;
  for (size_t t = 0; t < kTokens; ++t) {
    if (sum[t] > 0 || universal) top = t;
  }
  int left = static_cast<int>(kEntropyStates);
  for (size_t t = 0; t <= std::min<size_t>(top + 1, kTokens - 1); ++t) {
    const double share = (sum[t] / total + kSmoothing) * static_cast<double>(kEntropyStates);
    table.counts[t] = static_cast<uint16_t>(std::clamp(std::lround(share), 1L, 2000L));
    left -= table.counts[t];
  }
  while (left != 0) {  // rounding is put right where it matters least
    auto& most = *std::max_element(table.counts.begin(), table.counts.end());
    const int change = left > 0 ? left : -std::min(-left, std::max(1, most / 4));
    most = static_cast<uint16_t>(most + change);
    left -= change;
  }
  for (size_t t = 0; t < kTokens; ++t) {
    table.cost[t] =
        table.counts[t] == 0 ? 1e6 : kEntropyLog - std::log2(static_cast<double>(table.counts[t]));
  }
  return table;
}

double Cost(const List& list, const Table& table) {
  double bits = list.extra_bits;
  for (size_t t = 0; t < kTokens; ++t) {
    if (list.histogram[t] > 0) bits += list.histogram[t] * table.cost[t];
  }
  return bits;
}

double Assign(List& list, const std::vector<Table>& tables) {
  double best = 1e300;
  for (size_t i = 0; i < tables.size(); ++i) {
    const double bits = Cost(list, tables[i]);
    if (bits < best) best = bits, list.table = i;
  }
  return best + kListBits;
}

double MeanToken(const List& list) {
  double sum = 0;
  double count = 0;
  for (size_t t = 0; t < kTokens; ++t) {
    sum += static_cast<double>(t) * list.histogram[t];
    count += list.histogram[t];
  }
  return count > 0 ? sum / count : 0;
}

// To begin with, lists of one use are spread over a share of the tables by their mean.
void Spread(std::vector<Stream>& streams, List Stream::* use, size_t first, size_t count) {
  std::vector<std::pair<double, size_t>> order;
  for (size_t i = 0; i < streams.size(); ++i) order.emplace_back(MeanToken(streams[i].*use), i);
  std::sort(order.begin(), order.end());
  for (size_t i = 0; i < order.size(); ++i)
    (streams[order[i].second].*use).table = first + i * count / order.size();
}

std::vector<Table> Train(std::vector<Stream>& streams) {
  Spread(streams, &Stream::dense, 0, 22);
  Spread(streams, &Stream::gaps, 22, 18);
  Spread(streams, &Stream::values, 40, kTrained - 40);
  std::vector<Table> tables;
  for (int round = 0; round <= kRounds; ++round) {
    std::vector<Numbers> sums(kTables);
    double bits = 0;
    const auto add = [&](const List& list, double weight) {
      for (size_t t = 0; t < kTokens; ++t) {
        sums[list.table][t] += weight * list.histogram[t];
        sums[kTrained][t] += weight * list.histogram[t];
      }
    };
    for (Stream& s : streams) {
      if (round == 0) {
        for (const List* list : {&s.dense, &s.gaps, &s.values}) add(*list, s.weight);
        continue;
      }
      const double dense = Assign(s.dense, tables);
      const double split = Assign(s.gaps, tables) + Assign(s.values, tables);
      bits += s.weight * std::min({dense, split, s.plain_bits});
      // What is plainly smaller plain does not shape tables.
      if (s.plain_bits * 1.1 < std::min(dense, split)) continue;
      if (dense < split) {
        add(s.dense, s.weight);
      } else {
        add(s.gaps, s.weight);
        add(s.values, s.weight);
      }
    }
    if (round > 0) std::fprintf(stderr, "round %d: %.0f bytes\n", round, bits / 8);
    tables.clear();
    for (size_t i = 0; i < kTables; ++i) tables.push_back(Normalize(sums[i], i == kTrained));
  }
  return tables;
}

void Print(const std::vector<Table>& tables, const char* set) {
  std::printf("// Written by bench/codec/train_tables.cc; never edited.\n");
  std::printf("#include \"storage/codec/entropy_tables_%s.h\"\n\n", set);
  std::printf("namespace basalt::storage {\n\n// clang-format off\n");
  std::printf("const std::array<TokenCounts, EntropyTables::kCount> kTokenCounts%s = {{\n", set);
  for (const Table& table : tables) {
    size_t end = kTokens;
    while (table.counts[end - 1] == 0) --end;
    std::printf("    {");
    for (size_t t = 0; t < end; ++t)
      std::printf("%s%u", t == 0 ? "" : t % 20 == 0 ? ",\n     " : ", ", unsigned{table.counts[t]});
    std::printf("},\n");
  }
  std::printf("}};\n// clang-format on\n\n}  // namespace basalt::storage\n");
}

}  // namespace
}  // namespace basalt::bench

int main(int argc, char** argv) {
  using namespace basalt::bench;  // NOLINT(google-build-using-namespace): a program of one file
  if (argc != 2) {
    std::fprintf(stderr, "train_tables SET > storage/codec/entropy_tables_SET.cc\n");
    return 2;
  }
  // Scrapes of 1, 4 and 15 s in rows of a seal and of a rewrite; the longer interval weighs more,
  // since it is the usual one and gives the fewest samples.
  Collector collector;
  collector.Collect({512, 1}, 1);
  collector.Collect({120, 1}, 1);
  collector.Collect({225, 4}, 4);
  collector.Collect({60, 15}, 10);
  collector.Collect({30, 30}, 10);
  if (collector.streams.empty()) {
    std::fprintf(stderr, "../shared/data is not here\n");
    return 1;
  }
  Print(Train(collector.streams), argv[1]);
  return 0;
}
