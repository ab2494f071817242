#include "engine/relay/spool.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <random>
#include <utility>

#include "engine/base/little_endian.h"
#include "engine/base/log.h"

namespace basalt::relay {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "basalt-spool-1\n\n";
constexpr std::string_view kWriterMagic = "basalt-writer-1\n";
constexpr size_t kWriterBytes = 16;
// Before the payload: when it was taken, in milliseconds since 1970.
constexpr size_t kTimeBytes = 8;

Timestamp TimeOf(std::string_view record) {
  return FromMs(static_cast<int64_t>(LoadLittleEndian<uint64_t>(record.data())));
}

std::string FileName(const std::string& directory, uint64_t first) {
  char name[32];
  std::snprintf(name, sizeof name, "%020llu.spool", static_cast<unsigned long long>(first));
  return directory + "/" + name;
}

}  // namespace

Result<std::unique_ptr<Spool>> Spool::Open(const SpoolOptions& options) {
  std::error_code error;
  fs::create_directories(options.directory, error);
  if (error) return Unavailable("spool " + options.directory + ": " + error.message());
  std::unique_ptr<Spool> spool(new Spool(options));
  const std::string lock = options.directory + "/LOCK";
  spool->lock_fd_ = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (spool->lock_fd_ < 0) return Unavailable(lock + ": " + std::strerror(errno));
  if (::flock(spool->lock_fd_, LOCK_EX | LOCK_NB) != 0)
    return FailedPrecondition("spool " + options.directory + ": another relay has it");
  BASALT_TRY(spool->Load());
  return spool;
}

Spool::~Spool() {
  if (lock_fd_ >= 0) ::close(lock_fd_);
}

Status Spool::LoadWriter() {
  const std::string path = options_.directory + "/writer";
  if (fs::exists(path)) {
    const auto take = [this](uint64_t, std::string_view payload) {
      writer_ = payload;
      return OkStatus();
    };
    BASALT_TRY(RecordFile::Open(path, kWriterMagic, take).status());
    if (writer_.size() == kWriterBytes) return OkStatus();
    return DataLoss(path +
                    ": holds no writer's name; without it what is spooled cannot be sent "
                    "exactly once. Remove the directory to begin anew");
  }
  std::random_device random;
  writer_.clear();
  while (writer_.size() < kWriterBytes) writer_ += static_cast<char>(random());
  const std::string fresh = path + ".new";
  (void)std::remove(fresh.c_str());
  BASALT_TRY_ASSIGN(RecordFile::Opened made, RecordFile::Open(fresh, kWriterMagic, nullptr));
  BASALT_TRY(made.file->Append(writer_).status());
  BASALT_TRY(made.file->Sync());
  return RenameDurably(fresh, path);
}

Status Spool::Load() {
  const MutexLock lock(mu_);
  BASALT_TRY(LoadWriter());
  std::map<uint64_t, std::string> files;
  for (const auto& entry : fs::directory_iterator(options_.directory)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".spool")) continue;
    uint64_t first = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), first);
    if (error != std::errc() || std::string_view(end) != ".spool" || first == 0)
      return DataLoss(entry.path().string() + ": no name of a spool file");
    files[first] = entry.path().string();
  }
  for (const auto& [first, path] : files) {
    Segment segment;
    segment.first = first;
    segment.path = path;
    const auto on_record = [&segment](uint64_t offset, std::string_view payload) {
      if (payload.size() < kTimeBytes) return DataLoss("it has no time");
      if (segment.offsets.empty()) segment.oldest = TimeOf(payload);
      segment.offsets.push_back(offset);
      return OkStatus();
    };
    BASALT_TRY_ASSIGN(RecordFile::Opened opened, RecordFile::Open(path, kMagic, on_record));
    segment.file = std::move(opened.file);
    // They keep their numbers: those that follow are known by theirs.
    for (const RecordFile::Damage& damage : opened.damaged) {
      const auto at =
          std::lower_bound(segment.offsets.begin(), segment.offsets.end(), damage.offset);
      segment.offsets.insert(at, damage.offset);
    }
    for (const RecordFile::Damage& damage : opened.damaged) {
      const auto at =
          std::lower_bound(segment.offsets.begin(), segment.offsets.end(), damage.offset);
      Lose(first + static_cast<uint64_t>(at - segment.offsets.begin()), path + ": " + damage.what);
    }
    if (opened.cut_bytes > 0) {
      BASALT_LOG(kWarn, "the end of a spool file is torn and was cut off", {"path", path},
                 {"bytes", opened.cut_bytes});
    }
    if (!segments_.empty() && segment.first < segments_.back().end())
      return DataLoss(path + ": begins before the file before it ends");
    if (!segments_.empty() && segment.first > segments_.back().end()) {
      const uint64_t missing = segment.first - segments_.back().end();
      lost_ += missing;
      BASALT_LOG(kError, "records of the spool are damaged and lost", {"before", path},
                 {"records", missing});
    }
    segments_.push_back(std::move(segment));
  }
  if (!segments_.empty()) {
    next_ = segments_.back().end();
    acked_ = segments_.front().first - 1;
  }
  synced_ = next_ - 1;
  return segments_.empty() ? BeginFile() : OkStatus();
}

Status Spool::BeginFile() {
  Segment segment;
  segment.first = next_;
  segment.path = FileName(options_.directory, next_);
  const std::string& path = segment.path;
  BASALT_TRY_ASSIGN(RecordFile::Opened opened, RecordFile::Open(path + ".new", kMagic, nullptr));
  BASALT_TRY(opened.file->Sync());
  BASALT_TRY(RenameDurably(path + ".new", path));
  segment.file = std::move(opened.file);
  segments_.push_back(std::move(segment));
  return OkStatus();
}

