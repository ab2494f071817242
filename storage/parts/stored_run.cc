#include "storage/parts/stored_run.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "storage/parts/run_format.h"

namespace basalt::storage {

namespace {

std::string DayName(uint16_t day) {
  const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(day))};
  const auto two = [](unsigned v) { return (v < 10 ? "0" : "") + std::to_string(v); };
  return std::to_string(static_cast<int>(date.year())) + "-" +
         two(static_cast<unsigned>(date.month())) + "-" + two(static_cast<unsigned>(date.day()));
}

}  // namespace

std::string StoredRun::Describe(size_t i) const {
  return "partition " + std::to_string(static_cast<uint16_t>(info_.partition)) + " day " +
         DayName(info_.day) + " run " + std::to_string(info_.number) +
         (i == kDirectoryBlock ? " directory" : " block " + std::to_string(i));
}

bool StoredRun::Quarantined(size_t i) const {
  const MutexLock lock(mu_);
  return quarantined_.contains(i);
}

bool StoredRun::IsChecked(size_t i) const {
  const MutexLock lock(mu_);
  return i < checked_.size() && checked_[i];
}

void StoredRun::SetChecked(size_t i) const {
  const MutexLock lock(mu_);
  if (i >= checked_.size()) checked_.resize(i + 1);
  checked_[i] = true;
}

Status StoredRun::Quarantine(size_t i, const Status& why) const {
  Status named = DataLoss(Describe(i) + ": " + std::string(why.message()));
  {
    const MutexLock lock(mu_);
    if (!quarantined_.insert(i).second) return named;
  }
  shared_->AddDamage(std::string(named.message()));
  return named;
}

Result<std::shared_ptr<const RunDirectory>> StoredRun::Directory() const {
  if (auto kept = shared_->directories.Find(info_.number); kept != nullptr) return kept;
  if (Quarantined(kDirectoryBlock)) {
    return DataLoss(Describe(kDirectoryBlock) + ": damaged, left out");
  }
  const Result<PinnedBytes> bytes =
      shared_->database.GetPinned(Family::kBlocks, DirectoryKey(info_));
  if (!bytes.ok() && bytes.status().code() != StatusCode::kDataLoss &&
      bytes.status().code() != StatusCode::kNotFound) {
    return bytes.status().WithContext(Describe(kDirectoryBlock));
  }
  if (!bytes.ok()) return Quarantine(kDirectoryBlock, bytes.status());
  Result<std::vector<SuperblockRef>> refs = DecodeDirectory(bytes->view());
  if (!refs.ok()) return Quarantine(kDirectoryBlock, refs.status());
  auto directory = std::make_shared<const RunDirectory>(std::move(refs).value());
  shared_->directories.Keep(info_.number, directory);
  return directory;
}

Result<std::pair<size_t, size_t>> StoredRun::Find(const SeriesPlace& place) const {
  BASALT_TRY_ASSIGN(const std::shared_ptr<const RunDirectory> held, Directory());
  const RunDirectory& refs = *held;
  const auto first = std::partition_point(
      refs.begin(), refs.end(), [&](const SuperblockRef& ref) { return ref.last_place < place; });
  const auto last = std::partition_point(
      first, refs.end(), [&](const SuperblockRef& ref) { return ref.place <= place; });
  return std::pair{static_cast<size_t>(first - refs.begin()),
                   static_cast<size_t>(last - refs.begin())};
}

Result<PinnedBytes> StoredRun::Read(size_t i) const {
  BASALT_TRY_ASSIGN(const std::shared_ptr<const RunDirectory> refs, Directory());
  BASALT_CHECK(i < refs->size(), "superblock index out of range");
  if (Quarantined(i)) return DataLoss(Describe(i) + ": damaged, left out");
  Result<PinnedBytes> bytes = shared_->database.GetPinned(
      Family::kBlocks, SuperblockKey(info_, (*refs)[i].place, (*refs)[i].row));
  if (bytes.ok()) return bytes;
  // A disk that does not answer is not a damaged block: that may pass.
  if (bytes.status().code() != StatusCode::kDataLoss &&
      bytes.status().code() != StatusCode::kNotFound) {
    return bytes.status().WithContext(Describe(i));
  }
  return Quarantine(i, bytes.status());
}

size_t TimesBegin(const RunDirectory& directory) {
  return static_cast<size_t>(std::partition_point(directory.begin(), directory.end(),
                                                  [](const SuperblockRef& ref) {
                                                    return ref.place.metric !=
                                                           MetricId{kTimesMetric};
                                                  }) -
                             directory.begin());
}

std::shared_ptr<const RunDirectory> DirectoryCache::Find(uint32_t run) {
  const MutexLock lock(mu_);
  const auto it = entries_.find(run);
  if (it == entries_.end()) return nullptr;
  order_.splice(order_.begin(), order_, it->second.place);
  return it->second.directory;
}

void DirectoryCache::Keep(uint32_t run, std::shared_ptr<const RunDirectory> directory) {
  const MutexLock lock(mu_);
  if (entries_.contains(run)) return;  // another reader was faster
  bytes_ += BytesOf(*directory);
  order_.push_front(run);
  entries_.emplace(run, Entry{std::move(directory), order_.begin()});
  // The newest stays, however large.
  while (bytes_ > limit_ && order_.size() > 1) EraseLocked(order_.back());
}

void DirectoryCache::Erase(uint32_t run) {
  const MutexLock lock(mu_);
  EraseLocked(run);
}

void DirectoryCache::EraseLocked(uint32_t run) {
  const auto it = entries_.find(run);
  if (it == entries_.end()) return;
  bytes_ -= BytesOf(*it->second.directory);
  order_.erase(it->second.place);
  entries_.erase(it);
}

uint64_t DirectoryCache::bytes() const {
  const MutexLock lock(mu_);
  return bytes_;
}

std::vector<std::shared_ptr<const Run>> RunsSnapshot::Overlapping(PartitionId partition,
                                                                  TimeRange range) const {
  std::vector<std::shared_ptr<const Run>> out;
  const auto first = std::partition_point(
      runs_.begin(), runs_.end(),
      [&](const std::shared_ptr<const Run>& run) { return run->info().partition < partition; });
  for (auto it = first; it != runs_.end() && (*it)->info().partition == partition; ++it) {
    const RunInfo& info = (*it)->info();
    if (info.is_rollup()) continue;
    if (info.max_ms >= range.min_ms && info.min_ms <= range.max_ms) out.push_back(*it);
  }
  return out;
}

std::vector<std::shared_ptr<const Run>> RunsSnapshot::RollupsOf(PartitionId partition,
                                                                Resolution resolution,
                                                                TimeRange range) const {
  std::vector<std::shared_ptr<const Run>> out;
  const auto first = std::partition_point(
      runs_.begin(), runs_.end(),
      [&](const std::shared_ptr<const Run>& run) { return run->info().partition < partition; });
  for (auto it = first; it != runs_.end() && (*it)->info().partition == partition; ++it) {
    const RunInfo& info = (*it)->info();
    if (!info.is_rollup() || info.resolution() != resolution) continue;
    if (info.max_ms >= range.min_ms && info.min_ms <= range.max_ms) out.push_back(*it);
  }
  return out;
}

}  // namespace basalt::storage
