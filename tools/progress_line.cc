#include "tools/progress_line.h"

#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>

namespace basalt::cli {
namespace {

constexpr std::chrono::seconds kEvery(1);
std::atomic<bool> stop_asked{false};

}  // namespace

ProgressLine::ProgressLine(bool quiet)
    : quiet_(quiet),
      terminal_(isatty(STDERR_FILENO) != 0),
      last_(std::chrono::steady_clock::now()) {}

ProgressLine::~ProgressLine() {
  if (shown_ && terminal_) std::fputc('\n', stderr);
}

void ProgressLine::Show(const std::string& text) {
  if (quiet_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_ < kEvery) return;
  last_ = now;
  shown_ = true;
  std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", text.c_str());
  std::fflush(stderr);
}

std::string HumanBytes(uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) value /= 1024, ++unit;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text.data();
}

const std::atomic<bool>& StopOnSignals() {
  for (const int signal : {SIGINT, SIGTERM}) {
    std::signal(signal, [](int) { stop_asked = true; });
  }
  return stop_asked;
}

}  // namespace basalt::cli
