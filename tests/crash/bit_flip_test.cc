// A bit that flips anywhere on the disk is told or makes no difference: what is shown was written,
// and what is missing, or older than what was written last, is warned of. BASALT_FLIP_ROUNDS makes
// it longer.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "engine/base/log.h"
#include "storage/backup.h"
#include "tests/crash/crash_script.h"
#include "tests/storage/store_model.h"

namespace basalt::testing {
namespace {

namespace fs = std::filesystem;
using storage::ModelState;

std::string KindOf(const fs::path& path) {
  const std::string name = path.filename();
  if (name.ends_with(".sst")) return "sst";
  if (name.ends_with(".seg")) return "log segment";
  if (name.ends_with(".log")) return "rocksdb log";
  if (name.starts_with("MANIFEST")) return "rocksdb manifest";
  if (name == "CURRENT" || name.starts_with("OPTIONS") || name == "IDENTITY")
    return "rocksdb " + name.substr(0, name.find('-'));
  return "";  // locks and chatter
}

struct Outcome {
  uint64_t refused = 0;   // the store does not open, and says what is damaged
  uint64_t warned = 0;    // something is missing, and a warning says so
  uint64_t harmless = 0;  // everything is there
};

// Everything that reads, float or histogram, damaged blocks left out.
Result<ModelState> ReadAround(const storage::Snapshot& snapshot) {
  ModelState state;
  for (uint32_t p = 0; p < snapshot.partition_count(); ++p) {
    BASALT_TRY_ASSIGN(
        const auto selected,
        snapshot.Select(kDefaultTenant, static_cast<PartitionId>(p), {}, {}, SIZE_MAX));
    const auto cursor = selected->Read(0, selected->size(), {});
    storage::SeriesColumns columns;
    while (true) {
      const auto more = cursor->Next(columns);
      if (more.status().code() == StatusCode::kDataLoss) continue;
      if (!more.ok()) return more.status();
      if (!*more) break;
      auto& series = state[selected->labels(columns.series)];
      for (size_t i = 0; i < columns.time_ms.size(); ++i) {
        series[columns.time_ms[i]] = {
            .bits = std::bit_cast<uint64_t>(columns.values[i]),
            .histogram = {},
            .start_ms = columns.start_ms.empty() ? storage::kNoStartMs : columns.start_ms[i]};
      }
      for (const auto& point : columns.histograms) {
        series[point.time_ms] = {.bits = 0,
                                 .histogram = storage::HistogramBytes(point.histogram),
                                 .start_ms = point.start_ms};
      }
    }
  }
  std::erase_if(state, [](const auto& s) { return s.second.empty(); });
  return state;
}

// Every value that a sample was given since it was last deleted.
using Written = std::map<Labels, std::map<int64_t, std::vector<storage::ModelSample>>>;

void ApplyTo(Written& written, const CrashOperation& operation) {
  if (const auto* request = std::get_if<std::vector<storage::ModelWrite>>(&operation)) {
    for (const storage::ModelWrite& write : *request) {
      ModelState one;
      storage::ApplyTo(one, write);
      written[write.labels][write.time_ms].push_back(one.begin()->second.begin()->second);
    }
    return;
  }
  const auto& deletion = std::get<CrashDelete>(operation);
  for (auto& [labels, series] : written) {
    ModelState left;
    for (const auto& [time, values] : series) left[labels][time] = values.back();
    storage::DeleteFrom(left, deletion.matchers, deletion.range);
    std::erase_if(series, [&](const auto& s) { return !left[labels].contains(s.first); });
  }
}

// "" if every sample of `found` is as in `expected`, or as it was before it was written again;
// `missing` counts those and what is not there.
std::string Wrong(const ModelState& expected, const Written& written, const ModelState& found,
                  uint64_t& missing) {
  missing = 0;
  for (const auto& [labels, series] : expected) {
    const auto there = found.find(labels);
    for (const auto& [time, sample] : series) {
      if (there == found.end() || !there->second.contains(time)) ++missing;
    }
  }
  for (const auto& [labels, series] : found) {
    const auto known = expected.find(labels);
    for (const auto& [time, sample] : series) {
      const bool there = known != expected.end() && known->second.contains(time);
      if (there && known->second.at(time) == sample) continue;
      if (!there || std::ranges::find(written.at(labels).at(time), sample) ==
                        written.at(labels).at(time).end()) {
        return labels.ToString() + " at " + std::to_string(time) + " was never written so";
      }
      ++missing;
    }
  }
  return "";
}

class BitFlip : public ::testing::Test {
 protected:
  void SetUp() override { log::Configure(log::Level::kError, log::Format::kLogfmt); }

  storage::StoreOptions Options(const std::string& name) {
    storage::StoreOptions options = CrashOptions(temp_.path(name));
    options.tick = std::chrono::hours(1);  // nothing moves but what the test does
    options.retention = Duration(0);
    return options;
  }

