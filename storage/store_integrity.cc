// Scrubbing a store that is open, and what it has quarantined.
#include <utility>

#include "engine/base/log.h"
#include "storage/damage.h"
#include "storage/log/segment_scrub.h"
#include "storage/parts/scrub.h"
#include "storage/store_impl.h"

namespace basalt::storage {

Status StoreImpl::ScrubLog(ScrubPace& pace, ScrubReport& report) {
  Files& files = core_.options.files != nullptr ? *core_.options.files : PosixFiles();
  const uint32_t partitions = core_.options.partitions;
  SegmentScrubOptions options;
  // The last one is being written to: up to the head it is read through the log, below.
  options.skip_last = true;
  options.on_record = [partitions](const LogRecord& record) {
    return CheckRecord(record, partitions);
  };
  options.on_begin = [&](uint64_t count, uint64_t bytes) {
    pace.progress.files_total += count;
    pace.progress.bytes_total += bytes;
  };
  options.spend = [&](uint64_t bytes) { return pace.Spend(bytes); };
  options.on_file = [&] { pace.FileDone(); };
  BASALT_TRY_ASSIGN(const SegmentScrubResult log,
                    ScrubSegments(files, core_.options.directory + "/log", options));
  pace.progress.records += log.records;
  for (const auto& bad : log.damage) {
    report.Add({.file = "log/" + bad.file, .what = bad.what, .block = {}});
  }
  const uint64_t from = core_.log->SegmentFirst(core_.log->Head().seq);
  Status read = core_.log->Read(from, [&](const LogRecord& record) -> Status {
    BASALT_TRY(pace.Spend(record.bytes.size()));
    ++pace.progress.records;
    return CheckRecord(record, partitions);
  });
  pace.FileDone();
  if (read.code() == StatusCode::kCancelled) return read;
  // kOutOfRange: trimmed meanwhile.
  if (!read.ok() && read.code() != StatusCode::kOutOfRange) {
    report.Add({.file = "log", .what = std::string(read.message()), .block = {}});
  }
  return OkStatus();
}

Result<ScrubReport> StoreImpl::Scrub(const ScrubOptions& options) {
  const Visit visit(*this);
  BASALT_TRY(visit.status());
  if (scrubbing_.exchange(true)) return FailedPrecondition("scrub: one is under way");
  struct Leave {
    std::atomic<bool>& scrubbing;
    ~Leave() { scrubbing = false; }
  } const leave{scrubbing_};
  ScrubPace pace(options, &stop_scrub_);
  ScrubReport report;
  BASALT_TRY(
      ScrubDatabase(*core_.database, *core_.runs, pace, report,
                    [&](const Run& run, size_t block, const std::string& file, const Status& why) {
                      report.Add(DescribeBlock(run, block, file, std::string(why.message()),
                                               &core_.at(run.info().partition).index));
                    }));
  BASALT_TRY(ScrubLog(pace, report));
  pace.Finish();
  report.progress = pace.progress;
  if (report.damage_total != 0) {
    BASALT_LOG(kError, "a scrub found damage", {"damaged", report.damage_total},
               {"bytes", pace.progress.bytes_done});
  } else {
    BASALT_LOG(kInfo, "a scrub found everything whole", {"bytes", pace.progress.bytes_done},
               {"blocks", pace.progress.blocks}, {"records", pace.progress.records},
               {"released", report.released});
  }
  return report;
}

std::vector<Damage> StoreImpl::Quarantine() const {
  std::vector<Damage> out;
  for (const auto& run : core_.runs->Snapshot()->runs()) {
    const auto blocks = run->Quarantined();
    if (blocks.empty()) continue;
    const std::string file = "db/" + core_.runs->FileOf(run->info());
    for (const auto& [block, reason] : blocks) {
      const size_t partition = static_cast<size_t>(run->info().partition);
      out.push_back(DescribeBlock(*run, block, file, run->Describe(block) + ": " + reason,
                                  &core_.partitions[partition]->index));
    }
  }
  return out;
}

}  // namespace basalt::storage
