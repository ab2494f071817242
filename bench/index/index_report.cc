// bench/index: index_report SERIES [PARTITIONS] -- what an index of so many series takes: memory,
// bytes on disk, and the time to come back.
//
// Memory is resident memory (/proc/self/statm) before and after, so the allocator's own share and
// the slack of growing tables are in it. The load runs in a process of its own.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench/fleet/fleet.h"
#include "bench/fleet/index_world.h"
#include "storage/index/index.h"
#include "storage/parts/database.h"
#include "storage/parts/index_source.h"
#include "storage/parts/runs.h"
#include "storage/resolver.h"

namespace basalt::storage {
namespace {

constexpr uint16_t kDay = 20'000;

size_t ResidentBytes() {
  std::ifstream in("/proc/self/statm");
  size_t total = 0;
  size_t resident = 0;
  in >> total >> resident;
  return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

double CpuSeconds() {
  timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

struct Timer {
  std::chrono::steady_clock::time_point wall = std::chrono::steady_clock::now();
  double cpu = CpuSeconds();
  void Print(const char* what, size_t series) const {
    const double seconds = CpuSeconds() - cpu;
    std::printf(
        "%-34s %8.0f ms wall %8.0f ms CPU %7.0f ns a series\n", what,
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - wall).count(),
        1e3 * seconds, 1e9 * seconds / static_cast<double>(series));
  }
};

void PrintBytes(const char* what, size_t bytes, size_t series) {
  std::printf("%-34s %8.1f MB %22.1f B a series\n", what, static_cast<double>(bytes) / 1e6,
              static_cast<double>(bytes) / static_cast<double>(series));
}

using Partitions = std::vector<std::unique_ptr<PartitionIndex>>;

// One request a target: what ingest does, without the store between.
void Insert(const bench::ExporterFleet& fleet, const Resolver& resolver,
            const Partitions& partitions) {
  std::string canonical;
  std::vector<LabelView> views;
  for (const auto& target : fleet.targets()) {
    for (size_t i = 0; i < target.count; ++i) {
      const Labels labels = bench::ExporterFleet::LabelsOf(target, i);
      canonical.clear();
      AppendCanonical(labels, canonical);
      views.clear();
      for (const Label& label : labels) views.push_back({label.name, label.value});
      PartitionIndex& index = *partitions[static_cast<size_t>(
          PlacementPartition(kDefaultTenant, views, resolver.partitions()))];
      const SeriesId id = MakeSeriesId(kDefaultTenant, canonical);
      index.MarkActive(index.Insert(kDefaultTenant, id, canonical).value(), kDay);
    }
  }
}

// Every series is sent once in remote write's bytes and learnt by the resolver.
void Resolve(const bench::ExporterFleet& fleet, Resolver& resolver) {
  BatchBuilder builder(resolver, kDefaultTenant);
  std::string raw;
  std::vector<LabelView> views;
  for (const auto& target : fleet.targets()) {
    for (size_t i = 0; i < target.count; ++i) {
      const Labels labels = bench::ExporterFleet::LabelsOf(target, i);
      raw.clear();
      AppendCanonical(labels, raw);
      views.clear();
      for (const Label& label : labels) views.push_back({label.name, label.value});
      const Hash128 fingerprint = HashBytes128(raw, 1);
      if (!builder.SelectKnown(fingerprint)) builder.SelectLabels(fingerprint, views);
    }
    builder.Reset(kDefaultTenant);
  }
}

// In a child, so that memory and caches are those of a fresh start.
void InChild(const std::function<void()>& fn) {
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) {
    fn();
    std::fflush(stdout);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0) std::printf("the child failed: %d\n", status);
}

Partitions Empty(uint32_t count) {
  Partitions partitions;
  for (uint32_t p = 0; p < count; ++p) {
    partitions.push_back(std::make_unique<PartitionIndex>(PartitionId{static_cast<uint16_t>(p)}));
  }
  return partitions;
}

void Load(const DatabaseOptions& options, uint32_t count, size_t threads, size_t series) {
  const size_t before = ResidentBytes();
  const auto database = Database::Open(options).value();
  const auto store = RunStore::Open(*database).value();
  const auto source = MakeIndexSource(*database);
  const Partitions partitions = Empty(count);
  const Timer timer;
  std::atomic<size_t> next{0};
  std::vector<std::thread> workers;
  const auto work = [&] {
    for (size_t p = next++; p < partitions.size(); p = next++) {
      const auto id = PartitionId{static_cast<uint16_t>(p)};
      if (!partitions[p]->Load(*source, store->Counts(id)).ok()) std::abort();
    }
  };
  for (size_t t = 1; t < threads; ++t) workers.emplace_back(work);
  work();
  for (std::thread& t : workers) t.join();
  timer.Print(threads == 1 ? "load, one thread" : "load, two threads", series);
  PrintBytes("  resident after it, RocksDB too", ResidentBytes() - before, series);
}

void ReportOn(size_t series, uint32_t count) {
  const bench::ExporterFleet fleet(series);
  std::printf("%zu series of %zu targets (%s), %u partitions\n", fleet.size(),
              fleet.targets().size(), bench::ExporterFleet::Source(), count);
  std::string root = std::filesystem::temp_directory_path().string() + "/basalt-bench-XXXXXX";
  if (::mkdtemp(root.data()) == nullptr) std::abort();
  DatabaseOptions options;
  options.directory = root + "/db";

  InChild([&] {
    const size_t empty = ResidentBytes();
    const bench::IndexWorld world(count);
    const Partitions& partitions = world.partitions();
    Resolver resolver({.partitions = count}, world);
    const Timer timer;
    Insert(fleet, resolver, partitions);
    timer.Print("insert (labels made too)", series);
    const size_t inserted = ResidentBytes();
    PrintBytes("index", inserted - empty, series);
    uint64_t said = 0;
    for (const auto& index : partitions) said += index->Stats().bytes;
    PrintBytes("  by its own count", said, series);
    const Timer resolve_timer;
    Resolve(fleet, resolver);
    resolve_timer.Print("resolve (labels made too)", series);
    const size_t resolved = ResidentBytes();
    PrintBytes("resolver", resolved - inserted, series);
    PrintBytes("  by its own count", resolver.memory_bytes(), series);
    PrintBytes("index + resolver", resolved - empty, series);
    size_t found = 0;
    for (const auto& index : partitions) {
      found += index->Select(kDefaultTenant, {}, TimeRange{}, SIZE_MAX).value()->size();
    }
    if (found != fleet.size()) std::abort();
    PrintBytes("series order, once selected", ResidentBytes() - resolved, series);

    const auto database = Database::Open(options).value();
    const auto store = RunStore::Open(*database).value();
    RunCommit commit;
    for (const auto& index : partitions) commit.index.push_back(index->PrepareFlush());
    if (!store->Commit(std::move(commit)).ok() || !database->Close().ok()) std::abort();
  });
  uintmax_t disk = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(root)) {
    if (file.is_regular_file()) disk += file.file_size();
  }
  PrintBytes("disk, all files of RocksDB", disk, series);
  for (const size_t threads : {1, 2}) {
    InChild([&] { Load(options, count, threads, series); });
  }
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace basalt::storage

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: index_report SERIES [PARTITIONS]\n");
    return 2;
  }
  const auto partitions = static_cast<uint32_t>(argc > 2 ? std::stoul(argv[2]) : 8);
  basalt::storage::ReportOn(std::stoul(argv[1]), partitions);
}
