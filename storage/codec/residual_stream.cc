#include "storage/codec/residual_stream.h"

#include <algorithm>
#include <array>
#include <bit>

#include "engine/base/status.h"
#include "storage/codec/bit_pack.h"
#include "storage/codec/entropy_coder.h"
#include "storage/codec/entropy_table.h"
#include "storage/codec/kernels.h"
#include "storage/codec/plain_streams.h"
#include "storage/codec/row.h"

namespace basalt::storage {
namespace {

// With less than one zero in so many residuals leaving out zeros is not tried.
constexpr size_t kFewestZeros = 8;
// What a number out of a table must save, in eighths of a bit: it costs its reader a few
// nanoseconds.
constexpr size_t kReadingPrice = 3;
// Streams of more values than this have four lanes: each costs the bits of a state.
constexpr size_t kFourLaneValues = 256;

size_t LanesFor(size_t values) { return values >= kFourLaneValues ? 4 : 2; }

constexpr size_t VarintBytes(uint64_t v) { return (std::max(BitWidth(v), 1U) + 6) / 7; }

// Sums up what each coder would take, chunk by chunk.
class Costs {
 public:
  Costs(std::span<const uint64_t> residuals, const StreamOptions& options) : options_(options) {
    size_t zeros = residuals.size();
    const auto nonzero = ActiveKernels().nonzero;
    for (size_t i = 0, b = 0; i < residuals.size(); i += kPackBlock, ++b) {
      present_[b] = nonzero(&residuals[i], std::min(kPackBlock, residuals.size() - i), &all_[b]);
      zeros -= static_cast<size_t>(std::popcount(present_[b]));
    }
    zeros_ = zeros;
    values_ = residuals.size();
    dense_[0] = static_cast<uint16_t>(zeros);
    const size_t chunk = options.chunked ? kRowEntryInterval : residuals.size();
    for (size_t i = 0; i < residuals.size(); i += chunk)
      Add(residuals.subspan(i, std::min(chunk, residuals.size() - i)), i / kPackBlock);
  }

  [[nodiscard]] StreamPlan Cheapest() const {
    // Ties go to the coder that decodes fastest.
    StreamPlan best{StreamCoder::kPacked, 0, 0, packed_};
    const auto consider = [&](StreamPlan plan, size_t numbers = 0) {
      if (plan.bytes + numbers * kReadingPrice / 64 < best.bytes) best = plan;
    };
    if (has_zeros()) {
      consider({StreamCoder::kSparse, 0, 0, sparse_});
      consider({StreamCoder::kMasked, 0, 0, masked_});
    }
    if (!options_.entropy) return best;
    const EntropyTables& tables = CurrentEntropyTables();
    const auto bytes = [](uint64_t bits, uint64_t cost) {
      return static_cast<size_t>((bits + cost / EntropyTables::kCostOne + 7) / 8);
    };
    const auto dense = tables.Cheapest(dense_);
    consider({StreamCoder::kEntropy, dense.table, 0, 1 + bytes(dense_bits_, dense.cost)}, values_);
    if (has_zeros()) {
      const auto gap = tables.Cheapest(gaps_);
      const auto value = tables.Cheapest(less_one_);
      consider({StreamCoder::kGaps, value.table, gap.table,
                2 + bytes(gaps_bits_, gap.cost + value.cost)},
               2 * (values_ - zeros_));
    }
    return best;
  }

 private:
  // Whether leaving out zeros is tried.
  [[nodiscard]] bool has_zeros() const { return zeros_ * kFewestZeros >= values_; }

  // `block` is the number of the chunk's first one.
  void Add(std::span<const uint64_t> chunk, size_t block) {
    const size_t length = options_.chunked ? 1 : 0;  // most chunks are shorter than 128 bytes
    size_t packed = length;
    size_t present = 0;
    for (size_t i = 0, b = block; i < chunk.size(); i += kPackBlock, ++b) {
      packed += 1 + PackedBytes(std::min(kPackBlock, chunk.size() - i), BitWidth(all_[b]));
      present += static_cast<size_t>(std::popcount(present_[b]));
    }
    packed_ += packed + (packed > 128 ? length : 0);
    dense_bits_ += (length + 1) * 8 + LanesFor(chunk.size()) * kEntropyLog - 4;
    if (!has_zeros()) return AddDense(chunk);
    sparse_ += length + VarintBytes(present);
    masked_ += length + PackedBytes(chunk.size(), 1);
    gaps_bits_ += (length + VarintBytes(present)) * 8 + 2 * kEntropyLog + 4;
    AddPresent(chunk, block);
  }

  void AddDense(std::span<const uint64_t> chunk) {
    for (const uint64_t v : chunk) {
      if (v == 0) continue;  // counted already
      const Token token = TokenOf(v);
      ++dense_[token.token];
      dense_bits_ += token.extra_bits;
    }
  }

