#include "bench/compare/encode.h"

#include <bit>
#include <cstring>
#include <unordered_map>
#include <vector>

#include "bench/compare/columns.h"
#include "engine/base/compress.h"
#include "engine/base/varint.h"

namespace basalt::bench {
namespace {

static_assert(std::endian::native == std::endian::little);

void AppendBytesField(char tag, std::string_view bytes, std::string& out) {
  out += tag;
  AppendVarint(bytes.size(), out);
  out += bytes;
}

template <typename T>
void AppendFixed(T v, std::string& out) {
  char bytes[sizeof(v)];
  std::memcpy(bytes, &v, sizeof(v));
  out.append(bytes, sizeof(v));
}

size_t VarintBytes(uint64_t v) { return (static_cast<size_t>(std::bit_width(v | 1)) + 6) / 7; }

// Sample{1 value: double, 2 timestamp: int64} under field `tag`: the same in 1.0 and 2.0.
void AppendSample(char tag, const Cell& cell, std::string& out) {
  const auto time = static_cast<uint64_t>(cell.time_ms);
  out += tag;
  out += static_cast<char>(9 + 1 + VarintBytes(time));
  out += '\x09';
  AppendFixed(cell.value, out);
  out += '\x10';
  AppendVarint(time, out);
}

size_t SampleBytes(const Cell& cell) {
  return 2 + 9 + 1 + VarintBytes(static_cast<uint64_t>(cell.time_ms));
}

// Calls f(run of cells of one series) for each run.
template <typename F>
void ForEachRun(std::span<const Cell> cells, const F& f) {
  for (size_t first = 0; first < cells.size();) {
    size_t end = first + 1;
    while (end < cells.size() && cells[end].series == cells[first].series) ++end;
    f(cells.subspan(first, end - first));
    first = end;
  }
}

size_t RunBytes(std::span<const Cell> run) {
  size_t bytes = 0;
  for (const Cell& cell : run) bytes += SampleBytes(cell);
  return bytes;
}

// WriteRequest{1 timeseries{1 labels{1 name, 2 value}, 2 samples}}.
class Write1Encoder final : public RequestEncoder {
 public:
  explicit Write1Encoder(const Fleet& fleet) {
    std::string pair;
    for (size_t s = 0; s < fleet.series_count(); ++s) {
      std::string& out = labels_.emplace_back();
      const Labels all = fleet.labels(s);
      for (const Label& label : all) {
        pair.clear();
        AppendBytesField('\x0A', label.name, pair);
        AppendBytesField('\x12', label.value, pair);
        AppendBytesField('\x0A', pair, out);
      }
    }
  }

  Status Encode(std::span<const Cell> cells, std::string& body) override {
    plain_.clear();
    ForEachRun(cells, [&](std::span<const Cell> run) {
      const std::string& labels = labels_[run.front().series];
      plain_ += '\x0A';
      AppendVarint(labels.size() + RunBytes(run), plain_);
      plain_ += labels;
      for (const Cell& cell : run) AppendSample('\x12', cell, plain_);
    });
    return Compress(ContentCoding::kSnappy, plain_, body);
  }

 private:
  std::vector<std::string> labels_;
  std::string plain_;
};

// Prometheus' Metadata.MetricType numbers of 2.0.
char TypeNumber(const std::string& type) {
  if (type == "counter") return 1;
  if (type == "gauge") return 2;
  if (type == "histogram") return 3;
  return type == "summary" ? 5 : 0;
}

// Request{4 symbols, 5 timeseries{1 labels_refs, 2 samples, 5 metadata{1 type}}}.
class Write2Encoder final : public RequestEncoder {
 public:
  explicit Write2Encoder(const Fleet& fleet) {
    std::unordered_map<std::string, uint32_t> known;
    const auto intern = [&](const std::string& text) {
      const auto [it, fresh] = known.try_emplace(text, static_cast<uint32_t>(texts_.size()));
      if (fresh) texts_.push_back(text);
      return it->second;
    };
    intern("");
    for (size_t s = 0; s < fleet.series_count(); ++s) {
      Series& series = series_.emplace_back();
      const Labels all = fleet.labels(s);
      for (const Label& label : all) {
        series.texts.push_back(intern(label.name));
        series.texts.push_back(intern(label.value));
      }
      series.type = TypeNumber(fleet.type(s));
    }
    symbol_of_.resize(texts_.size(), kNone);
  }

  // Symbols are a request's own, as in Prometheus' sender.
  Status Encode(std::span<const Cell> cells, std::string& body) override {
    plain_.clear();
    messages_.clear();
    used_.clear();
    Symbol(0);
    ForEachRun(cells, [&](std::span<const Cell> run) {
      const Series& series = series_[run.front().series];
      refs_.clear();
      for (const uint32_t text : series.texts) AppendVarint(Symbol(text), refs_);
      message_.clear();
      AppendBytesField('\x0A', refs_, message_);
      for (const Cell& cell : run) AppendSample('\x12', cell, message_);
      if (series.type != 0) message_ += {'\x2A', '\x02', '\x08', series.type};
      AppendBytesField('\x2A', message_, messages_);
    });
    for (const uint32_t text : used_) {
      AppendBytesField('\x22', texts_[text], plain_);
      symbol_of_[text] = kNone;
    }
    plain_ += messages_;
    return Compress(ContentCoding::kSnappy, plain_, body);
  }

 private:
  static constexpr uint32_t kNone = ~0u;
  struct Series {
    std::vector<uint32_t> texts;  // name, value, name, value
    char type = 0;
  };
  uint32_t Symbol(uint32_t text) {
    if (symbol_of_[text] == kNone) {
      symbol_of_[text] = static_cast<uint32_t>(used_.size());
      used_.push_back(text);
    }
    return symbol_of_[text];
  }

  std::vector<std::string> texts_;
  std::vector<Series> series_;
  std::vector<uint32_t> symbol_of_;  // by text; kNone outside of Encode
  std::vector<uint32_t> used_;
  std::string refs_;
  std::string message_;
  std::string messages_;
  std::string plain_;
};

}  // namespace

std::unique_ptr<RequestEncoder> MakeEncoder(Protocol protocol, const Fleet& fleet) {
  switch (protocol) {
    case Protocol::kWrite1:
      return std::make_unique<Write1Encoder>(fleet);
    case Protocol::kWrite2:
      return std::make_unique<Write2Encoder>(fleet);
    case Protocol::kColumns:
      return MakeColumnEncoder(fleet);
  }
  return nullptr;
}

}  // namespace basalt::bench
