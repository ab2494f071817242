// The outbox is killed (SIGKILL) at each of its steps: before, in the middle of and after each
// write, sync and rename of its log, and before and after each POST. Then it is opened again.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill is POSIX, not C++
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/notify/outbox.h"
#include "tests/engine/notify/fake_clock.h"

namespace basalt::notify {
namespace {

constexpr int kAlerts = 4;
constexpr uint64_t kRewriteAt = 5000;
constexpr int64_t kStartMs = 1'699'999'000'000;

// Ends the process at its n-th moment.
class Reaper {
 public:
  explicit Reaper(int moment) : left_(moment) {}
  void Moment() {
    if (left_-- == 0) ::kill(::getpid(), SIGKILL);
  }

 private:
  int left_;
};

class DeadlySteps final : public FileSteps {
 public:
  explicit DeadlySteps(Reaper& reaper) : reaper_(reaper) {}
  ssize_t Write(int fd, const char* bytes, size_t size) override {
    reaper_.Moment();
    // Two halves, as a write of many pages may be cut.
    const ssize_t first = FileSteps::Write(fd, bytes, size / 2);
    reaper_.Moment();
    const ssize_t rest = FileSteps::Write(fd, bytes + size / 2, size - size / 2);
    reaper_.Moment();
    return first + rest;
  }
  int Sync(int fd) override {
    const int result = FileSteps::Sync(fd);
    reaper_.Moment();
    return result;
  }
  int Rename(const char* from, const char* to) override {
    reaper_.Moment();
    const int result = FileSteps::Rename(from, to);
    reaper_.Moment();
    return result;
  }

 private:
  Reaper& reaper_;
};

void AppendLine(const std::string& path, std::string line) {
  line += '\n';
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  ASSERT_EQ(::write(fd, line.data(), line.size()), static_cast<ssize_t>(line.size()));
  ::close(fd);
}

// An Alertmanager that outlives the process: a file of what it has accepted.
class FilePoster final : public AlertPoster {
 public:
  FilePoster(std::string path, Reaper* reaper) : path_(std::move(path)), reaper_(reaper) {}
  Result<int> Post(std::string_view body, Duration) override {
    if (reaper_ != nullptr) reaper_->Moment();
    AppendLine(path_, std::string(body));
    if (reaper_ != nullptr) reaper_->Moment();
    return 200;
  }

 private:
  const std::string path_;
  Reaper* reaper_;
};

Alert MakeAlert(int n) {
  Alert alert;
  alert.identity = Labels{{"alertname", "A" + std::to_string(n)}};
  // Long enough for the log to be rewritten on the way.
  alert.annotations = Labels{{"text", std::string(kRewriteAt / 5, 'x')}};
  alert.starts_at = FromMs(kStartMs + n);
  alert.urgent = true;
  return alert;
}

std::unique_ptr<Outbox> OpenAt(const std::string& dir, const Clock& clock, FileSteps& steps,
                               Reaper* reaper) {
  OutboxOptions options;
  options.directory = dir;
  options.clock = &clock;
  options.files = &steps;
  options.log_rewrite_bytes = kRewriteAt;
  options.threads = false;
  auto receivers = std::make_shared<Receivers>();
  receivers->alertmanagers.push_back(*AlertmanagerAt("http://am:9093"));
  options.receivers = receivers;
  options.make_poster = [&](const Endpoint&, const std::atomic<bool>&) {
    return Result<std::unique_ptr<AlertPoster>>(
        std::make_unique<FilePoster>(dir + "/accepted", reaper));
  };
  auto outbox = Outbox::Open(options);
  return outbox.ok() ? std::move(outbox).value() : nullptr;
}

// Publishes, sends, publishes again; every alert twice, so that states replace each other.
[[noreturn]] void Child(const std::string& dir, int moment) {
  Reaper reaper(moment);
  DeadlySteps steps(reaper);
  const FakeClock clock;
  const auto outbox = OpenAt(dir, clock, steps, &reaper);
  for (int round = 0; round < 2; ++round) {
    for (int n = 0; n < kAlerts; ++n) {
      const Alert alert = MakeAlert(n);
      if (outbox->Publish({&alert, 1}).ok()) AppendLine(dir + "/published", std::to_string(n));
      reaper.Moment();
      outbox->DeliverOnce(0);
    }
  }
  ::_exit(0);
}

TEST(Kill, AtAnyStepLosesNoPageChangesNoStartAndMakesNoDuplicate) {
  const auto root =
      std::filesystem::path(::testing::TempDir()) / ("outbox_kill_" + std::to_string(::getpid()));
  int killed = 0;
  for (int moment = 0;; ++moment) {
    SCOPED_TRACE("moment " + std::to_string(moment));
    std::filesystem::remove_all(root);
    std::filesystem::create_directories(root);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) Child(root, moment);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) {
      ASSERT_EQ(WEXITSTATUS(status), 0);
      break;  // it has outlived its last moment
    }
    ASSERT_EQ(WTERMSIG(status), SIGKILL);
    ++killed;

    std::set<int> published;
    std::ifstream ledger(root / "published");
    for (int n = 0; ledger >> n;) published.insert(n);
    FakeClock clock;
    clock.Advance(std::chrono::minutes(2));
    const auto outbox = OpenAt(root, clock, SystemFileSteps(), nullptr);
    ASSERT_NE(outbox, nullptr);
    for (const Alert& alert : outbox->Firing())
      EXPECT_EQ(alert, MakeAlert(static_cast<int>(ToMs(alert.starts_at) - kStartMs)));
    outbox->DeliverOnce(0);
    std::map<std::string, std::set<std::string>> starts;  // by labels
    std::ifstream accepted(root / "accepted");
    for (std::string line; std::getline(accepted, line);) {
      for (const auto& alert : nlohmann::json::parse(line))
        starts[alert["labels"].dump()].insert(std::string(alert["startsAt"]));
    }
    for (const int n : published) {
      const std::string labels = nlohmann::json({{"alertname", "A" + std::to_string(n)}}).dump();
      EXPECT_TRUE(starts.contains(labels)) << "page " << n << " is lost";
    }
    EXPECT_LE(starts.size(), static_cast<size_t>(kAlerts)) << "an identity of its own";
    for (const auto& [labels, times] : starts) EXPECT_EQ(times.size(), 1U) << labels;
    EXPECT_EQ(outbox->Stats().receivers[0].waiting, 0U);
  }
  EXPECT_GE(killed, 60) << "the steps have become fewer: is everything still a moment?";
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace basalt::notify