  void AddPresent(std::span<const uint64_t> chunk, size_t block) {
    uint64_t all = 0;  // of the present values in the open block of the masked coder
    size_t present = 0;
    size_t next = 0;
    for (size_t begin = 0; begin < chunk.size(); begin += kPackBlock, ++block) {
      for (uint64_t bits = present_[block]; bits != 0; bits &= bits - 1) {
        const size_t i = begin + static_cast<size_t>(std::countr_zero(bits));
        const uint64_t v = chunk[i] - 1;
        sparse_ += VarintBytes(i - next) + VarintBytes(v);
        const Token whole = TokenOf(chunk[i]);
        const Token gap = TokenOf(i - next);
        const Token less_one = TokenOf(v);
        ++dense_[whole.token];
        ++gaps_[gap.token];
        ++less_one_[less_one.token];
        dense_bits_ += whole.extra_bits;
        gaps_bits_ += gap.extra_bits + less_one.extra_bits;
        next = i + 1;
        all |= v;
        if (++present % kPackBlock == 0) {
          masked_ += 1 + PackedBytes(kPackBlock, BitWidth(all));
          all = 0;
        }
      }
    }
    if (present % kPackBlock != 0) masked_ += 1 + PackedBytes(present % kPackBlock, BitWidth(all));
  }

  StreamOptions options_;
  size_t values_ = 0;
  size_t zeros_ = 0;
  size_t packed_ = 0;
  size_t sparse_ = 0;
  size_t masked_ = 0;
  uint64_t dense_bits_ = 0;
  uint64_t gaps_bits_ = 0;
  TokenHistogram dense_{};
  TokenHistogram gaps_{};
  TokenHistogram less_one_{};
  // By block of kPackBlock: which values are not 0, and the OR of all.
  std::array<uint64_t, kMaxSamplesPerRow / kPackBlock> present_;
  std::array<uint64_t, kMaxSamplesPerRow / kPackBlock> all_;
};
static_assert(kRowEntryInterval % kPackBlock == 0 && kPackBlock == 64);

// ---- Coders with tables.

Lanes DenseLanes(const EntropyTable& table, size_t values) {
  Lanes lanes;
  lanes.count = LanesFor(values);
  lanes.table.fill(&table);
  return lanes;
}
Lanes GapLanes(const EntropyTable& gaps, const EntropyTable& values) {
  return {2, {&gaps, &values, nullptr, nullptr}};
}

using Pairs = std::array<uint64_t, 2 * kMaxSamplesPerRow>;  // gap, value - 1, gap, ...

void AppendGaps(std::span<const uint64_t> values, const Lanes& lanes, std::string& out) {
  Pairs pairs;
  size_t n = 0;
  size_t next = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] == 0) continue;
    pairs[n++] = i - next;
    pairs[n++] = values[i] - 1;
    next = i + 1;
  }
  AppendVarint(n / 2, out);
  if (n > 0) AppendEntropy(std::span(pairs).first(n), lanes, out);
}

// Puts values where the gaps say. False if that is outside.
bool Scatter(std::span<const uint64_t> pairs, std::span<uint64_t> out) {
  std::fill(out.begin(), out.end(), 0);
  size_t next = 0;
  for (size_t k = 0; k < pairs.size(); k += 2) {
    if (pairs[k] >= out.size() - next) return false;
    next += pairs[k];
    out[next++] = pairs[k + 1] + 1;  // a hostile wrap to 0 harms nobody
  }
  return true;
}

bool ReadGaps(VarintReader& in, const Lanes& lanes, std::span<uint64_t> out) {
  uint64_t count = 0;
  if (!in.Read(count) || count > out.size()) return false;
  Pairs buffer;
  const auto pairs = std::span(buffer).first(2 * count);
  return (count == 0 || ReadEntropy(in, lanes, pairs)) && Scatter(pairs, out);
}

// Two chunks, each with its pairs.
bool ReadTwoGaps(const EntropyJob (&chunks)[2], const Lanes& lanes) {
  std::array<std::array<uint64_t, 2 * kRowEntryInterval>, 2> pairs;
  EntropyJob jobs[2];
  for (size_t k = 0; k < 2; ++k) {
    VarintReader in(chunks[k].in);
    uint64_t count = 0;
    if (!in.Read(count) || count > chunks[k].out.size()) return false;
    jobs[k].out = std::span(pairs[k]).first(2 * count);
    if (!in.ReadBytes(in.remaining(), jobs[k].in)) return false;
  }
  if (!jobs[0].out.empty() && !jobs[1].out.empty()) {
    if (!ReadEntropyTwo(jobs, lanes)) return false;
  } else {
    for (const EntropyJob& job : jobs) {
      VarintReader in(job.in);
      if ((!job.out.empty() && !ReadEntropy(in, lanes, job.out)) || !in.done()) return false;
    }
  }
  return Scatter(jobs[0].out, chunks[0].out) && Scatter(jobs[1].out, chunks[1].out);
}

// What stands in front of a stream's chunks.
struct Tables {
  const EntropyTable* values = nullptr;
  const EntropyTable* gaps = nullptr;
};

