// What was acknowledged survives SIGKILL at any instant, with seals, rewrites and checkpoints going
// on. BASALT_CRASH_ROUNDS makes it longer (the target crash_long does 1,000).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "storage/backup.h"
#include "storage/integrity.h"
#include "tests/crash/crash_script.h"
#include "tests/crash/step_table.h"

namespace basalt::testing {
namespace {

// From here on it is the long form, which counts.
constexpr uint64_t kManyRounds = 1000;

struct Ended {
  std::array<bool, kCrashSteps> in_step{};  // under way when it was killed
  std::vector<CrashLedger::Progress> progress{kCrashWriters};
  std::string error;  // what the writer complained of
  bool opened = false;
};

// Starts the writer, lets it run for `life` after it has opened the store (or `life` in all, if it
// is not to get so far), kills it and returns what it had said.
Ended RunUntilKilled(const std::string& directory, uint64_t seed, uint64_t round,
                     std::chrono::microseconds life, bool while_opening, const std::string& step) {
  int pipe_ends[2];
  BASALT_CHECK(pipe2(pipe_ends, O_CLOEXEC) == 0);
  // A pipe that is full would hold the writer up; 1 MiB is tens of thousands of operations.
  BASALT_CHECK(fcntl(pipe_ends[1], F_SETPIPE_SZ, 1 << 20) > 0);
  const pid_t child = fork();
  BASALT_CHECK(child >= 0, "fork failed");
  if (child == 0) {
    dup2(pipe_ends[1], STDOUT_FILENO);
    const std::string seed_text = std::to_string(seed);
    const std::string round_text = std::to_string(round);
    execl(BASALT_CRASH_WRITER, "crash_writer", directory.c_str(), seed_text.c_str(),
          round_text.c_str(), step.empty() ? nullptr : step.c_str(), nullptr);
    _exit(127);
  }
  close(pipe_ends[1]);
  std::string said;
  const auto read_some = [&](int timeout_ms) {
    pollfd ready{.fd = pipe_ends[0], .events = POLLIN, .revents = 0};
    if (poll(&ready, 1, timeout_ms) <= 0) return true;
    char buffer[65536];
    const ssize_t n = read(pipe_ends[0], buffer, sizeof(buffer));
    if (n > 0) said.append(buffer, static_cast<size_t>(n));
    return n > 0;
  };
  using Clock = std::chrono::steady_clock;
  const auto give_up = Clock::now() + std::chrono::seconds(60);
  while (!while_opening && said.find('o') == std::string::npos &&
         said.find('e') == std::string::npos && Clock::now() < give_up && read_some(1000)) {
  }
  const auto end = Clock::now() + life;
  while (Clock::now() < end) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    if (!read_some(static_cast<int>(left.count()))) break;
  }
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  while (read_some(1000)) {
  }
  close(pipe_ends[0]);

