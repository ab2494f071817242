// tests/storage/log/log_fixture.h -- what the log's tests share.
#pragma once

#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/log/segment_log.h"
#include "tests/support/faulty_files.h"
#include "tests/support/simulated_disk.h"

namespace basalt::testing {

// A record that is a text.
class TextEntry final : public storage::LogEntry {
 public:
  explicit TextEntry(std::string text) : text_(std::move(text)) {}
  [[nodiscard]] size_t max_bytes() const override { return text_.size(); }
  void Write(LogPosition, uint64_t segment, std::string& out) override {
    segment_ = segment;
    out += text_;
  }
  [[nodiscard]] uint64_t segment() const { return segment_; }

 private:
  const std::string text_;
  uint64_t segment_ = 0;
};

// Appends and waits until it is acknowledged or refused.
inline Result<LogPosition> AppendText(storage::Log& log, const std::string& text) {
  TextEntry entry(text);
  auto ended = std::make_shared<std::promise<Status>>();
  std::future<Status> end = ended->get_future();
  auto position = log.Append(entry, [ended](const Status& status) { ended->set_value(status); });
  if (!position.ok()) return position;
  BASALT_TRY(end.get());
  return position;
}

using Records = std::vector<std::pair<uint64_t, std::string>>;

// Everything from First() on.
inline Result<Records> ReadAll(storage::Log& log) {
  Records records;
  BASALT_TRY(log.Read(log.First().seq, [&](const storage::LogRecord& record) {
    records.emplace_back(record.position.seq, std::string(record.bytes));
    return OkStatus();
  }));
  return records;
}

// A log on a simulated disk.
struct DiskLog {
  explicit DiskLog(uint64_t seed, size_t segment_bytes = 4096,
                   storage::SyncMode sync = storage::SyncMode::kAlways)
      : disk(seed), files(MakeFaultyFiles(disk)) {
    options.directory = "/data/log";
    options.segment_bytes = segment_bytes;
    options.sync = sync;
    options.files = files.get();
    options.gather_time = Duration(0);
  }
  Status Open() {
    log.reset();
    BASALT_TRY_ASSIGN(log, storage::SegmentLog::Open(options));
    return OkStatus();
  }

  SimulatedDisk disk;
  std::unique_ptr<storage::Files> files;
  storage::SegmentLogOptions options;
  std::unique_ptr<storage::SegmentLog> log;
};

}  // namespace basalt::testing
