// What the log finds after the disk has failed, run full, lost its power or its bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>

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
using basalt::testing::Survival;
using basalt::testing::TextEntry;
using ::testing::HasSubstr;

// What a writer knows.
struct Ledger {
  std::map<uint64_t, std::string> acknowledged;
  std::map<uint64_t, std::set<std::string>> attempted;  // a refused number is given out again
  uint64_t trimmed = 0;                                 // asked to be
};

// Appends in bursts of three, some with a segment's end, a settle, a trim, a fence or a reopening
// between. Goes on after errors, as a server would.
void RunScenario(DiskLog& d, Ledger& ledger) {
  int text_number = 0;
  const auto burst = [&](size_t bytes) {
    if (d.log == nullptr) return;
    std::vector<std::future<Status>> ends;
    std::vector<std::pair<uint64_t, std::string>> taken;
    for (int i = 0; i < 3; ++i) {
      std::string text = "text " + std::to_string(++text_number) + " ";
      text.append(bytes + static_cast<size_t>(i) * 37, static_cast<char>('a' + text_number % 26));
      TextEntry entry(text);
      auto ended = std::make_shared<std::promise<Status>>();
      auto end = ended->get_future();
      const auto position =
          d.log->Append(entry, [ended](const Status& status) { ended->set_value(status); });
      if (!position.ok()) continue;
      ledger.attempted[position->seq].insert(text);
      taken.emplace_back(position->seq, text);
      ends.push_back(std::move(end));
    }
    for (size_t i = 0; i < ends.size(); ++i) {
      if (!ends[i].get().ok()) continue;
      EXPECT_FALSE(ledger.acknowledged.contains(taken[i].first))
          << "acknowledged twice: " << taken[i].first;
      ledger.acknowledged[taken[i].first] = taken[i].second;
    }
  };
  if (!d.Open().ok()) return;
  burst(10);
  burst(200);
  burst(400);  // beyond the first segment
  (void)d.log->Settle();
  burst(5);
  ledger.trimmed = 4;
  (void)d.log->Trim(4);
  burst(700);
  (void)d.log->Fence();
  burst(1);
  (void)d.log->Close();
  d.log.reset();
  if (!d.Open().ok()) return;
  burst(100);
  (void)d.log->Sync();
  burst(300);
}

// acknowledged <= found <= attempted, in order and without holes; and the log goes on from there.
void CheckFound(DiskLog& d, const Ledger& ledger, bool acknowledged_is_durable = true) {
  const Status opened = d.Open();
  ASSERT_TRUE(opened.ok()) << opened.ToString();
  const auto found = ReadAll(*d.log);
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  const uint64_t first = d.log->First().seq;
  EXPECT_LE(first, ledger.trimmed + 1);
  uint64_t expected = first;
  for (const auto& [seq, text] : *found) {
    EXPECT_EQ(seq, expected++);
    const auto attempts = ledger.attempted.find(seq);
    ASSERT_TRUE(attempts != ledger.attempted.end()) << "found what was never attempted: " << seq;
    EXPECT_TRUE(attempts->second.contains(text))
        << "found other bytes than were attempted: " << seq;
    const auto acknowledged = ledger.acknowledged.find(seq);
    if (acknowledged != ledger.acknowledged.end()) {
      EXPECT_EQ(text, acknowledged->second) << seq;
    }
  }
  EXPECT_EQ(d.log->Head().seq, expected - 1);
  if (acknowledged_is_durable && !ledger.acknowledged.empty()) {
    EXPECT_GE(d.log->Head().seq, ledger.acknowledged.rbegin()->first)
        << "lost what was acknowledged";
  }
  const auto next = AppendText(*d.log, "next");
  ASSERT_TRUE(next.ok()) << next.status().ToString();
  EXPECT_EQ(next->seq, expected);
  // And once more, now after a clean end.
  ASSERT_TRUE(d.log->Close().ok());
  ASSERT_TRUE(d.Open().ok());
  const auto again = ReadAll(*d.log);
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(again->size(), found->size() + 1);
}

