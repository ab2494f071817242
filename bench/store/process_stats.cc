#include "bench/store/process_stats.h"

#include <malloc.h>
#include <time.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace basalt::bench {
namespace {

// The number behind `name` in a file of "name: number [kB]" lines.
uint64_t Field(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name + ":")) return std::stoull(line.substr(name.size() + 1));
  }
  return 0;
}

}  // namespace

MemoryUse ReadMemoryUse() {
  const auto heap = ::mallinfo2();
  return {.resident_bytes = Field("/proc/self/status", "VmRSS") << 10,
          .peak_bytes = Field("/proc/self/status", "VmHWM") << 10,
          .allocated_bytes = heap.uordblks + heap.hblkhd,
          .free_bytes = heap.fordblks};
}

std::map<std::string, uint64_t> ReadThreadCpu() {
  std::map<std::string, uint64_t> cpu;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    uint64_t ns = 0;
    std::getline(std::ifstream(task.path() / "comm"), name);
    std::ifstream(task.path() / "schedstat") >> ns;
    cpu[name] += ns;
  }
  return cpu;
}

namespace {
uint64_t CpuNs(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}
}  // namespace

uint64_t ThisThreadCpuNs() { return CpuNs(CLOCK_THREAD_CPUTIME_ID); }
uint64_t ThisProcessCpuNs() { return CpuNs(CLOCK_PROCESS_CPUTIME_ID); }

Written ReadWritten() {
  return {.call_bytes = Field("/proc/self/io", "wchar"),
          .disk_bytes = Field("/proc/self/io", "write_bytes")};
}

}  // namespace basalt::bench
