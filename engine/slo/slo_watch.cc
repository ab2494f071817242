#include "engine/slo/slo_watch.h"

#include <sys/stat.h>

#include <utility>

#include "engine/base/hash.h"
#include "engine/slo/slo_files.h"

namespace basalt::slo {

uint64_t StampOf(const std::vector<std::string>& paths) {
  std::string all;
  const auto add = [&](const std::string& path) {
    struct stat at{};
    all += path;
    if (::stat(path.c_str(), &at) != 0) {
      all += " gone\n";
      return;
    }
    for (const int64_t part :
         {static_cast<int64_t>(at.st_size), static_cast<int64_t>(at.st_ino),
          static_cast<int64_t>(at.st_mtim.tv_sec), static_cast<int64_t>(at.st_mtim.tv_nsec)}) {
      all += " " + std::to_string(part);
    }
    all += "\n";
  };
  const auto files = SloFilesOf(paths);
  for (const std::string& path : paths) {
    if (!files.ok()) add(path);
  }
  if (files.ok()) {
    for (const std::string& file : *files) add(file);
  }
  return HashBytes64(all);
}

SloWatch::SloWatch(std::function<std::vector<std::string>()> paths, std::function<void()> changed,
                   Duration interval)
    : paths_(std::move(paths)), changed_(std::move(changed)), interval_(interval) {
  {
    const MutexLock lock(look_mu_);
    acted_on_ = last_ = StampOf(paths_());
  }
  thread_ = std::thread([this] { Run(); });
}

SloWatch::~SloWatch() {
  {
    const MutexLock lock(mu_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  thread_.join();
}

bool SloWatch::Look() {
  const MutexLock lock(look_mu_);
  const uint64_t now = StampOf(paths_());
  const bool is_still = now == std::exchange(last_, now);
  if (now == acted_on_ || !is_still) return false;
  acted_on_ = now;
  changed_();
  return true;
}

void SloWatch::Run() {
  MutexLock lock(mu_);
  while (!stopping_) {
    wake_.WaitFor(lock, interval_);
    if (stopping_) return;
    lock.Unlock();
    Look();
    lock.Lock();
  }
}

}  // namespace basalt::slo
