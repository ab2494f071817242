// Any bytes as a query and its times: planning and execution neither crash nor hang, and whatever
// the engine does to be fast (push-down, fused rows, presence, threads) gives the bits of the plain
// evaluator.
//
// The first bytes choose the times. Then, if the next one is odd, the rest are the choices of a
// generator of queries; otherwise the rest is the query's text.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/executor.h"
#include "query/engine.h"
#include "tests/query/store/query_generator.h"
#include "tests/query/store/show_bits.h"
#include "tests/support/memory_reader.h"

namespace basalt::query {
namespace {

constexpr int64_t kBegin = 1'700'000'000'000;
constexpr int kScrapes = 90;

// The series that QueryGenerator names: targets with times of their own, restarts, stale markers,
// start timestamps, native histograms and numbers of every kind.
void FillWorld(testing::MemoryReader& reader) {
  std::mt19937_64 random(1);
  const auto below = [&random](uint64_t n) { return random() % n; };
  for (int target = 0; target < 4; ++target) {
    const std::string instance(1, static_cast<char>('a' + target));
    const auto of = [&](const char* name, const std::string& label, const std::string& value) {
      return reader.Series(
          {{"__name__", name}, {"instance", instance}, {"job", "test"}, {label, value}});
    };
    const auto time_ms = [&](int n) { return kBegin + 15'000 * n + 331 * target; };
    for (int k = 0; k < 3; ++k) {
      auto counter = of("c_total", "k", std::to_string(k));
      auto gauge = of("g", "k", std::to_string(k));
      double total = 0;
      for (int n = 0; n < kScrapes; ++n) {
        if (below(12) == 0) continue;
        total = below(30) == 0 ? 0 : total + static_cast<double>(below(1000)) / 8;
        const bool starts = target == 3 && k == 1;
        counter.At(time_ms(n), below(25) == 0 ? testing::MemoryReader::Stale() : total,
                   starts ? std::optional<int64_t>(kBegin - 60'000) : std::nullopt);
        constexpr double kOdd[] = {0.0, -0.0, std::numeric_limits<double>::infinity(),
                                   std::numeric_limits<double>::quiet_NaN(), 1e308};
        gauge.At(time_ms(n),
                 below(9) == 0 ? kOdd[below(5)] : static_cast<double>(below(100'000)) / 100 - 500);
      }
    }
    double le_total = 0;
    for (const char* le : {"0.1", "1", "10", "+Inf"}) {
      auto bucket = of("h_bucket", "le", le);
      le_total += 3;
      for (int n = 0; n < kScrapes; ++n) bucket.At(time_ms(n), le_total * n);
    }
    if (target > 1) continue;
    auto native = of("nh", "k", "");
    for (int n = 0; n < kScrapes; ++n) {
      NativeHistogram h;
      h.schema = target;
      h.zero_threshold = 0.001;
      h.count = static_cast<uint64_t>(4 * (n % 40) + 3);
      h.zero_count = static_cast<uint64_t>(n % 40);
      h.sum = static_cast<double>(n) * 1.5;
      h.positive_spans = {{.offset = 0, .length = 2}};
      h.positive_deltas = {n % 40 + 2, n % 40 - 1};
      native.HistogramAt(time_ms(n), std::move(h));
    }
  }
}

// Everything is bounded, so that an input takes milliseconds.
EngineOptions Bounded() {
  EngineOptions options;
  options.max_samples = 200'000;
  options.timeout = std::chrono::seconds(5);
  return options;
}

// Both may stop at a limit, each where it passes it.
bool Limited(const Result<QueryResult>& result) {
  return !result.ok() && (result.status().code() == StatusCode::kResourceExhausted ||
                          result.status().code() == StatusCode::kDeadlineExceeded);
}

void Compare(const Result<QueryResult>& plain, const Result<QueryResult>& fast,
             const std::string& query) {
  if (Limited(plain) || Limited(fast)) return;
  BASALT_CHECK(ShowBits(plain) == ShowBits(fast), query);
}

}  // namespace
}  // namespace basalt::query

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace basalt;         // NOLINT(google-build-using-namespace): one function, under test
  using namespace basalt::query;  // NOLINT(google-build-using-namespace)
  static testing::MemoryReader reader(3);
  static const auto snapshot = [] {
    FillWorld(reader);
    return *reader.TakeSnapshot();
  }();
  static ThreadPool pool("fuzz", 2, 64);
  static const Engine plain = [] {
    EngineOptions options = Bounded();
    options.push_down = false;
    options.fuse = false;
    return Engine(options);
  }();
  static const Engine fast = [] {
    EngineOptions options = Bounded();
    options.executor = &pool;
    options.parallelism = 2;
    return Engine(options);
  }();
  constexpr size_t kHead = 4;
  if (size < kHead) return 0;
  constexpr int64_t kSteps[] = {1'000, 7'000, 15'000, 60'000, 300'000};
  const Timestamp start = FromMs(kBegin - 60'000 + data[0] * 6'000);
  const Duration step(kSteps[data[1] % 5]);
  const Timestamp end = start + step * (data[2] % 70);
  const std::span<const uint8_t> rest(data + kHead, size - kHead);
  std::string text(reinterpret_cast<const char*>(rest.data()), rest.size());
  if (data[3] % 2 == 1) text = QueryGenerator(rest).Vector();
  Compare(plain.Instant(*snapshot, kDefaultTenant, text, start),
          fast.Instant(*snapshot, kDefaultTenant, text, start), text);
  Compare(plain.Range(*snapshot, kDefaultTenant, text, start, end, step),
          fast.Range(*snapshot, kDefaultTenant, text, start, end, step), text);
  (void)fast.Explain(*snapshot, kDefaultTenant, text, start, end, step);
  return 0;
}
