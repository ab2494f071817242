#include "storage/parts/stored_run.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "engine/base/log.h"
#include "storage/parts/meta_keys.h"
#include "storage/parts/run_format.h"

namespace basalt::storage {

namespace {

std::string DayName(uint16_t day) {
  const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(day))};
  const auto two = [](unsigned v) { return (v < 10 ? "0" : "") + std::to_string(v); };
  return std::to_string(static_cast<int>(date.year())) + "-" +
         two(static_cast<unsigned>(date.month())) + "-" + two(static_cast<unsigned>(date.day()));
}

std::string TimeName(int64_t ms) {
  const auto day = static_cast<uint16_t>(std::clamp<int64_t>(ms / kMsPerDay, 0, kMaxDay));
  const int64_t second = (ms - DayStartMs(day)) / kMsPerSecond;
  const auto two = [](int64_t v) { return (v < 10 ? "0" : "") + std::to_string(v); };
  return DayName(day) + "T" + two(second / 3600) + ":" + two(second / 60 % 60) + ":" +
         two(second % 60) + "Z";
}

}  // namespace

std::string QuarantineKey(uint32_t run, size_t block) {
  std::string key(kQuarantinePrefix);
  AppendBigEndian(run, 4, key);
  AppendBigEndian(block == kDirectoryBlock ? UINT32_MAX : block, 4, key);
  return key;
}

bool ParseQuarantineKey(std::string_view key, uint32_t& run, size_t& block) {
  uint64_t number = 0;
  uint64_t index = 0;
  if (!key.starts_with(kQuarantinePrefix)) return false;
  key.remove_prefix(kQuarantinePrefix.size());
  if (key.size() != 8 || !ReadBigEndian(key.substr(0, 4), 4, number) ||
      !ReadBigEndian(key.substr(4), 4, index)) {
    return false;
  }
  run = static_cast<uint32_t>(number);
  block = index == UINT32_MAX ? kDirectoryBlock : static_cast<size_t>(index);
  return true;
}

std::string StoredRun::Describe(size_t i) const {
  std::string text = "partition " + std::to_string(static_cast<uint16_t>(info_.partition)) +
                     " day " + DayName(info_.day) + " run " + std::to_string(info_.number);
  if (i == kDirectoryBlock) return text + " directory";
  return text + " block " + std::to_string(i);
}

Status StoredRun::WhyNotRead(size_t i) const {
  int64_t min_ms = info_.min_ms;
  int64_t max_ms = info_.max_ms;
  std::string reason;
  {
    const MutexLock lock(mu_);
    const auto found = quarantined_.find(i);
    if (found == quarantined_.end()) return OkStatus();
    reason = found->second;
  }
  const auto directory = shared_->directories.Find(info_.number);
  if (directory != nullptr && i < directory->size() && (*directory)[i].samples != 0) {
    min_ms = (*directory)[i].min_ms;
    max_ms = (*directory)[i].max_ms;
  }
  return DataLoss(Describe(i) + " is damaged: its samples from " + TimeName(min_ms) + " to " +
                  TimeName(max_ms) + " are left out, and values that they replaced show again (" +
                  reason + ")");
}

std::map<size_t, std::string> StoredRun::Quarantined() const {
  const MutexLock lock(mu_);
  return quarantined_;
}

void StoredRun::LoadQuarantined(size_t i, std::string reason) {
  const MutexLock lock(mu_);
  quarantined_.emplace(i, std::move(reason));
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
  const std::string reason(why.message().substr(0, kMaxQuarantineReason));
  bool fresh = false;
  {
    const MutexLock lock(mu_);
    fresh = quarantined_.emplace(i, reason).second;
  }
  const Status named = WhyNotRead(i);
  if (!fresh) return named;
  BASALT_LOG(kError, "a block is quarantined", {"what", named.message()});
  if (shared_->database.options().read_only) return named;
  // Remembered, so that a restart does not have to find it again. Where that fails it is found
  // again, and said again.
  WriteBatch batch;
  batch.Put(Family::kMeta, QuarantineKey(info_.number, i), reason);
  if (const Status written = shared_->database.Write(std::move(batch), true); !written.ok()) {
    BASALT_LOG(kWarn, "the quarantine is not recorded", {"error", written.ToString()});
  }
  return named;
}

bool StoredRun::Release(size_t i) const {
  {
    const MutexLock lock(mu_);
    if (quarantined_.erase(i) == 0) return false;
  }
  BASALT_LOG(kInfo, "a quarantined block reads well again", {"block", Describe(i)});
  if (shared_->database.options().read_only) return true;
  WriteBatch batch;
  batch.Delete(Family::kMeta, QuarantineKey(info_.number, i));
  if (const Status written = shared_->database.Write(std::move(batch), true); !written.ok()) {
    BASALT_LOG(kWarn, "the quarantine's end is not recorded", {"error", written.ToString()});
  }
  return true;
}

Result<std::shared_ptr<const RunDirectory>> StoredRun::Directory() const {
  if (auto kept = shared_->directories.Find(info_.number); kept != nullptr) return kept;
  BASALT_TRY(WhyNotRead(kDirectoryBlock));
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

Result<PinnedBytes> StoredRun::Read(size_t i, CacheUse use) const {
  BASALT_TRY_ASSIGN(const std::shared_ptr<const RunDirectory> refs, Directory());
  BASALT_CHECK(i < refs->size(), "superblock index out of range");
  BASALT_TRY(WhyNotRead(i));
  Result<PinnedBytes> bytes = shared_->database.GetPinned(
      Family::kBlocks, SuperblockKey(info_, (*refs)[i].place, (*refs)[i].row), use);
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

RunsSnapshot::RunsSnapshot(std::vector<std::shared_ptr<const Run>> runs) : runs_(std::move(runs)) {
  any_rollup_ = std::any_of(runs_.begin(), runs_.end(),
                            [](const auto& run) { return run->info().is_rollup(); });
}

std::vector<std::shared_ptr<const Run>> RunsSnapshot::RollupsOf(PartitionId partition,
                                                                Resolution resolution,
                                                                TimeRange range) const {
  std::vector<std::shared_ptr<const Run>> out;
  if (!any_rollup_) return out;
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