  // Runs, rewritten and not, index, side data, and a log that is still needed.
  void Make() {
    auto opened = storage::Store::Open(Options("original"));
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    CrashScript script(seed_, 0, 0);
    for (int i = 0; i < 400; ++i) {
      const CrashOperation operation = script.Next();
      ASSERT_TRUE(Carry(**opened, operation).ok());
      ApplyTo(model_, operation);
      ApplyTo(written_, operation);
      if (i == 200) {
        ASSERT_TRUE((*opened)->Settle().ok());
      }
      if (i % 60 == 59) (*opened)->SealIfDue();
    }
    ASSERT_TRUE((*opened)->Close().ok());
  }

  const uint64_t seed_ = storage::TestSeeds(1).front();
  TemporaryDirectory temp_;
  ModelState model_;
  Written written_;
};

TEST_F(BitFlip, AnywhereIsToldOrMakesNoDifference) {
  const char* text = std::getenv("BASALT_FLIP_ROUNDS");
  const uint64_t rounds = text == nullptr ? 60 : std::strtoull(text, nullptr, 10);
  Make();
  std::map<std::string, std::vector<fs::path>> kinds;
  for (const auto& entry : fs::recursive_directory_iterator(temp_.path("original"))) {
    if (!entry.is_regular_file() || entry.file_size() == 0) continue;
    const std::string kind = KindOf(entry.path());
    if (!kind.empty()) kinds[kind].push_back(fs::relative(entry.path(), temp_.path("original")));
  }
  ASSERT_GE(kinds.size(), 6U);
  std::mt19937_64 random(seed_);
  std::map<std::string, Outcome> outcomes;
  auto kind = kinds.begin();
  for (uint64_t round = 0; round < rounds; ++round) {
    const fs::path file = kind->second[random() % kind->second.size()];
    const std::string copy = temp_.path("copy");
    fs::remove_all(copy);
    fs::copy(temp_.path("original"), copy, fs::copy_options::recursive);
    const uint64_t bytes = fs::file_size(fs::path(copy) / file);
    const uint64_t at = random() % bytes;
    const int bit = static_cast<int>(random() % 8);
    {
      std::fstream stream(fs::path(copy) / file, std::ios::in | std::ios::out | std::ios::binary);
      stream.seekg(static_cast<std::streamoff>(at));
      const int old = stream.get();
      stream.seekp(static_cast<std::streamoff>(at));
      stream.put(static_cast<char>(old ^ 1 << bit));
    }
    SCOPED_TRACE("seed " + std::to_string(seed_) + " round " + std::to_string(round) + ": " +
                 file.string() + " byte " + std::to_string(at) + " bit " + std::to_string(bit));
    Outcome& outcome = outcomes[kind->first];
    if (++kind == kinds.end()) kind = kinds.begin();

    auto opened = storage::Store::Open(Options("copy"));
    if (!opened.ok()) {
      const StatusCode code = opened.status().code();
      EXPECT_TRUE(code == StatusCode::kDataLoss || code == StatusCode::kFailedPrecondition ||
                  code == StatusCode::kUnavailable)
          << opened.status().ToString();
      ++outcome.refused;
      continue;
    }
    const auto snapshot = *(*opened)->reader().TakeSnapshot();
    const auto found = ReadAround(*snapshot);
    ASSERT_TRUE(found.ok()) << found.status().ToString();
    uint64_t missing = 0;
    ASSERT_EQ(Wrong(model_, written_, *found, missing), "");
    if (missing == 0) {
      ++outcome.harmless;
    } else {
      EXPECT_FALSE(snapshot->Warnings().empty())
          << missing << " samples are missing or older in silence";
      EXPECT_FALSE((*opened)->Quarantine().empty());
      ++outcome.warned;
    }
  }
  for (const auto& [name, outcome] : outcomes) {
    std::cout << name << ": refused to open " << outcome.refused << ", left out with a warning "
              << outcome.warned << ", no difference " << outcome.harmless << "\n";
  }
}

TEST_F(BitFlip, InABackupIsNeverRestored) {
  Make();
  ASSERT_TRUE(
      storage::TakeBackup({.source = temp_.path("original"), .directory = temp_.path("backups")})
          .ok());
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(temp_.path("backups"))) {
    if (entry.is_regular_file() && entry.file_size() != 0) files.push_back(entry.path());
  }
  std::mt19937_64 random(seed_);
  for (int round = 0; round < 30; ++round) {
    const fs::path file = files[random() % files.size()];
    const uint64_t at = random() % fs::file_size(file);
    const auto flip = [&] {
      std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
      stream.seekg(static_cast<std::streamoff>(at));
      const int old = stream.get();
      stream.seekp(static_cast<std::streamoff>(at));
      stream.put(static_cast<char>(old ^ 4));
    };
    flip();
    SCOPED_TRACE("seed " + std::to_string(seed_) + ": " + file.string() + " byte " +
                 std::to_string(at));
    fs::remove_all(temp_.path("restored"));
    EXPECT_FALSE(
        storage::RestoreBackup(
            {.directory = temp_.path("backups"), .name = "", .target = temp_.path("restored")})
            .ok());
    flip();
  }
  fs::remove_all(temp_.path("restored"));
  ASSERT_TRUE(
      storage::RestoreBackup(
          {.directory = temp_.path("backups"), .name = "", .target = temp_.path("restored")})
          .ok());
}

}  // namespace
}  // namespace basalt::testing
