// tools/progress_line.h -- how far a long command has come, a line now and then on standard error.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

namespace basalt::cli {

// One line a second at most; on a terminal they overwrite each other.
class ProgressLine {
 public:
  explicit ProgressLine(bool quiet);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  void Show(const std::string& text);

 private:
  const bool quiet_;
  const bool terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point last_;
};

// "512 B", "3.4 MiB", "1.2 GiB".
std::string HumanBytes(uint64_t bytes);

// True once SIGINT or SIGTERM has come, from the first call on.
const std::atomic<bool>& StopOnSignals();

}  // namespace basalt::cli
