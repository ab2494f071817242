#include "bench/compare/columns.h"

#include <algorithm>
#include <cstring>

namespace basalt::bench {
namespace {

template <typename T>
void Append(const T* data, size_t count, std::string& out) {
  out.append(reinterpret_cast<const char*>(data), count * sizeof(T));
}
void AppendHead(ColumnBlock block, size_t first, size_t count, std::string& out) {
  const uint32_t head[] = {static_cast<uint32_t>(block), static_cast<uint32_t>(first),
                           static_cast<uint32_t>(count)};
  Append(head, std::size(head), out);
}

class ColumnEncoder final : public RequestEncoder {
 public:
  explicit ColumnEncoder(const Fleet& fleet) : fleet_(fleet), defined_(fleet.series_count()) {}

  Status Encode(std::span<const Cell> cells, std::string& body) override {
    body.clear();
    for (const Cell& cell : cells) Define(cell.series, body);
    for (size_t first = 0; first < cells.size();) {
      size_t end = first + 1;
      while (end < cells.size() && cells[end].series == cells[end - 1].series + 1 &&
             cells[end].time_ms == cells[first].time_ms) {
        ++end;
      }
      // A block of its own must be worth its head.
      if (end - first >= 8 || end - first == cells.size()) {
        Scrape(cells.subspan(first, end - first), body);
      } else {
        while (end < cells.size() && !StartsRun(cells, end)) ++end;
        Samples(cells.subspan(first, end - first), body);
      }
      first = end;
    }
    return OkStatus();
  }

 private:
  static bool StartsRun(std::span<const Cell> cells, size_t at) {
    if (at + 8 > cells.size()) return false;
    for (size_t i = at + 1; i < at + 8; ++i) {
      if (cells[i].series != cells[i - 1].series + 1 || cells[i].time_ms != cells[at].time_ms)
        return false;
    }
    return true;
  }
  void Define(uint32_t series, std::string& body) {
    if (defined_[series]) return;
    defined_[series] = true;
    labels_.clear();
    AppendCanonical(fleet_.labels(series), labels_);
    AppendHead(ColumnBlock::kDefinitions, series, 1, body);
    const auto bytes = static_cast<uint32_t>(labels_.size());
    Append(&bytes, 1, body);
    body += labels_;
  }
  void Scrape(std::span<const Cell> cells, std::string& body) {
    AppendHead(ColumnBlock::kScrape, cells.front().series, cells.size(), body);
    Append(&cells.front().time_ms, 1, body);
    for (const Cell& cell : cells) Append(&cell.value, 1, body);
  }
  static void Samples(std::span<const Cell> cells, std::string& body) {
    AppendHead(ColumnBlock::kSamples, 0, cells.size(), body);
    for (const Cell& cell : cells) Append(&cell.series, 1, body);
    for (const Cell& cell : cells) Append(&cell.time_ms, 1, body);
    for (const Cell& cell : cells) Append(&cell.value, 1, body);
  }

  const Fleet& fleet_;
  std::vector<bool> defined_;
  std::string labels_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  [[nodiscard]] bool done() const { return bytes_.empty(); }
  template <typename T>
  bool Read(size_t count, std::vector<T>& out) {
    if (count > bytes_.size() / sizeof(T)) return false;
    out.resize(count);
    if (count != 0) std::memcpy(out.data(), bytes_.data(), count * sizeof(T));
    bytes_.remove_prefix(count * sizeof(T));
    return true;
  }
  bool Read(size_t count, std::string_view& out) {
    if (count > bytes_.size()) return false;
    out = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return true;
  }

 private:
  std::string_view bytes_;
};

}  // namespace

std::unique_ptr<RequestEncoder> MakeColumnEncoder(const Fleet& fleet) {
  return std::make_unique<ColumnEncoder>(fleet);
}

Status ReadColumns(std::string_view body, ColumnSink& sink) {
  const auto damaged = [] { return DataLoss("columns: a block does not fit its body"); };
  Reader in(body);
  std::vector<uint32_t> head;
  std::vector<uint32_t> series;
  std::vector<int64_t> times;
  std::vector<double> values;
  while (!in.done()) {
    if (!in.Read(3, head)) return damaged();
    const uint32_t first = head[1];
    const uint32_t count = head[2];
    switch (static_cast<ColumnBlock>(head[0])) {
      case ColumnBlock::kDefinitions:
        for (uint32_t i = 0; i < count; ++i) {
          std::string_view text;
          if (!in.Read(1, series) || !in.Read(series[0], text)) return damaged();
          BASALT_TRY_ASSIGN(const Labels labels, LabelsFromCanonical(text));
          sink.Define(first + i, labels);
        }
        break;
      case ColumnBlock::kScrape:
        if (!in.Read(1, times) || !in.Read(count, values)) return damaged();
        sink.Scrape(first, times[0], values);
        break;
      case ColumnBlock::kSamples:
        if (!in.Read(count, series) || !in.Read(count, times) || !in.Read(count, values))
          return damaged();
        sink.Samples(series, times, values);
        break;
      default:
        return damaged();
    }
  }
  return OkStatus();
}

}  // namespace basalt::bench
