// bench/store/process_stats.h -- what Linux says about this process: memory, CPU by thread name,
// bytes written.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace basalt::bench {

struct MemoryUse {
  uint64_t resident_bytes = 0;
  uint64_t peak_bytes = 0;
  uint64_t allocated_bytes = 0;  // handed out by the C library's allocator; 0 if another is linked
  uint64_t free_bytes = 0;       // held by it and not handed out
};
MemoryUse ReadMemoryUse();

// CPU time in ns of the living threads, by their name, equal names added up.
std::map<std::string, uint64_t> ReadThreadCpu();
uint64_t ThisThreadCpuNs();
uint64_t ThisProcessCpuNs();

// Bytes given to write() and its kin, and bytes that dirtied pages of files since the process began
// (0 where the file system does not count, as tmpfs).
struct Written {
  uint64_t call_bytes = 0;
  uint64_t disk_bytes = 0;
};
Written ReadWritten();

}  // namespace basalt::bench