  Ended ended;
  if (!WIFSIGNALED(status))
    ended.error = "the writer ended by itself with " + std::to_string(WEXITSTATUS(status));
  for (size_t begin = 0; begin < said.size();) {
    const size_t line_end = said.find('\n', begin);
    if (line_end == std::string::npos) break;
    const std::string line = said.substr(begin, line_end - begin);
    begin = line_end + 1;
    if (line == "o") {
      ended.opened = true;
    } else if (line[0] == '+' || line[0] == '-') {
      ended.in_step.at(std::stoul(line.substr(1))) = line[0] == '+';
    } else if (line[0] == 'e') {
      ended.error += ": " + line;
    } else {
      auto& progress = ended.progress.at(static_cast<size_t>(std::stoi(line.substr(2))));
      ++(line[0] == 'a' ? progress.attempted : progress.acknowledged);
    }
  }
  return ended;
}

// Whatever was killed: the backups that are listed are whole, and one of four is restored and
// reads.
std::string CheckBackups(const std::string& directory, const std::string& target, uint64_t random) {
  if (!std::filesystem::exists(directory + "/BASALT-BACKUP")) return "";
  std::vector<std::string> damaged;
  const auto backups = storage::ListBackups(directory, damaged);
  if (!backups.ok()) return backups.status().ToString();
  if (!damaged.empty()) return damaged.front();
  if (backups->empty()) return "";
  const auto problems = storage::VerifyBackup(directory, backups->back().name, nullptr);
  if (!problems.ok()) return problems.status().ToString();
  if (!problems->empty()) return problems->front();
  if (random % 4 != 0) return "";
  const auto restored =
      storage::RestoreBackup({.directory = directory, .name = "", .target = target});
  if (!restored.ok()) return restored.status().ToString();
  const auto verified = storage::VerifyDirectory(target, {});
  if (!verified.ok()) return verified.status().ToString();
  if (!verified->damage.empty()) return verified->damage.front().what;
  const auto opened = storage::Store::Open(CrashOptions(target));
  return opened.ok() ? "" : opened.status().ToString();
}

TEST(Kill, WhatWasAcknowledgedSurvivesAKillAnywhere) {
  const char* rounds_text = std::getenv("BASALT_CRASH_ROUNDS");
  const uint64_t rounds = rounds_text == nullptr ? 20 : std::strtoull(rounds_text, nullptr, 10);
  const uint64_t seed = storage::TestSeeds(1).front();
  std::mt19937_64 random(seed);
  uint64_t operations = 0;
  uint64_t reopened = 0;
  StepTable steps;
  // A directory lives for a few rounds, so that recovery meets what an earlier recovery left.
  constexpr uint64_t kRoundsPerDirectory = 10;
  for (uint64_t first = 0; first < rounds; first += kRoundsPerDirectory) {
    TemporaryDirectory temp;
    CrashLedger ledger(seed);
    for (uint64_t round = first; round < std::min(first + kRoundsPerDirectory, rounds); ++round) {
      SCOPED_TRACE("seed " + std::to_string(seed) + " round " + std::to_string(round));
      const bool while_opening = random() % 5 == 0;
      // Half of the rounds are to end in the middle of the step that was interrupted least so far.
      const bool in_step = !while_opening && random() % 3 != 0;
      const std::chrono::microseconds life(
          in_step ? 5'000'000 : random() % (while_opening ? 150'000 : 700'000));
      const Ended ended = RunUntilKilled(temp.path("data"), seed, round, life, while_opening,
                                         in_step ? std::to_string(steps.Rarest()) : "");
      ASSERT_EQ(ended.error, "");
      for (size_t s = 0; s < kCrashSteps; ++s) steps.interrupted[s] += ended.in_step[s] ? 1 : 0;
      ASSERT_EQ(CheckBackups(temp.path("data-backups"), temp.path("restored"), random()), "");
      for (const auto& progress : ended.progress) operations += progress.acknowledged;

      auto opened = storage::Store::Open(CrashOptions(temp.path("data")));
      ASSERT_TRUE(opened.ok()) << opened.status().ToString();
      ++reopened;
      ASSERT_EQ(ledger.Check(**opened, round, ended.progress), "");
      if (random() % 2 == 0) {
        const Status settled = (*opened)->Settle();
        ASSERT_TRUE(settled.ok()) << settled.ToString();
        ASSERT_EQ(ledger.CheckUnchanged(**opened), "") << "after settling";
      }
      ASSERT_TRUE((*opened)->Close().ok());
      // Half-made checkpoints are nobody's business, but they must not pile up.
      for (const auto& entry : std::filesystem::directory_iterator(temp.path())) {
        const std::string name = entry.path().filename();
        if (name != "data" && name != "data-backups") std::filesystem::remove_all(entry.path());
      }
      if ((round + 1) % 50 == 0) {  // the long form takes a while
        std::cout << round + 1 << " rounds: " << steps.Text() << std::endl;
      }
    }
  }
  std::cout << rounds << " rounds, " << operations << " acknowledged operations; " << steps.Text()
            << "\n";
  EXPECT_EQ(reopened, rounds);
  EXPECT_GT(operations, rounds) << "the writers hardly came to write";
  if (rounds >= kManyRounds) {
    EXPECT_GE(steps.interrupted[steps.Rarest()], kLeastInterrupted) << steps.Text();
  }
}

}  // namespace
}  // namespace basalt::testing
