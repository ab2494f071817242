#include "tests/support/recorded_metrics.h"

#include <zstd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <tuple>

namespace basalt::testing {
namespace {

constexpr const char* kFolder = "../shared/data/";

// Empty if the file is missing or damaged.
std::string ReadZstd(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string packed((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
  const std::unique_ptr<ZSTD_DStream, size_t (*)(ZSTD_DStream*)> stream(ZSTD_createDStream(),
                                                                        ZSTD_freeDStream);
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  std::string out;
  std::string chunk(ZSTD_DStreamOutSize(), '\0');
  for (size_t left = 1; left != 0;) {
    ZSTD_outBuffer piece{chunk.data(), chunk.size(), 0};
    left = ZSTD_decompressStream(stream.get(), &piece, &in);
    if (ZSTD_isError(left) != 0 || (piece.pos == 0 && in.pos == in.size && left != 0)) return {};
    out.append(chunk.data(), piece.pos);
  }
  return out;
}

// Takes the numeric `le` out of labels, so that what is left is the same for all buckets of a
// histogram.
void SplitLe(RecordedSeries& s) {
  const size_t at = s.labels.find("\"le\"");
  if (at == std::string::npos) return;
  const size_t begin = s.labels.find('"', s.labels.find(':', at)) + 1;
  s.le = std::strtod(s.labels.c_str() + begin, nullptr);
  s.labels.erase(at, s.labels.find('"', begin) + 1 - at);
}

}  // namespace

std::vector<RecordedSeries> LoadRecordedSeries() {
  std::vector<RecordedSeries> all;
  std::istringstream lines(ReadZstd(std::string(kFolder) + "series.tsv.zst"));
  const std::string matrix = ReadZstd(std::string(kFolder) + "values.f64.zst");
  constexpr size_t kRowBytes = kRecordedScrapes * sizeof(double);
  for (std::string line;
       std::getline(lines, line) && (all.size() + 1) * kRowBytes <= matrix.size();) {
    std::istringstream fields(line);
    RecordedSeries s;
    for (std::string* field : {&s.job, &s.type, &s.family, &s.metric, &s.labels})
      std::getline(fields, *field, '\t');
    SplitLe(s);
    s.values.resize(kRecordedScrapes);
    std::memcpy(s.values.data(), matrix.data() + all.size() * kRowBytes, kRowBytes);
    all.push_back(std::move(s));
  }
  std::sort(all.begin(), all.end(), [](const RecordedSeries& a, const RecordedSeries& b) {
    return std::tie(a.metric, a.job, a.labels, a.le) < std::tie(b.metric, b.job, b.labels, b.le);
  });
  return all;
}

}  // namespace basalt::testing
