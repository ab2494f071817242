#include "bench/store/load.h"

#include <algorithm>
#include <cmath>

#include "bench/store/process_stats.h"
#include "engine/base/hash.h"

namespace basalt::bench {
namespace {

// Stands for the hash of the raw label bytes, which is the decoder's work and not the store's.
Hash128 Fingerprint(size_t target, size_t series) {
  const uint64_t both = uint64_t{target} << 32 | series;
  return {both * 0x9E37'79B9'7F4A'7C15U ^ both >> 29, (both + 7) * 0xC2B2'AE3D'27D4'EB4FU};
}

// Asks for the thread's CPU twice: the second answer less the first is what asking costs right now,
// and so what it adds to a span that two askings bound. Asked each time: it is a system call of
// some microseconds on virtual machines, and of more the busier they are.
struct Asked {
  uint64_t first_ns;
  uint64_t cost_ns;
};
Asked AskTwice() {
  const uint64_t first = ThisThreadCpuNs();
  return {first, ThisThreadCpuNs() - first};
}

}  // namespace

Load::Load(const LoadOptions& options, const Recording& recording, storage::Store& store)
    : options_(options), recording_(recording), store_(store), builder_(store.resolver(), {}) {}

void Load::Run(size_t first_target, size_t first_scrape, size_t scrapes) {
  std::vector<uint32_t> order(options_.targets);
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = static_cast<uint32_t>(first_target) + i;
  std::sort(order.begin(), order.end(), [this](uint32_t a, uint32_t b) {
    return recording_.TimeMs(a, 0) < recording_.TimeMs(b, 0);
  });
  const size_t shards = std::max<size_t>(options_.shards, 1);
  std::vector<std::vector<Sample>> waiting(shards);
  for (size_t scrape = first_scrape; scrape < first_scrape + scrapes; ++scrape) {
    for (const uint32_t target : order) {
      const int64_t time_ms = recording_.TimeMs(target, scrape);
      for (uint32_t i = 0; i < options_.series; ++i) {
        const double value = recording_.Value(target, i, scrape);
        if (std::isnan(value)) continue;
        std::vector<Sample>& to = waiting[i % shards];
        to.push_back({target, i, time_ms, value});
        if (options_.shards != 0 && to.size() == options_.request_samples) Send(to);
      }
      if (options_.shards == 0) Send(waiting[0]);
    }
  }
  for (auto& rest : waiting) Send(rest);
  WaitForRoom(0);
}

void Load::WaitForRoom(size_t at_most) {
  MutexLock lock(mu_);
  while (in_flight_ > at_most) fell_.Wait(lock);
}

void Load::Send(std::vector<Sample>& samples) {
  if (samples.empty()) return;
  WaitForRoom(options_.in_flight - 1);
  // Labels are made outside the measured time; which ones are needed only the resolver knows.
  std::vector<LabelView> views;
  uint64_t labels_ns = 0;
  const uint64_t begin = ThisThreadCpuNs();
  for (const Sample& sample : samples) {
    const Hash128 fingerprint = Fingerprint(sample.target, sample.series);
    if (!builder_.SelectKnown(fingerprint)) {
      const uint64_t unknown = ThisThreadCpuNs();
      const Labels labels = recording_.LabelsOf(sample.target, sample.series);
      views.clear();
      for (const Label& label : labels) views.push_back({label.name, label.value});
      labels_ns += ThisThreadCpuNs() - unknown;
      builder_.SelectLabels(fingerprint, views);
    }
    builder_.AddSample(sample.time_ms, sample.value);
  }
  std::vector<storage::IngestBatch> batches = builder_.Finish();
  const uint64_t resolved = ThisThreadCpuNs();
  {
    const MutexLock lock(mu_);
    ++in_flight_;
  }
  samples_ += samples.size();
  store_.Append(std::move(batches), [this](const Result<storage::AppendResult>& result) {
    BASALT_CHECK(result.ok(), result.ok() ? "" : std::string(result.status().message()));
    const MutexLock lock(mu_);
    --in_flight_;
    fell_.NotifyOne();
  });
  const Asked appended = AskTwice();
  const auto span = [&appended](uint64_t ns) { return ns - std::min(ns, appended.cost_ns); };
  append_ns_ += span(appended.first_ns - resolved);
  resolve_ns_ += span(resolved - begin - labels_ns);
  samples.clear();
}

}  // namespace basalt::bench
