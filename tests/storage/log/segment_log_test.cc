#include "storage/log/segment_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <latch>
#include <thread>

#include "storage/log/record.h"
#include "storage/log/segment.h"
#include "tests/storage/log/log_fixture.h"

namespace basalt::storage {
namespace {

using basalt::testing::AppendText;
using basalt::testing::DiskFault;
using basalt::testing::DiskLog;
using basalt::testing::DiskOp;
using basalt::testing::ReadAll;
using basalt::testing::Records;
using basalt::testing::SimulatedDisk;
using basalt::testing::Survival;
using basalt::testing::TextEntry;
using ::testing::HasSubstr;

Records Numbered(uint64_t first, uint64_t last) {
  Records records;
  for (uint64_t seq = first; seq <= last; ++seq)
    records.emplace_back(seq, "record " + std::to_string(seq));
  return records;
}
void AppendNumbered(SegmentLog& log, uint64_t first, uint64_t last) {
  for (const auto& [seq, text] : Numbered(first, last)) {
    const auto position = AppendText(log, text);
    ASSERT_TRUE(position.ok()) << position.status().ToString();
    EXPECT_EQ(position->seq, seq);
  }
}

TEST(SegmentLog, NumbersRecordsFromOneAndGivesThemBackAcrossOpens) {
  DiskLog d(1);
  ASSERT_TRUE(d.Open().ok());
  EXPECT_EQ(d.log->Head().seq, 0u);
  EXPECT_EQ(d.log->First().seq, 1u);
  AppendNumbered(*d.log, 1, 5);
  EXPECT_EQ(d.log->Head().seq, 5u);
  ASSERT_TRUE(d.log->Close().ok());
  ASSERT_TRUE(d.Open().ok());
  EXPECT_EQ(d.log->Head().seq, 5u);
  AppendNumbered(*d.log, 6, 7);
  EXPECT_EQ(*ReadAll(*d.log), Numbered(1, 7));
}

TEST(SegmentLog, ReadsFromTheRecordAskedFor) {
  DiskLog d(1, 1024);
  ASSERT_TRUE(d.Open().ok());
  AppendNumbered(*d.log, 1, 20);
  for (uint64_t from = 1; from <= 22; ++from) {
    Records found;
    ASSERT_TRUE(d.log
                    ->Read(from,
                           [&](const LogRecord& record) {
                             EXPECT_LE(record.segment_first, record.position.seq);
                             EXPECT_EQ(record.segment_first,
                                       d.log->SegmentFirst(record.position.seq));
                             found.emplace_back(record.position.seq, std::string(record.bytes));
                             return OkStatus();
                           })
                    .ok());
    EXPECT_EQ(found, from > 20 ? Records{} : Numbered(from, 20)) << from;
  }
}

TEST(SegmentLog, AVisitorsErrorEndsTheReading) {
  DiskLog d(1);
  ASSERT_TRUE(d.Open().ok());
  AppendNumbered(*d.log, 1, 3);
  int visits = 0;
  const Status status = d.log->Read(
      1, [&](const LogRecord&) { return ++visits == 2 ? Aborted("enough") : OkStatus(); });
  EXPECT_EQ(status.code(), StatusCode::kAborted);
  EXPECT_EQ(visits, 2);
}

TEST(SegmentLog, TrimsWholeSegmentsAndKeepsTheNumbers) {
  DiskLog d(1, 1024);
  ASSERT_TRUE(d.Open().ok());
  AppendNumbered(*d.log, 1, 20);
  const uint64_t segments = d.log->Stats().segments;
  ASSERT_GT(segments, 3u);
  ASSERT_TRUE(d.log->Trim(10).ok());
  const uint64_t first = d.log->First().seq;
  EXPECT_GT(first, 1u);
  EXPECT_LE(first, 11u);
  EXPECT_LT(d.log->Stats().segments, segments);
  EXPECT_EQ(*ReadAll(*d.log), Numbered(first, 20));
  EXPECT_EQ(d.log->Read(first - 1, [](const LogRecord&) { return OkStatus(); }).code(),
            StatusCode::kOutOfRange);

  // All of it, after settling: one empty segment that knows the next number.
  ASSERT_TRUE(d.log->Settle().ok());
  ASSERT_TRUE(d.log->Trim(20).ok());
  EXPECT_EQ(d.log->Stats().segments, 1u);
  EXPECT_EQ(d.log->Stats().segment_bytes, kSegmentHeaderBytes);
  EXPECT_EQ(*ReadAll(*d.log), Records{});
  EXPECT_EQ(d.log->First().seq, 21u);
  ASSERT_TRUE(d.log->Close().ok());
  ASSERT_TRUE(d.Open().ok());
  EXPECT_EQ(d.log->Head().seq, 20u);
  AppendNumbered(*d.log, 21, 21);
}

TEST(SegmentLog, PreallocatesInDoublingSteps) {
  DiskLog d(1, 8 << 20);
  ASSERT_TRUE(d.Open().ok());
  std::vector<uint64_t> sizes;
  for (uint64_t written = 0; written < 7 << 20; written += 512 << 10) {
    ASSERT_TRUE(AppendText(*d.log, std::string(512 << 10, 'x')).ok());
    const uint64_t size = d.log->Stats().segment_bytes;
    if (sizes.empty() || sizes.back() != size) sizes.push_back(size);
  }
  EXPECT_EQ(sizes, (std::vector<uint64_t>{1 << 20, 2 << 20, 4 << 20, 8 << 20}));
}

TEST(SegmentLog, EveryWriteFillsWholeSectors) {
  DiskLog d(1, 1 << 20);
  ASSERT_TRUE(d.Open().ok());
  uint64_t end = kSegmentHeaderBytes;
  for (const size_t size : {1, 480, 488, 489, 1000, 100'000}) {
    ASSERT_TRUE(AppendText(*d.log, std::string(size, 'x')).ok());
    end += (FrameBytes(size) + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
  }
  ASSERT_TRUE(d.log->Settle().ok());
  EXPECT_EQ(d.disk.Contents("/data/log/" + SegmentName(1)).size(), end);
  EXPECT_EQ(ReadAll(*d.log)->size(), 6u);
}

TEST(SegmentLog, SettlingGivesPreallocationBack) {
  DiskLog d(1, 1 << 20);
  ASSERT_TRUE(d.Open().ok());
  AppendNumbered(*d.log, 1, 1);
  EXPECT_EQ(d.log->Stats().segment_bytes, 1u << 20);
  ASSERT_TRUE(d.log->Settle().ok());
  EXPECT_EQ(d.log->Stats().segment_bytes, 2 * kSegmentHeaderBytes + kSectorBytes);
  EXPECT_EQ(d.disk.Contents("/data/log/" + SegmentName(1)).size(),
            kSegmentHeaderBytes + kSectorBytes);
}

TEST(SegmentLog, ALargeRecordGetsASegmentOfItsOwnAndATooLargeOneIsRefused) {
  DiskLog d(1, 1024);
  ASSERT_TRUE(d.Open().ok());
  AppendNumbered(*d.log, 1, 2);
  ASSERT_TRUE(AppendText(*d.log, std::string(10'000, 'x')).ok());
  ASSERT_TRUE(AppendText(*d.log, "after").ok());
  EXPECT_EQ(d.log->SegmentFirst(3), 3u);
  EXPECT_EQ(d.log->SegmentFirst(4), 4u);
  const auto refused = AppendText(*d.log, std::string(kMaxRecordBytes + 1, 'x'));
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(AppendText(*d.log, "").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(d.log->Head().seq, 4u);
}

TEST(SegmentLog, OneDirectoryHasOneWriter) {
  DiskLog d(1);
  ASSERT_TRUE(d.Open().ok());
  EXPECT_EQ(SegmentLog::Open(d.options).status().code(), StatusCode::kFailedPrecondition);
}

TEST(SegmentLog, AnotherLanesDirectoryIsRefused) {
  DiskLog d(1);
  ASSERT_TRUE(d.Open().ok());
  ASSERT_TRUE(d.log->Close().ok());
  d.log.reset();
  d.options.lane = 7;
  const auto opened = SegmentLog::Open(d.options);
  EXPECT_EQ(opened.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("lane"));
}

TEST(SegmentLog, RefusesAfterClose) {
  DiskLog d(1);
  ASSERT_TRUE(d.Open().ok());
  AppendNumbered(*d.log, 1, 1);
  ASSERT_TRUE(d.log->Close().ok());
  EXPECT_TRUE(d.log->Close().ok());
  EXPECT_EQ(AppendText(*d.log, "late").status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(d.log->Sync().code(), StatusCode::kUnavailable);
  EXPECT_EQ(*ReadAll(*d.log), Numbered(1, 1));
}

TEST(SegmentLog, FencingRaisesTheEpochAndBeginsASegment) {
  DiskLog d(1);
  ASSERT_TRUE(d.Open().ok());
  AppendNumbered(*d.log, 1, 2);
  const auto first = d.log->Fence();
  ASSERT_TRUE(first.ok());
  const auto second = d.log->Fence();
  ASSERT_TRUE(second.ok());
  EXPECT_GT(*second, *first);
  AppendNumbered(*d.log, 3, 4);
  EXPECT_EQ(d.log->SegmentFirst(4), 3u);
  ASSERT_TRUE(d.log->Close().ok());
  ASSERT_TRUE(d.Open().ok());
  EXPECT_GT(*d.log->Fence(), *second);
  EXPECT_EQ(*ReadAll(*d.log), Numbered(1, 4));
}

TEST(SegmentLog, ACopyByLinksIsALogOfItsOwn) {
  DiskLog d(1, 1024);
  ASSERT_TRUE(d.Open().ok());
  AppendNumbered(*d.log, 1, 12);
  ASSERT_TRUE(d.disk.MakeDirectory("/copy").ok());
  ASSERT_TRUE(d.log->LinkInto("/copy").ok());
  AppendNumbered(*d.log, 13, 15);
  auto options = d.options;
  options.directory = "/copy";
  auto copy = SegmentLog::Open(options);
  ASSERT_TRUE(copy.ok()) << copy.status().ToString();
  EXPECT_EQ(*ReadAll(**copy), Numbered(1, 12));
  ASSERT_TRUE(AppendText(**copy, "elsewhere").ok());
  ASSERT_TRUE((*copy)->Close().ok());
  EXPECT_EQ(*ReadAll(*d.log), Numbered(1, 15));
}

TEST(SegmentLog, RefusesWhatWouldExceedTheBytesInFlightAndRecovers) {
  DiskLog d(1, 1 << 20);
  d.options.max_bytes_in_flight = 1000;
  ASSERT_TRUE(d.Open().ok());
  std::latch stalled(1);
  d.disk.SetHook([&](DiskOp op, const std::string&) {
    if (op == DiskOp::kWrite) stalled.wait();
  });
  const std::string text(300, 'x');  // frames of 328
  std::latch acknowledged(3);
  size_t taken = 0;
  Status refusal;
  for (int i = 0; i < 10; ++i) {
    TextEntry entry(text);
    const auto position = d.log->Append(entry, [&](const Status& status) {
      EXPECT_TRUE(status.ok());
      acknowledged.count_down();
    });
    if (!position.ok()) {
      refusal = position.status();
      break;
    }
    ++taken;
  }
  EXPECT_EQ(taken, 3u);  // 984 bytes; a fourth would make 1312
  EXPECT_EQ(refusal.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(d.log->Stats().in_flight_bytes, 984u);
  stalled.count_down();
  acknowledged.wait();
  EXPECT_EQ(d.log->Stats().in_flight_bytes, 0u);
  // Alone, a record larger than the whole budget passes.
  EXPECT_TRUE(AppendText(*d.log, std::string(5000, 'y')).ok());
  d.log.reset();  // before what its hook waits for
}

TEST(SegmentLog, WhatWaitsTogetherIsSyncedTogether) {
  DiskLog d(1, 1 << 20);
  ASSERT_TRUE(d.Open().ok());
  std::latch stalled(1);
  std::latch reached(1);
  std::atomic<bool> first{true};
  d.disk.SetHook([&](DiskOp op, const std::string&) {
    if (op == DiskOp::kWrite && first.exchange(false)) {
      reached.count_down();
      stalled.wait();
    }
  });
  std::latch acknowledged(11);
  const auto append = [&] {
    TextEntry entry("x");
    ASSERT_TRUE(d.log->Append(entry, [&](const Status&) { acknowledged.count_down(); }).ok());
  };
  append();
  reached.wait();
  for (int i = 0; i < 10; ++i) append();
  stalled.count_down();
  acknowledged.wait();
  EXPECT_EQ(d.log->Stats().groups, 2u);
  EXPECT_EQ(d.log->Stats().records, 11u);
  EXPECT_EQ(d.log->Stats().syncs, 2u);
  d.log.reset();  // before what its hook waits for
}

TEST(SegmentLog, AfterASharedSyncTheNextGroupGathers) {
  DiskLog d(1);
  d.options.gather_time = std::chrono::milliseconds(300);
  ASSERT_TRUE(d.Open().ok());
  const auto append_together = [&](int count, Duration apart) {
    std::latch acknowledged(count);
    for (int i = 0; i < count; ++i) {
      if (i > 0) std::this_thread::sleep_for(apart);
      TextEntry entry("x");
      ASSERT_TRUE(d.log->Append(entry, [&](const Status&) { acknowledged.count_down(); }).ok());
    }
    acknowledged.wait();
  };
  while (d.log->Stats().groups == d.log->Stats().records) append_together(20, Duration(0));
  const uint64_t groups = d.log->Stats().groups;
  append_together(3, Duration(10));
  EXPECT_EQ(d.log->Stats().groups, groups + 1);
}

TEST(SegmentLog, WhoAppendsAloneDoesNotWaitForOthers) {
  DiskLog d(1);
  d.options.gather_time = std::chrono::hours(1);
  ASSERT_TRUE(d.Open().ok());
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(AppendText(*d.log, "x").ok());
  EXPECT_EQ(d.log->Stats().groups, 5U);
}

TEST(SegmentLog, ManyThreadsAppendWhileOthersReadSettleAndTrim) {
  const auto directory =
      std::filesystem::temp_directory_path() / ("basalt_log_" + std::to_string(::getpid()));
  std::filesystem::remove_all(directory);
  SegmentLogOptions options;
  options.directory = directory.string();
  options.segment_bytes = 1 << 14;
  auto opened = SegmentLog::Open(options);
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  SegmentLog& log = **opened;
  constexpr int kThreads = 6;
  constexpr int kEach = 150;
  std::latch acknowledged(kThreads * kEach);
  std::atomic<uint64_t> last{0};
  std::vector<std::thread> threads;
  threads.reserve(kThreads + 1);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        TextEntry entry("thread " + std::to_string(t) + " record " + std::to_string(i));
        auto seq = std::make_shared<std::atomic<uint64_t>>(0);
        const auto position = log.Append(entry, [&](const Status& status) {
          EXPECT_TRUE(status.ok()) << status.ToString();
          ++last;
          EXPECT_GE(log.Head().seq, last.load());  // acknowledged is in the log
          acknowledged.count_down();
        });
        ASSERT_TRUE(position.ok());
      }
    });
  }
  std::atomic<bool> stop{false};
  threads.emplace_back([&] {
    while (!stop) {
      const uint64_t first = log.First().seq;
      uint64_t expected = first;
      const Status status = log.Read(first, [&](const LogRecord& record) {
        EXPECT_EQ(record.position.seq, expected++);
        return OkStatus();
      });
      EXPECT_TRUE(status.ok() || status.code() == StatusCode::kOutOfRange) << status.ToString();
      EXPECT_TRUE(log.Settle().ok());
      EXPECT_TRUE(log.Sync().ok());
      if (log.Head().seq > 600) {
        EXPECT_TRUE(log.Trim(300).ok());
      }
    }
  });
  acknowledged.wait();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(log.Head().seq, uint64_t{kThreads * kEach});
  EXPECT_LE(log.First().seq, 301u);
  ASSERT_TRUE(log.Close().ok());
  opened = Unavailable("closed");

  auto again = SegmentLog::Open(options);
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  const auto records = ReadAll(**again);
  ASSERT_TRUE(records.ok()) << records.status().ToString();
  EXPECT_EQ(records->back().first, uint64_t{kThreads * kEach});
  // Each thread's records come in the order in which it appended them.
  std::map<std::string, int> next;
  for (const auto& [seq, text] : *records) {
    const std::string thread = text.substr(0, 8);
    const int number = std::stoi(text.substr(text.rfind(' ')));
    const auto [it, fresh] = next.try_emplace(thread, number);
    if (!fresh) {
      EXPECT_EQ(number, ++it->second) << text;
    }
  }
  again = Unavailable("closed");
  std::filesystem::remove_all(directory);
}

// ---- ids at first use

class RequestEntry final : public LogEntry {
 public:
  RequestEntry(AppendRecord& record, SegmentSeries& seen) : record_(record), seen_(seen) {}
  [[nodiscard]] size_t max_bytes() const override { return record_.max_bytes(); }
  void Write(LogPosition, uint64_t segment, std::string& out) override {
    record_.Finish(segment, seen_, out);
  }

 private:
  AppendRecord& record_;
  SegmentSeries& seen_;
};

TEST(SegmentLog, EachSegmentCarriesTheIdAtTheFirstUseOfASeriesEvenAfterAFullDisk) {
  DiskLog d(1, 1024);
  ASSERT_TRUE(d.Open().ok());
  SegmentSeries seen;
  size_t refused = 0;
  for (uint32_t i = 0; i < 200; ++i) {
    if (i == 60) d.disk.Inject({.kind = DiskFault::kShort, .only = DiskOp::kWrite});
    if (i == 100) d.disk.SetCapacity(1);
    if (i == 130) d.disk.SetCapacity(UINT64_MAX);
    if (i == 150) {
      ASSERT_TRUE(d.log->Settle().ok());
    }
    IngestBatch batch;
    for (uint32_t k = 0; k < 3; ++k) {
      const uint32_t ordinal = (i * 7 + k * 5) % 23;
      batch.series.push_back({.ordinal = SeriesOrdinal{ordinal}, .id = {{ordinal + 1, 9}}});
      batch.sample_series.push_back(k);
      batch.sample_ms.push_back(i);
      batch.sample_value.push_back(k);
    }
    AppendRecord record;
    ASSERT_TRUE(record.Prepare({&batch, 1}).ok());
    RequestEntry entry(record, seen);
    std::promise<Status> ended;
    ASSERT_TRUE(d.log->Append(entry, [&](const Status& status) { ended.set_value(status); }).ok());
    refused += ended.get_future().get().ok() ? 0 : 1;
  }
  EXPECT_GT(refused, 5u);
  EXPECT_EQ(d.log->Head().seq, 200 - refused);
  std::set<std::pair<uint64_t, uint32_t>> used;  // segment, ordinal
  ASSERT_TRUE(d.log
                  ->Read(1,
                         [&](const LogRecord& record) -> Status {
                           BASALT_TRY_ASSIGN(const AppendView view, ViewAppend(record.bytes));
                           IngestBatch batch;
                           BASALT_TRY(DecodeSection(view.sections.at(0), batch));
                           for (const BatchSeries& series : batch.series) {
                             const auto ordinal = static_cast<uint32_t>(series.ordinal);
                             const bool first = used.emplace(record.segment_first, ordinal).second;
                             EXPECT_EQ(series.id.hash,
                                       first ? (Hash128{ordinal + 1, 9}) : Hash128{});
                           }
                           return OkStatus();
                         })
                  .ok());
  EXPECT_GT(d.log->Stats().segments, 3u);
}

}  // namespace
}  // namespace basalt::storage