uint64_t ChangesOfScenario(SyncMode sync) {
  DiskLog d(1, 1024, sync);
  Ledger ledger;
  RunScenario(d, ledger);
  EXPECT_EQ(ledger.acknowledged.size(), 24u);
  d.log.reset();
  return d.disk.changes() + 4;  // bursts fall into groups differently from run to run
}

struct CutCase {
  const char* name;
  Survival survival;
  SyncMode sync;
  uint64_t seeds;
};
class PowerCutAt : public ::testing::TestWithParam<CutCase> {};

TEST_P(PowerCutAt, LosesNothingAcknowledgedAndFindsNothingUnattemptedAtAnyCall) {
  const CutCase& c = GetParam();
  const uint64_t changes = ChangesOfScenario(c.sync);
  ASSERT_GT(changes, 40u);
  for (uint64_t n = 1; n <= changes; ++n) {
    for (uint64_t seed = 0; seed < c.seeds; ++seed) {
      SCOPED_TRACE("power cut at change " + std::to_string(n) + ", seed " + std::to_string(seed));
      DiskLog d(n * 1000 + seed, 1024, c.sync);
      Ledger ledger;
      d.disk.Inject({.kind = DiskFault::kPowerCut, .at = n});
      RunScenario(d, ledger);
      d.log.reset();
      d.disk.Restore(c.survival);
      CheckFound(d, ledger, c.sync == SyncMode::kAlways);
      if (HasFatalFailure()) return;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(
    Table, PowerCutAt,
    ::testing::Values(CutCase{"nothing_survives", Survival::kNothing, SyncMode::kAlways, 1},
                      CutCase{"everything_survives", Survival::kEverything, SyncMode::kAlways, 1},
                      CutCase{"anything_survives", Survival::kAnything, SyncMode::kAlways, 12},
                      CutCase{"by_interval", Survival::kAnything, SyncMode::kInterval, 12}),
    [](const auto& c) { return std::string(c.param.name); });

TEST(PowerCut, TwiceInARowLosesNothingEither) {
  const uint64_t changes = ChangesOfScenario(SyncMode::kAlways);
  for (uint64_t n = 1; n <= changes; n += 3) {
    for (uint64_t again = 1; again <= 8; ++again) {  // opening makes about that many changes
      SCOPED_TRACE("power cut at change " + std::to_string(n) + ", and at " +
                   std::to_string(again) + " of the opening");
      DiskLog d(n * 100 + again, 1024);
      Ledger ledger;
      d.disk.Inject({.kind = DiskFault::kPowerCut, .at = n});
      RunScenario(d, ledger);
      d.log.reset();
      d.disk.Restore();
      d.disk.Inject({.kind = DiskFault::kPowerCut, .at = again});
      (void)d.Open();
      d.log.reset();
      d.disk.Restore();
      CheckFound(d, ledger);
      if (HasFatalFailure()) return;
    }
  }
}

struct FaultCase {
  const char* name;
  DiskFault::Kind kind;
  bool sticky;
};
class DiskFailureAt : public ::testing::TestWithParam<FaultCase> {};

TEST_P(DiskFailureAt, AnyCallLosesNothingAcknowledged) {
  const uint64_t changes = ChangesOfScenario(SyncMode::kAlways);
  for (uint64_t n = 1; n <= changes; ++n) {
    for (const bool power_cut : {false, true}) {
      SCOPED_TRACE("fault at change " + std::to_string(n) +
                   (power_cut ? ", then a power cut" : ", then a restart"));
      DiskLog d(n, 1024);
      Ledger ledger;
      d.disk.Inject({.kind = GetParam().kind, .at = n, .sticky = GetParam().sticky});
      RunScenario(d, ledger);
      d.log.reset();
      d.disk.ClearFault();
      if (power_cut) d.disk.Restore(Survival::kNothing);
      CheckFound(d, ledger);
      if (HasFatalFailure()) return;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Table, DiskFailureAt,
                         ::testing::Values(FaultCase{"io_error", DiskFault::kFail, false},
                                           FaultCase{"io_errors_from_then_on", DiskFault::kFail,
                                                     true},
                                           FaultCase{"full", DiskFault::kFull, false},
                                           FaultCase{"full_from_then_on", DiskFault::kFull, true},
                                           FaultCase{"short_write", DiskFault::kShort, false}),
                         [](const auto& c) { return std::string(c.param.name); });

TEST(DiskFailure, OfASyncIsNeverBelievedAfterwardsAndEndsWithTheFailure) {
  DiskLog d(1);
  ASSERT_TRUE(d.Open().ok());
  ASSERT_TRUE(AppendText(*d.log, "first").ok());
  // The sync of "second", and then whatever is tried to leave its segment.
  d.disk.Inject({.kind = DiskFault::kFail, .at = 2, .sticky = true});  // write, then sync
  EXPECT_EQ(AppendText(*d.log, "second").status().code(), StatusCode::kUnavailable);
  const auto refused = AppendText(*d.log, "third");
  EXPECT_EQ(refused.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("the disk fails"));
  EXPECT_EQ(d.log->Sync().code(), StatusCode::kOk) << "all that was acknowledged is durable";
  EXPECT_EQ(d.log->Settle().code(), StatusCode::kUnavailable);
  EXPECT_EQ(d.log->Stats().disk_failed, 2u);
  EXPECT_FALSE(d.log->Stats().failed);
  EXPECT_EQ(*ReadAll(*d.log), (Records{{1, "first"}}));  // reading goes on
  // The disk is well again. "second" may be on it; it is in no answer, before and after a restart.
  d.disk.ClearFault();
  const auto fourth = AppendText(*d.log, "fourth");
  ASSERT_TRUE(fourth.ok()) << fourth.status().ToString();
  EXPECT_EQ(fourth->seq, 2u);
  EXPECT_EQ(*ReadAll(*d.log), (Records{{1, "first"}, {2, "fourth"}}));
  ASSERT_TRUE(d.log->Close().ok());
  ASSERT_TRUE(d.Open().ok());
  EXPECT_EQ(*ReadAll(*d.log), (Records{{1, "first"}, {2, "fourth"}}));
}

// Syncs fail k times in a row, wherever that is; a writer that tries again gets its records in,
// each once.
TEST(DiskFailure, OfSeveralCallsInARowIsOverWhenTheyAre) {
  for (const DiskOp op : {DiskOp::kWrite, DiskOp::kSync, DiskOp::kTruncate, DiskOp::kCreate,
                          DiskOp::kRename, DiskOp::kSyncDirectory, DiskOp::kAllocate}) {
    for (const uint64_t times : {1, 2, 3, 7}) {
      for (const bool survives : {false, true}) {
        SCOPED_TRACE("op " + std::to_string(static_cast<int>(op)) + ", " + std::to_string(times) +
                     " times, " + (survives ? "" : "not ") + "written nevertheless");
        DiskLog d(times, 2048);
        ASSERT_TRUE(d.Open().ok());
        Records expected;
        ASSERT_TRUE(AppendText(*d.log, "first").ok());
        expected.emplace_back(1, "first");
        d.disk.Inject({.kind = DiskFault::kFail, .only = op, .times = times});
        uint64_t refused = 0;
        for (int i = 0; i < 20; ++i) {
          const std::string text = "text " + std::to_string(i) + std::string(300, 'x');
          auto end = AppendText(*d.log, text);
          for (; !end.ok() && refused < 100; end = AppendText(*d.log, text)) {
            ASSERT_EQ(end.status().code(), StatusCode::kUnavailable) << end.status().ToString();
            ++refused;
          }
          ASSERT_TRUE(end.ok());
          expected.emplace_back(end->seq, text);
        }
        EXPECT_EQ(d.disk.faults(), times);
        EXPECT_GE(refused, 1u);
        EXPECT_EQ(expected.size(), 21u);
        EXPECT_EQ(expected.back().first, 21u);
        EXPECT_EQ(*ReadAll(*d.log), expected);
        d.log.reset();
        d.disk.Restore(survives ? Survival::kEverything : Survival::kNothing);
        ASSERT_TRUE(d.Open().ok());
        EXPECT_EQ(*ReadAll(*d.log), expected);
      }
    }
  }
}

TEST(DiskFailure, ASyncThatFailsInTheBackgroundIsToldAtTheNextAppend) {
  DiskLog d(1, 4096, SyncMode::kInterval);
  d.options.sync_interval = Duration(1);
  ASSERT_TRUE(d.Open().ok());
  d.disk.Inject(
      {.kind = DiskFault::kFail, .at = 3});  // preallocate, write, then the sync of the interval
  ASSERT_TRUE(AppendText(*d.log, "first").ok());
  while (!d.log->Stats().failed) std::this_thread::yield();
  EXPECT_EQ(AppendText(*d.log, "second").status().code(), StatusCode::kDataLoss);
}

TEST(DiskFull, RefusesAndGoesOnWhenThereIsRoomAgain) {
  DiskLog d(1, 8192);
  ASSERT_TRUE(d.Open().ok());
  ASSERT_TRUE(AppendText(*d.log, "first").ok());
  d.disk.SetCapacity(9000);  // the first segment is preallocated, a second one does not fit
  Status status;
  uint64_t acknowledged = 1;
  while ((status = AppendText(*d.log, std::string(500, 'x')).status()).ok()) ++acknowledged;
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_GT(acknowledged, 5u);
  EXPECT_EQ(AppendText(*d.log, "small").status().code(), StatusCode::kResourceExhausted);
  EXPECT_FALSE(d.log->Stats().failed);
  EXPECT_GE(d.log->Stats().disk_full, 2u);
  EXPECT_EQ(d.log->Head().seq, acknowledged);
  d.disk.SetCapacity(100'000);
  const auto next = AppendText(*d.log, "after");
  ASSERT_TRUE(next.ok()) << next.status().ToString();
  EXPECT_EQ(next->seq, acknowledged + 1);
  EXPECT_EQ(ReadAll(*d.log)->size(), acknowledged + 1);
}

// ---- damage

constexpr size_t kFiveRecordsBytes = 4096;

// The bytes of a segment that holds five records, each synced before the next was written, as a
// kill leaves it.
std::string FiveRecords(std::vector<size_t>& ends) {
  DiskLog d(1, kFiveRecordsBytes);
  EXPECT_TRUE(d.Open().ok());
  size_t end = kSegmentHeaderBytes;
  for (int i = 0; i < 5; ++i) {
    const std::string text = "record " + std::string(static_cast<size_t>(i) * 9, 'r');
    EXPECT_TRUE(AppendText(*d.log, text).ok());
    end += kSectorBytes;  // each is a write of its own
    ends.push_back(end);
  }
  return d.disk.Contents("/data/log/" + SegmentName(1));
}

// Opens a log whose only segment is `bytes`; returns how many records it has, or the error.
Result<size_t> OpenWith(const std::string& bytes) {
  DiskLog d(1, kFiveRecordsBytes);
  const std::string path = "/data/log/" + SegmentName(1);
  BASALT_TRY(d.disk.MakeDirectory("/data/log"));
  BASALT_TRY(d.disk.Create(path).status());
  BASALT_TRY(d.disk.SyncDirectory("/data/log"));
  d.disk.SetContents(path, bytes);
  BASALT_TRY(d.Open());
  BASALT_TRY_ASSIGN(const Records records, ReadAll(*d.log));
  BASALT_TRY(AppendText(*d.log, "next").status());
  BASALT_TRY_ASSIGN(const Records more, ReadAll(*d.log));
  EXPECT_EQ(more.size(), records.size() + 1);
  return records.size();
}

size_t WholeRecords(const std::vector<size_t>& ends, size_t bytes) {
  return static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), bytes) - ends.begin());
}

TEST(TornEnd, IsCutWhereverItBegins) {
  std::vector<size_t> ends;
  const std::string whole = FiveRecords(ends);
  ASSERT_EQ(whole.size(), kFiveRecordsBytes);
  for (size_t n = kSegmentHeaderBytes; n <= whole.size(); ++n) {
    for (const bool zeros : {false, true}) {  // the file's size is lost, or only its bytes
      std::string torn = whole.substr(0, n);
      if (zeros) torn.resize(whole.size());
      // Zeros cut from the padding or the content of a frame change nothing.
      const size_t expected = torn.substr(0, ends.back()) == whole.substr(0, ends.back()) && zeros
                                  ? 5
                                  : WholeRecords(ends, n);
      const auto found = OpenWith(torn);
      ASSERT_TRUE(found.ok()) << "cut at " << n << ": " << found.status().ToString();
      if (zeros) {
        EXPECT_GE(*found, WholeRecords(ends, n)) << "cut at " << n;
        EXPECT_LE(*found, WholeRecords(ends, n) + 1) << "cut at " << n;
      } else {
        EXPECT_EQ(*found, expected) << "cut at " << n;
      }
    }
  }
}

TEST(TornEnd, IsToldFromDamageByWhatLaterRecordsSayWasDurable) {
  std::vector<size_t> ends;
  const std::string whole = FiveRecords(ends);
  for (size_t at = kSegmentHeaderBytes; at < ends.back(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    const auto found = OpenWith(damaged);
    if (at < ends[3]) {
      ASSERT_EQ(found.status().code(), StatusCode::kDataLoss) << at;
      EXPECT_THAT(std::string(found.status().message()), HasSubstr(SegmentName(1)));
      const size_t record = WholeRecords(ends, at);
      const size_t offset = record == 0 ? kSegmentHeaderBytes : ends[record - 1];
      EXPECT_THAT(std::string(found.status().message()),
                  HasSubstr("offset " + std::to_string(offset) + ":"));
    } else {  // nothing behind the last record can vouch for it
      ASSERT_TRUE(found.ok()) << found.status().ToString();
      EXPECT_EQ(*found, 4u);
    }
  }
}

TEST(Damage, OfAHeaderIsAnErrorThatNamesTheFile) {
  std::vector<size_t> ends;
  const std::string whole = FiveRecords(ends);
  for (size_t at = 0; at < kSegmentHeaderBytes; ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    const auto found = OpenWith(damaged);
    ASSERT_EQ(found.status().code(), StatusCode::kDataLoss) << at;
    EXPECT_THAT(std::string(found.status().message()), HasSubstr(SegmentName(1) + ": header"));
  }
  EXPECT_EQ(OpenWith("").status().code(), StatusCode::kDataLoss);
}

TEST(Damage, InAnOlderSegmentIsFoundByReadingWithFileAndOffset) {
  DiskLog d(1, 1024);
  ASSERT_TRUE(d.Open().ok());
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(AppendText(*d.log, std::string(50, 'x')).ok());
  const uint64_t second = d.log->SegmentFirst(d.log->SegmentFirst(12) - 1);
  ASSERT_GT(second, 1u);
  ASSERT_TRUE(d.log->Close().ok());
  const std::string path = "/data/log/" + SegmentName(second);
  std::string bytes = d.disk.Contents(path);
  bytes[kSegmentHeaderBytes + 40] = '!';
  d.disk.SetContents(path, bytes);
  ASSERT_TRUE(d.Open().ok());
  uint64_t visited = 0;
  const Status status = d.log->Read(1, [&](const LogRecord& record) {
    visited = record.position.seq;
    return OkStatus();
  });
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(path + ": offset 512: record " + std::to_string(second)));
  EXPECT_EQ(visited, second - 1);  // everything before it was given
}

TEST(Damage, AMissingSegmentIsAnErrorAndNotAnEnd) {
  DiskLog d(1, 1024);
  ASSERT_TRUE(d.Open().ok());
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(AppendText(*d.log, std::string(50, 'x')).ok());
  const uint64_t last = d.log->SegmentFirst(12);
  ASSERT_TRUE(d.log->Close().ok());
  const uint64_t middle = d.log->SegmentFirst(last - 1);
  ASSERT_TRUE(d.disk.Unlink("/data/log/" + SegmentName(middle)).ok());
  ASSERT_TRUE(d.Open().ok());
  EXPECT_EQ(ReadAll(*d.log).status().code(), StatusCode::kDataLoss);
}

TEST(Garbage, InPreallocatedSpaceIsNeverARecord) {
  // Old records of a file that was used before: whole frames with lower numbers.
  std::vector<size_t> ends;
  const std::string old = FiveRecords(ends);
  std::string bytes = EncodeSegmentHeader({.lane = 0, .first_seq = 100, .epoch = 1});
  bytes += old.substr(kSegmentHeaderBytes);
  DiskLog d(1, kFiveRecordsBytes);
  const std::string path = "/data/log/" + SegmentName(100);
  ASSERT_TRUE(d.disk.MakeDirectory("/data/log").ok());
  ASSERT_TRUE(d.disk.Create(path).ok());
  d.disk.SetContents(path, bytes);
  ASSERT_TRUE(d.Open().ok());
  EXPECT_EQ(d.log->Head().seq, 99u);
  EXPECT_EQ(*ReadAll(*d.log), Records{});
  EXPECT_GT(d.log->Recovery().torn_bytes, 0u);
}

TEST(Open, RemovesWhatWasHalfMadeAndRefusesStrangeNames) {
  DiskLog d(1);
  ASSERT_TRUE(d.Open().ok());
  ASSERT_TRUE(d.log->Close().ok());
  d.log.reset();
  ASSERT_TRUE(d.disk.Create("/data/log/" + SegmentName(9) + ".new").ok());
  ASSERT_TRUE(d.Open().ok());
  EXPECT_EQ(d.log->Recovery().removed_files, 1u);
  d.log.reset();
  ASSERT_TRUE(d.disk.Create("/data/log/7.seg").ok());
  EXPECT_EQ(d.Open().code(), StatusCode::kDataLoss);
}

TEST(Segment, NamesAreNumbersOfTwentyDigits) {
  EXPECT_EQ(SegmentName(42), "00000000000000000042.seg");
  EXPECT_EQ(ParseSegmentName(SegmentName(UINT64_MAX)), UINT64_MAX);
  for (const char* bad :
       {"", "42.seg", "00000000000000000000.seg", "0000000000000000004x.seg",
        "99999999999999999999.seg", "00000000000000000042.sex", "000000000000000000042.seg"}) {
    EXPECT_EQ(ParseSegmentName(bad), std::nullopt) << bad;
  }
}

TEST(Segment, AHeaderOfALaterVersionIsRefusedAsSuch) {
  std::string bytes = EncodeSegmentHeader({.lane = 3, .first_seq = 7, .epoch = 2});
  const auto header = DecodeSegmentHeader(bytes);
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->lane, 3);
  EXPECT_EQ(header->first_seq, 7u);
  EXPECT_EQ(header->epoch, 2u);
  ++bytes[8];
  const uint32_t crc = Crc32c(std::as_bytes(std::span(bytes)).first(bytes.size() - 4));
  std::memcpy(&bytes[bytes.size() - 4], &crc, 4);
  EXPECT_EQ(DecodeSegmentHeader(bytes).status().code(), StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace basalt::storage
