// The process that kill_test stops: opens the store in argv[1] and writes until it is killed.
// argv[2] and argv[3] are seed and round. On standard output: "o" once open, "a <writer>" before
// and "k <writer>" after each operation, "e <text>" and the end for an error that should not be.
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/log.h"
#include "tests/crash/crash_script.h"

namespace {

using basalt::Status;
using basalt::testing::Carry;
using basalt::testing::CrashOperation;
using basalt::testing::CrashScript;
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

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 64;
  basalt::log::Configure(basalt::log::Level::kWarn, basalt::log::Format::kLogfmt);
  const uint64_t seed = std::strtoull(argv[2], nullptr, 10);
  const uint64_t round = std::strtoull(argv[3], nullptr, 10);
  auto opened = basalt::storage::Store::Open(basalt::testing::CrashOptions(argv[1]));
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
    for (uint64_t i = 0;; ++i) {
      if (closes && i == close_after) {
        // Seals what the head has left; the end may come in the middle of it, or after.
        if (const Status status = store.Close(); !status.ok()) Fail(status);
        pause();
      }
      if (random() % 4 == 0) {
        if (const Status status = store.Settle(); !status.ok()) Fail(status);
      } else {
        store.SealIfDue();
      }
      if (random() % 50 == 0) {
        const std::string copy =
            std::string(argv[1]) + "-copy-" + std::to_string(round) + "-" + std::to_string(i);
        if (const Status status = store.Checkpoint(copy); !status.ok()) Fail(status);
      }
    }
  });
  for (std::thread& thread : threads) thread.join();
}
