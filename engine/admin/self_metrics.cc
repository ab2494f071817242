#include "engine/admin/self_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "engine/base/hash.h"
#include "engine/base/log.h"
#include "engine/base/mutex.h"
#include "storage/resolver.h"

namespace basalt::admin {
namespace {

using metrics::AppendValue;
using metrics::Family;
using metrics::Type;

double ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t total = 0;
  uint64_t resident = 0;
  statm >> total >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void CollectProcess(std::vector<Family>& out, double started) {
  AppendValue(out, "process_cpu_seconds_total", "User and system CPU time.", Type::kCounter,
              CpuSeconds());
  AppendValue(out, "process_resident_memory_bytes", "Resident memory.", Type::kGauge,
              ResidentBytes());
  AppendValue(out, "process_start_time_seconds", "When the process started, in seconds since 1970.",
              Type::kGauge, started);
}

void CollectStore(std::vector<Family>& out, const storage::StoreStats& s) {
  const auto counter = [&](const char* name, const char* help, uint64_t v) {
    AppendValue(out, name, help, Type::kCounter, static_cast<double>(v));
  };
  const auto gauge = [&](const char* name, const char* help, uint64_t v) {
    AppendValue(out, name, help, Type::kGauge, static_cast<double>(v));
  };
  counter("basalt_storage_samples_appended_total", "Float samples accepted.", s.samples_appended);
  counter("basalt_storage_samples_late_total",
          "Accepted samples older than the newest of their series.", s.samples_late);
  counter("basalt_storage_samples_identical_total", "Samples that were already there, bit for bit.",
          s.samples_identical);
  counter("basalt_storage_samples_overwritten_total",
          "Samples that replaced another of the same time.", s.samples_overwritten);
  counter("basalt_storage_histograms_appended_total", "Native histograms accepted.",
          s.histograms_appended);
  counter("basalt_storage_exemplars_appended_total", "Exemplars accepted.", s.exemplars_appended);
  counter("basalt_storage_series_created_total", "Series created.", s.series_created);
  gauge("basalt_storage_active_series", "Series with samples in memory.", s.active_series);
  gauge("basalt_storage_series", "Series known.", s.total_series);
  gauge("basalt_storage_groups", "Groups (targets) in memory.", s.groups);
  gauge("basalt_storage_head_bytes", "Memory of samples not yet sealed.", s.head_bytes);
  gauge("basalt_storage_head_samples", "Samples not yet sealed.", s.head_samples);
  gauge("basalt_log_bytes", "Log on disk.", s.log_bytes);
  gauge("basalt_log_segments", "Log segments on disk.", s.log_segments);
  counter("basalt_log_records_total", "Log records written.", s.log_records);
  counter("basalt_log_syncs_total", "Log syncs (group commits).", s.log_syncs);
  AppendValue(out, "basalt_log_sync_seconds_total", "Time spent in log syncs.", Type::kCounter,
              static_cast<double>(s.log_sync_ns) * 1e-9);
  gauge("basalt_storage_append_bytes_in_flight", "Appends not yet answered.",
        s.append_bytes_in_flight);
  counter("basalt_storage_seals_total", "Seals.", s.seals);
  counter("basalt_storage_rewrites_total", "Rewrites.", s.rewrites);
  gauge("basalt_storage_runs", "Runs on disk.", s.runs);
  gauge("basalt_storage_run_bytes", "Bytes of runs on disk.", s.run_bytes);
  gauge("basalt_storage_run_samples", "Samples in runs.", s.run_samples);
  gauge("basalt_storage_rollup_runs", "Runs of buckets.", s.rollup_runs);
  gauge("basalt_storage_file_bytes", "Everything in the database and the log.", s.file_bytes);
  counter("basalt_storage_log_bytes_written_total", "Written to the log.", s.log_bytes_written);
  counter("basalt_storage_seal_written_bytes_total", "Written by seals.", s.seal_bytes_written);
  counter("basalt_storage_rewrite_written_bytes_total", "Written by rewrites, rollups included.",
          s.rewrite_bytes_written);
  counter("basalt_storage_rewrite_read_bytes_total", "Read by rewrites.", s.rewrite_bytes_read);
  counter("basalt_retention_runs_dropped_total", "Runs that retention dropped.",
          s.retention_runs_dropped);
  counter("basalt_retention_dropped_bytes_total", "Bytes of those.", s.retention_bytes_dropped);
  counter("basalt_retention_size_drops_total", "UTC days dropped for want of room.",
          s.retention_size_days_dropped);
  counter("basalt_storage_samples_too_old_total",
          "Samples refused because retention has dropped their day.", s.samples_too_old);
  gauge("basalt_storage_deletes_pending", "Deletes that some file still holds samples of.",
        s.deletes_pending);
  counter("basalt_storage_replayed_records_total", "Log records replayed at start.",
          s.replayed_records);
  AppendValue(out, "basalt_storage_replay_seconds", "How long the replay at start took.",
              Type::kGauge, static_cast<double>(s.replay_ms) * 1e-3);
  gauge("basalt_storage_damaged_blocks", "Blocks in quarantine: their samples are left out.",
        s.damaged_blocks);
  gauge("basalt_storage_read_only",
        "1 while writes are refused because the disk is full or failing.", s.read_only ? 1 : 0);
  counter("basalt_storage_read_only_total", "How often the store became read-only.",
          s.read_only_total);
  if (s.disk_free_bytes != UINT64_MAX) {
    gauge("basalt_storage_disk_free_bytes", "Free on the disk of the data directory.",
          s.disk_free_bytes);
  }
}

}  // namespace

void RegisterSelfMetrics(metrics::Registry& registry, const storage::Store& store,
                         const std::string& version) {
  registry.AddGauge("basalt_build_info", "1; the version is a label.", {{"version", version}})
      .Set(1);
  const double started = static_cast<double>(ToMs(SystemClock().Now())) * 1e-3;
  registry.AddCollector([started](std::vector<Family>& out) { CollectProcess(out, started); });
  registry.AddCollector([&store](std::vector<Family>& out) { CollectStore(out, store.Stats()); });
}

struct SelfScrape::Impl {
  const metrics::Registry& registry;
  storage::Store& store;
  const Clock& clock;
  const std::string instance;
  const Duration interval;
  Mutex mu;
  CondVar wake;
  bool stopping BASALT_GUARDED_BY(mu) = false;
  std::thread thread;
  size_t families_described = 0;  // metadata is sent again only when there is more of it