uint64_t Spool::Bytes() const {
  uint64_t bytes = 0;
  for (const Segment& segment : segments_) bytes += segment.file->bytes();
  return bytes;
}

Result<uint64_t> Spool::Append(Timestamp now, std::string_view payload) {
  std::string record;
  record.reserve(kTimeBytes + payload.size());
  AppendLittleEndian(static_cast<uint64_t>(ToMs(now)), record);
  record += payload;
  MutexLock lock(mu_);
  BASALT_TRY(Status(failed_));
  if (Bytes() + record.size() + kRecordHeaderBytes > options_.max_bytes) {
    return ResourceExhausted("the spool holds " + std::to_string(Bytes()) +
                             " bytes that the server has not taken; its bound is " +
                             std::to_string(options_.max_bytes));
  }
  if (segments_.back().file->bytes() > options_.file_bytes) {
    // What is in the last file is on the disk before anything comes after it.
    while (syncing_) changed_.Wait(lock);
    BASALT_TRY(segments_.back().file->Sync());
    synced_ = next_ - 1;
    BASALT_TRY(BeginFile());
  }
  Segment& segment = segments_.back();
  BASALT_TRY_ASSIGN(const uint64_t offset, segment.file->Append(record));
  if (segment.offsets.empty()) segment.oldest = now;
  segment.offsets.push_back(offset);
  const uint64_t number = next_++;
  // One of those who wait syncs for all.
  while (synced_ < number) {
    BASALT_TRY(Status(failed_));
    if (syncing_) {
      changed_.Wait(lock);
      continue;
    }
    syncing_ = true;
    const uint64_t upto = next_ - 1;
    const std::shared_ptr<RecordFile> file = segments_.back().file;
    lock.Unlock();
    const Status status = file->Sync();
    lock.Lock();
    syncing_ = false;
    if (status.ok()) {
      synced_ = std::max(synced_, upto);
    } else {
      // The kernel tells of a lost page once: what it would say next means nothing.
      failed_ = status;
    }
    changed_.NotifyAll();
  }
  return number;
}

Result<std::optional<Spool::Record>> Spool::Read(uint64_t number, Duration patience) {
  std::string bytes;
  for (;; patience = Duration(0)) {
    std::shared_ptr<RecordFile> file;
    uint64_t offset = 0;
    {
      MutexLock lock(mu_);
      if (synced_ < number) changed_.WaitFor(lock, patience);
      const auto found =
          std::find_if(segments_.begin(), segments_.end(),
                       [number](const Segment& segment) { return segment.end() > number; });
      if (found == segments_.end()) return std::optional<Record>();
      number = std::max(number, found->first);
      if (number > synced_) return std::optional<Record>();
      file = found->file;
      offset = found->offsets[number - found->first];
    }
    Status status = file->Read(offset, bytes);
    if (status.ok() && bytes.size() >= kTimeBytes) {
      return std::optional(
          Record{.number = number, .taken = TimeOf(bytes), .payload = bytes.substr(kTimeBytes)});
    }
    if (status.ok()) status = DataLoss(file->path() + ": a record without a time");
    if (status.code() != StatusCode::kDataLoss) return status;
    const MutexLock lock(mu_);
    Lose(number, std::string(status.message()));
    ++number;
  }
}

void Spool::Lose(uint64_t number, const std::string& why) {
  if (!damaged_.insert(number).second) return;
  ++lost_;
  BASALT_LOG(kError, "a record of the spool is damaged and lost", {"record", number}, {"why", why});
}

void Spool::Trim(uint64_t number) {
  const MutexLock lock(mu_);
  acked_ = std::max(acked_, std::min(number, next_ - 1));
  // The last one stays: it keeps the count.
  while (segments_.size() > 1 && segments_.front().end() <= acked_ + 1) {
    (void)std::remove(segments_.front().path.c_str());
    segments_.pop_front();
  }
  damaged_.erase(damaged_.begin(), damaged_.lower_bound(segments_.front().first));
  // A last file that is done with makes way for an empty one.
  Segment& last = segments_.back();
  if (last.file->bytes() > options_.file_bytes && last.end() == acked_ + 1 && !syncing_) {
    if (BeginFile().ok()) {
      (void)std::remove(segments_.front().path.c_str());
      segments_.pop_front();
    }
  }
}

void Spool::SkipTo(uint64_t number) {
  const MutexLock lock(mu_);
  if (number < next_) return;
  BASALT_LOG(kWarn, "the server knows more records of this spool than the spool itself",
             {"spooled", next_ - 1}, {"server", number});
  next_ = number + 1;
  synced_ = std::max(synced_, number);
  acked_ = std::max(acked_, number);
  if (const Status status = BeginFile(); !status.ok()) failed_ = status;
}

Spool::Stats Spool::GetStats() const {
  const MutexLock lock(mu_);
  Stats stats;
  stats.newest = next_ - 1;
  stats.oldest = acked_ + 1;
  stats.bytes = Bytes();
  stats.lost_records = lost_;
  for (const Segment& segment : segments_) {
    const uint64_t from = std::max(segment.first, acked_ + 1);
    if (segment.end() <= from) continue;
    stats.records += segment.end() - from;
    // Of its file's first record: late by at most a file.
    if (!stats.oldest_taken.has_value()) stats.oldest_taken = segment.oldest;
  }
  stats.records -=
      static_cast<uint64_t>(std::distance(damaged_.lower_bound(acked_ + 1), damaged_.end()));
  return stats;
}

}  // namespace basalt::relay