bool ReadTables(VarintReader& in, StreamCoder coder, Tables& tables) {
  const size_t count = coder == StreamCoder::kEntropy ? 1 : coder == StreamCoder::kGaps ? 2 : 0;
  std::string_view numbers;
  if (!in.ReadBytes(count, numbers)) return false;
  for (const char number : numbers) {
    tables.gaps = tables.values;
    tables.values = FindEntropyTable(static_cast<uint8_t>(number));
    if (tables.values == nullptr) return false;
  }
  return true;
}

void AppendChunk(std::span<const uint64_t> values, const StreamPlan& plan, std::string& out) {
  const auto table = [](uint8_t number) -> const EntropyTable& {
    return *FindEntropyTable(number);
  };
  switch (plan.coder) {
    case StreamCoder::kPacked:
      return AppendPacked(values, out);
    case StreamCoder::kSparse:
      return AppendSparse(values, out);
    case StreamCoder::kMasked:
      return AppendMasked(values, out);
    case StreamCoder::kEntropy:
      return AppendEntropy(values, DenseLanes(table(plan.table), values.size()), out);
    case StreamCoder::kGaps:
      return AppendGaps(values, GapLanes(table(plan.gap_table), table(plan.table)), out);
  }
  BASALT_CHECK(false, "residual stream: no such coder");
}

bool ReadChunk(VarintReader& in, StreamCoder coder, const Tables& tables, std::span<uint64_t> out) {
  switch (coder) {
    case StreamCoder::kPacked:
      return ReadPacked(in, out);
    case StreamCoder::kSparse:
      return ReadSparse(in, out);
    case StreamCoder::kMasked:
      return ReadMasked(in, out);
    case StreamCoder::kEntropy:
      return ReadEntropy(in, DenseLanes(*tables.values, out.size()), out);
    case StreamCoder::kGaps:
      return ReadGaps(in, GapLanes(*tables.gaps, *tables.values), out);
  }
  return false;
}

bool ReadWholeChunk(const EntropyJob& chunk, StreamCoder coder, const Tables& tables) {
  VarintReader in(chunk.in);
  return ReadChunk(in, coder, tables, chunk.out) && in.done();
}

bool ReadTwoChunks(const EntropyJob (&chunks)[2], StreamCoder coder, const Tables& tables) {
  const bool equal_lanes = LanesFor(chunks[0].out.size()) == LanesFor(chunks[1].out.size());
  if (coder == StreamCoder::kGaps)
    return ReadTwoGaps(chunks, GapLanes(*tables.gaps, *tables.values));
  if (coder == StreamCoder::kEntropy && equal_lanes)
    return ReadEntropyTwo(chunks, DenseLanes(*tables.values, chunks[0].out.size()));
  return ReadWholeChunk(chunks[0], coder, tables) && ReadWholeChunk(chunks[1], coder, tables);
}

}  // namespace

const char* StreamCoderName(StreamCoder coder) {
  static constexpr std::array<const char*, kStreamCoders> kNames = {"packed", "sparse", "masked",
                                                                    "entropy", "gaps"};
  return kNames[static_cast<size_t>(coder)];
}

StreamPlan PlanStream(std::span<const uint64_t> residuals, const StreamOptions& options) {
  return Costs(residuals, options).Cheapest();
}

void AppendStream(std::span<const uint64_t> residuals, const StreamPlan& plan, bool chunked,
                  std::string& out) {
  if (plan.coder == StreamCoder::kGaps) out += static_cast<char>(plan.gap_table);
  if (plan.coder == StreamCoder::kGaps || plan.coder == StreamCoder::kEntropy)
    out += static_cast<char>(plan.table);
  if (!chunked) return AppendChunk(residuals, plan, out);
  std::string chunk;
  for (size_t i = 0; i < residuals.size(); i += kRowEntryInterval) {
    chunk.clear();
    AppendChunk(residuals.subspan(i, std::min(kRowEntryInterval, residuals.size() - i)), plan,
                chunk);
    AppendVarint(chunk.size(), out);
    out += chunk;
  }
}

bool ReadStream(VarintReader& in, StreamCoder coder, bool chunked, size_t total, size_t first,
                std::span<uint64_t> out) {
  Tables tables;
  if (!ReadTables(in, coder, tables)) return false;
  if (!chunked) return first == 0 && out.size() == total && ReadChunk(in, coder, tables, out);
  // Chunks that are wanted are read in twos where the coder gains by it.
  EntropyJob waiting[2];
  size_t count = 0;
  for (size_t i = 0; i < total; i += kRowEntryInterval) {
    std::string_view bytes;
    if (!in.ReadString(bytes)) return false;
    if (i < first || i >= first + out.size()) continue;
    waiting[count++] = {bytes, out.subspan(i - first, std::min(kRowEntryInterval, total - i))};
    if (count < 2) continue;
    count = 0;
    if (!ReadTwoChunks(waiting, coder, tables)) return false;
  }
  return count == 0 || ReadWholeChunk(waiting[0], coder, tables);
}

}  // namespace basalt::storage
