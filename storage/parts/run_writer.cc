#include <rocksdb/sst_file_writer.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "storage/codec/keys.h"
#include "storage/parts/rocks.h"
#include "storage/parts/run_format.h"
#include "storage/parts/run_writer_impl.h"
#include "storage/parts/runs.h"

namespace basalt::storage {

FinishedRun::~FinishedRun() {
  // After a commit the file has moved and this finds nothing.
  if (env_ != nullptr) (void)env_->DeleteFile(path_);
}

FinishedRun::FinishedRun(FinishedRun&& other) noexcept
    : info_(other.info_), path_(std::move(other.path_)), env_(std::exchange(other.env_, nullptr)) {}

FinishedRun& FinishedRun::operator=(FinishedRun&& other) noexcept {
  std::swap(info_, other.info_);
  std::swap(path_, other.path_);
  std::swap(env_, other.env_);
  return *this;
}

RunWriter::RunWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RunWriter::RunWriter(RunWriter&&) noexcept = default;
RunWriter::~RunWriter() {
  if (impl_ == nullptr || impl_->finished) return;
  impl_->file.reset();
  (void)impl_->env->DeleteFile(impl_->path);
}

uint64_t RunWriter::superblocks() const { return impl_->refs.size(); }
uint64_t RunWriter::bytes() const { return impl_->info.bytes; }

void RunWriter::SetShape(uint64_t shape, bool raw_gone) {
  impl_->info.shape = shape;
  impl_->info.raw_gone = raw_gone;
}

Status RunWriter::Add(const SuperblockInput& block) {
  Impl& w = *impl_;
  if (!w.refs.empty() &&
      std::tie(block.place, block.row) <= std::tie(w.refs.back().place, w.refs.back().row)) {
    return Internal(w.context + ": superblocks are not in rising order");
  }
  if (block.last_place < block.place || block.max_ms < block.min_ms || block.bytes.empty() ||
      block.bytes.size() > UINT32_MAX) {
    return Internal(w.context + ": a superblock's places, times or size are not possible");
  }
  BASALT_TRY(FromRocks(
      w.file->Put(SuperblockKey(w.info, block.place, block.row), ToSlice(block.bytes)), w.context));
  // Shared time columns have no samples; their times must not widen the run's.
  if (block.samples != 0) {
    const bool first = w.info.samples == 0;
    w.info.min_ms = first ? block.min_ms : std::min(w.info.min_ms, block.min_ms);
    w.info.max_ms = first ? block.max_ms : std::max(w.info.max_ms, block.max_ms);
  }
  w.info.samples += block.samples;
  w.info.rows += block.rows;
  w.info.bytes += block.bytes.size();
  w.refs.push_back({.place = block.place,
                    .row = block.row,
                    .last_place = block.last_place,
                    .min_ms = block.min_ms,
                    .max_ms = block.max_ms,
                    .samples = block.samples,
                    .bytes = static_cast<uint32_t>(block.bytes.size())});
  return OkStatus();
}

Result<FinishedRun> RunWriter::Finish(LogPosition after, LogPosition last,
                                      LogPosition deletes_applied) {
  Impl& w = *impl_;
  if (w.info.samples == 0) return InvalidArgument(w.context + ": no samples");
  BASALT_TRY(FromRocks(w.file->Put(DirectoryKey(w.info), EncodeDirectory(w.refs)), w.context));
  BASALT_TRY(FromRocks(w.file->Finish(), w.context));  // fsyncs
  w.finished = true;
  FinishedRun run;
  run.info_ = w.info;
  run.info_.after = after;
  run.info_.last = last;
  run.info_.deletes_applied = deletes_applied;
  run.info_.superblocks = w.refs.size();
  if (run.info_.is_rollup()) {
    // Its times are those of buckets; a delete of any of their samples concerns it.
    run.info_.min_ms = DayStartMs(w.info.day);
    run.info_.max_ms = run.info_.min_ms + kMsPerDay - 1;
  }
  run.path_ = w.path;
  run.env_ = w.env;
  return run;
}

}  // namespace basalt::storage
