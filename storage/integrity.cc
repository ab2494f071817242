#include "storage/integrity.h"

#include <algorithm>
#include <thread>
#include <utility>

namespace basalt::storage {
namespace {

using std::chrono::duration;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kTellEvery(200);
// Sleeps are cut into pieces of this length, so that a cancel is seen.
constexpr milliseconds kNap(50);

}  // namespace

void ScrubReport::Add(Damage found) {
  ++damage_total;
  if (damage.size() < kMaxDamageShown) damage.push_back(std::move(found));
}

ScrubPace::ScrubPace(const ScrubOptions& options, const std::atomic<bool>* also)
    : options_(options), also_(also), begun_(steady_clock::now()), told_(begun_) {}

Status ScrubPace::Spend(uint64_t bytes) {
  progress.bytes_done += bytes;
  while (true) {
    if ((options_.cancel != nullptr && *options_.cancel) || (also_ != nullptr && *also_)) {
      return Cancelled("scrub: interrupted");
    }
    const auto now = steady_clock::now();
    if (now - told_ >= kTellEvery) {
      told_ = now;
      Tell();
    }
    if (options_.bytes_per_second == 0) return OkStatus();
    const auto due = begun_ + std::chrono::duration_cast<steady_clock::duration>(
                                  duration<double>(static_cast<double>(progress.bytes_done) /
                                                   static_cast<double>(options_.bytes_per_second)));
    if (now >= due) return OkStatus();
    std::this_thread::sleep_for(std::min<steady_clock::duration>(due - now, kNap));
  }
}

void ScrubPace::FileDone() { ++progress.files_done; }

void ScrubPace::Finish() { Tell(); }

void ScrubPace::Tell() {
  if (options_.on_progress) options_.on_progress(progress);
}

}  // namespace basalt::storage
