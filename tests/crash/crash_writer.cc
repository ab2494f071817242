// The process that kill_test stops: opens the store in argv[1] and writes until it is killed.
// argv[2] and argv[3] are seed and round. argv[4], if it is there, is the number of a step
// (step_table.h) in the middle of which the process kills itself. On standard output: "o" once
// open, "a <writer>" before and "k <writer>" after each operation, "+<step>" and "-<step>" around
// each step, "e <text>" and the end for an error that should not be.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/log.h"
#include "storage/backup.h"
#include "tests/crash/crash_script.h"
#include "tests/crash/step_table.h"

namespace {

using basalt::Status;
using basalt::testing::Carry;
using basalt::testing::CrashOperation;
using basalt::testing::CrashScript;
using basalt::testing::kBackupStep;
using basalt::testing::kCrashSteps;
using basalt::testing::kCrashWriters;

// One call: what is in the pipe survives us.
void Say(const std::string& line) {
  if (write(STDOUT_FILENO, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    std::_Exit(3);
}

[[noreturn]] void Fail(const Status& status) {
  Say("e " + status.ToString() + "\n");
  std::_Exit(2);
}

// The two steps that are long and seldom.
bool IsCopy(size_t step) { return step == kBackupStep || step + 1 == kBackupStep; }

// Kills the process some time after a step has begun for the n-th time.
class Assassin {
 public:
  Assassin(size_t step, uint64_t seed) : step_(step), random_(seed) {
    left_ = 1 + static_cast<int>(random_() % (IsCopy(step) ? 2 : 6));
    constexpr std::array<uint64_t, 6> kAfterMicroseconds = {1, 1, 1, 1, 300, 6000};
    after_ = std::chrono::microseconds(random_() %
                                       kAfterMicroseconds[random_() % kAfterMicroseconds.size()]);
  }
  void Begins(size_t step) {
    if (step != step_ || left_.fetch_sub(1) != 1) return;
    // Some steps are over before a thread has started: those are hit at their begin, or never.
    if (after_ == std::chrono::microseconds(0)) kill(getpid(), SIGKILL);
    std::thread([after = after_] {
      std::this_thread::sleep_for(after);
      kill(getpid(), SIGKILL);
    }).detach();
  }

 private:
  const size_t step_;
  std::mt19937_64 random_;
  std::atomic<int> left_;
  std::chrono::microseconds after_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4 || argc > 5) return 64;
  basalt::log::Configure(basalt::log::Level::kWarn, basalt::log::Format::kLogfmt);
  const std::string directory = argv[1];
  const uint64_t seed = std::strtoull(argv[2], nullptr, 10);
  const uint64_t round = std::strtoull(argv[3], nullptr, 10);
  const size_t wanted = argc == 5 ? std::strtoull(argv[4], nullptr, 10) : kCrashSteps;
  Assassin assassin(wanted, seed * 7919 + round);
  const auto on_step = [&](size_t step, bool begins) {
    Say((begins ? "+" : "-") + std::to_string(step) + "\n");
    if (begins) assassin.Begins(step);
  };
  basalt::storage::StoreOptions options = basalt::testing::CrashOptions(directory);
  options.on_step = [&](const basalt::storage::StepEvent& event) {
    on_step(static_cast<size_t>(event.step), event.begins);
  };
  auto opened = basalt::storage::Store::Open(options);
  if (!opened.ok()) Fail(opened.status());
  basalt::storage::Store& store = **opened;
  Say("o\n");

  const bool closes = round % 3 == 0;  // such a round is killed while closing, if it gets so far
  std::vector<std::thread> threads;
  for (int w = 0; w < kCrashWriters; ++w) {
    threads.emplace_back([&, w] {
      CrashScript script(seed, round, w);
      const std::string name = " " + std::to_string(w) + "\n";
      while (true) {
        const CrashOperation operation = script.Next();
        Say("a" + name);
        const Status status = Carry(store, operation);
        if (closes && status.code() == basalt::StatusCode::kUnavailable) return;
        if (!status.ok()) Fail(status);
        Say("k" + name);
      }
    });
  }
  threads.emplace_back([&] {
    std::mt19937_64 random(seed + round);
    const uint64_t close_after = random() % 60;
    for (int i = 0;; ++i) {
      if (closes && static_cast<uint64_t>(i) == close_after) {
        // Seals what the head has left; the end may come in the middle of it, or after.
        if (const Status status = store.Close(); !status.ok()) Fail(status);
        pause();
      }
      if (const Status status = basalt::testing::WriteWhatRetentionDrops(store, i); !status.ok())
        Fail(status);
      if (random() % 4 == 0) {
        if (const Status status = store.Settle(); !status.ok()) Fail(status);
      } else {
        store.SealIfDue();
      }
      if (random() % (IsCopy(wanted) ? 3 : 40) != 0) continue;
      const std::string copy =
          directory + "-copy-" + std::to_string(round) + "-" + std::to_string(i);
      if (const Status status = store.Checkpoint(copy); !status.ok()) Fail(status);
      on_step(kBackupStep, true);
      const auto backup =
          basalt::storage::TakeBackup({.source = copy, .directory = directory + "-backups"});
      if (!backup.ok()) Fail(backup.status());
      on_step(kBackupStep, false);
      std::filesystem::remove_all(copy);
    }
  });
  for (std::thread& thread : threads) thread.join();
}