  Status Scrape() {
    const std::vector<Family> families = registry.Collect();
    const int64_t now_ms = ToMs(clock.Now());
    storage::BatchBuilder builder(store.resolver(), kDefaultTenant);
    std::string canonical;
    std::vector<LabelView> views;
    const auto add = [&](Labels labels, double value) {
      labels.Set("job", "basalt");
      labels.Set("instance", instance);
      canonical.clear();
      AppendCanonical(labels, canonical);
      // Another door than the wire's: a prefix keeps our fingerprints apart from those of raw
      // protobuf.
      const Hash128 fingerprint = HashBytes128("self:" + canonical);
      if (!builder.SelectKnown(fingerprint)) {
        views.clear();
        for (const Label& label : labels) views.push_back({label.name, label.value});
        builder.SelectLabels(fingerprint, views);
      }
      builder.AddSample(now_ms, value);
    };
    for (const Family& family : families) {
      for (const metrics::Sample& sample : family.samples) add(sample.labels, sample.value);
      if (families.size() == families_described) continue;
      storage::MetadataEntry entry;
      entry.metric = family.name;
      entry.type = family.type == Type::kCounter     ? storage::MetricType::kCounter
                   : family.type == Type::kHistogram ? storage::MetricType::kHistogram
                                                     : storage::MetricType::kGauge;
      entry.help = family.help;
      builder.AddMetadata(std::move(entry));
    }
    add(Labels{{std::string(kMetricName), "up"}}, 1);
    BASALT_TRY(store.Append(builder.Finish()).status());
    families_described = families.size();
    return OkStatus();
  }

  void Run() {
    std::string last_error;
    MutexLock lock(mu);
    while (!stopping) {
      lock.Unlock();
      const Status status = Scrape();
      const std::string error(status.message());
      if (!status.ok() && error != last_error)
        BASALT_LOG(kWarn, "own metrics are not stored", {"error", error});
      last_error = error;
      lock.Lock();
      if (!stopping) wake.WaitFor(lock, interval);
    }
  }
};

SelfScrape::SelfScrape(const metrics::Registry& registry, storage::Store& store, const Clock& clock,
                       std::string instance, Duration interval)
    : impl_(new Impl{registry, store, clock, std::move(instance), interval, {}, {}, false, {}, 0}) {
  impl_->thread = std::thread([this] { impl_->Run(); });
}

SelfScrape::~SelfScrape() {
  {
    const MutexLock lock(impl_->mu);
    impl_->stopping = true;
  }
  impl_->wake.NotifyAll();
  impl_->thread.join();
}

Status SelfScrape::ScrapeOnce() { return impl_->Scrape(); }

}  // namespace basalt::admin
