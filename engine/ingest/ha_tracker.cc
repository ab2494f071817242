#include "engine/ingest/ha_tracker.h"

#include <algorithm>
#include <utility>

#include "engine/base/log.h"

namespace basalt::ingest {

using std::chrono::nanoseconds;

HaTracker::HaTracker(HaSettings settings, const Clock& clock, FindLeader find_leader)
    : settings_(std::move(settings)), clock_(clock), find_leader_(std::move(find_leader)) {}

void HaTracker::MakeRoom() {
  if (clusters_.size() < kMaxClusters) return;
  const auto oldest = std::min_element(
      clusters_.begin(), clusters_.end(),
      [](const auto& a, const auto& b) { return a.second.heard < b.second.heard; });
  while (!oldest->second.held.empty()) DropHeld(oldest->second);
  clusters_.erase(oldest);
}

// The oldest of a cluster.
void HaTracker::DropHeld(Cluster& cluster) {
  held_bytes_ -= cluster.held.front().request.body.size();
  cluster.held.pop_front();
}

HaTracker::Decision HaTracker::Decide(const HaSender& sender) {
  const Key key{sender.tenant, sender.cluster};
  bool known = false;
  {
    const MutexLock lock(mu_);
    known = clusters_.contains(key);
  }
  std::string stored;
  if (!known) {
    // Not under the lock: it reads the store. Two may do so at once; the first one's answer counts.
    Result<std::string> found = find_leader_(sender.tenant, sender.cluster);
    if (found.ok()) {
      stored = *std::move(found);
    } else {
      BASALT_LOG(kWarn, "the last election of a cluster cannot be read; its next sender leads",
                 {"cluster", sender.cluster}, {"error", found.status().ToString()});
    }
  }
  const nanoseconds now = clock_.Monotonic();
  Decision decision;
  const MutexLock lock(mu_);
  if (!clusters_.contains(key)) {
    MakeRoom();
    Cluster& fresh = clusters_[key];
    // Whoever led before a restart is given the time to be heard again.
    fresh.leader = stored;
    fresh.heard = now;
    fresh.heard_at = clock_.Now();
  }
  Cluster& cluster = clusters_[key];
  if (cluster.leader == sender.replica) {
    cluster.heard = now;
    cluster.heard_at = clock_.Now();
    decision.after_ms = cluster.after_ms;
    return decision;
  }
  if (!cluster.leader.empty() && now - cluster.heard < nanoseconds(settings_.failover)) {
    decision.verdict = Verdict::kStandsBy;
    return decision;
  }
  BASALT_LOG(kInfo, "another replica of a cluster leads", {"cluster", sender.cluster},
             {"replica", sender.replica}, {"before", cluster.leader});
  decision.verdict = Verdict::kElected;
  // A leader whose clock runs a little ahead has sent what its successor would send again; one
  // whose clock ran far ahead must not keep it out.
  const int64_t latest_ms = ToMs(cluster.heard_at + settings_.failover);
  cluster.after_ms = cluster.leader.empty() ? INT64_MIN : std::min(cluster.newest_ms, latest_ms);
  cluster.newest_ms = INT64_MIN;
  cluster.leader = sender.replica;
  cluster.heard = now;
  cluster.heard_at = clock_.Now();
  ++cluster.elections;
  decision.after_ms = cluster.after_ms;
  for (Held& held : cluster.held) {
    held_bytes_ -= held.request.body.size();
    if (held.replica == sender.replica) decision.missed.push_back(std::move(held.request));
  }
  cluster.held.clear();
  return decision;
}

void HaTracker::Stored(const HaSender& sender, int64_t newest_ms) {
  const MutexLock lock(mu_);
  const auto found = clusters_.find({sender.tenant, sender.cluster});
  if (found == clusters_.end() || found->second.leader != sender.replica) return;
  found->second.newest_ms = std::max(found->second.newest_ms, newest_ms);
}

void HaTracker::Hold(const HaSender& sender, HeldRequest request) {
  const nanoseconds now = clock_.Monotonic();
  const MutexLock lock(mu_);
  const auto found = clusters_.find({sender.tenant, sender.cluster});
  if (found == clusters_.end()) return;
  std::deque<Held>& held = found->second.held;
  held_bytes_ += request.body.size();
  held.push_back({sender.replica, now, std::move(request)});
  // Twice the time: the leader's last samples may be older than its last request.
  while (!held.empty() && (now - held.front().at > nanoseconds(2 * settings_.failover) ||
                           held_bytes_ > settings_.max_held_bytes)) {
    DropHeld(found->second);
  }
}

std::vector<HaTracker::ClusterState> HaTracker::Clusters() const {
  std::vector<ClusterState> out;
  const MutexLock lock(mu_);
  for (const auto& [key, cluster] : clusters_) {
    ClusterState& state = out.emplace_back();
    state.tenant = key.first;
    state.cluster = key.second;
    state.leader = cluster.leader;
    state.heard = cluster.heard_at;
    state.elections = cluster.elections;
    for (const Held& held : cluster.held) state.held_bytes += held.request.body.size();
  }
  return out;
}

HaTracker::FindLeader FindLeaderIn(const storage::Store& store) {
  return [&store](TenantId tenant, const std::string& cluster) -> Result<std::string> {
    const storage::MatcherSet matchers = {
        {storage::MatchType::kEqual, "__name__", std::string(kElectionMetric)},
        {storage::MatchType::kEqual, "cluster", cluster}};
    BASALT_TRY_ASSIGN(const auto snapshot, store.reader().TakeSnapshot());
    std::string leader;
    int64_t newest_ms = INT64_MIN;
    for (uint32_t p = 0; p < snapshot->partition_count(); ++p) {
      BASALT_TRY_ASSIGN(
          const auto selection,
          snapshot->Select(tenant, PartitionId{static_cast<uint16_t>(p)}, matchers, {}, SIZE_MAX));
      const auto cursor = selection->Read(0, selection->size(), {});
      storage::SeriesColumns columns;
      for (;;) {
        BASALT_TRY_ASSIGN(const bool more, cursor->Next(columns));
        if (!more) break;
        if (columns.time_ms.empty() || columns.time_ms.back() <= newest_ms) continue;
        newest_ms = columns.time_ms.back();
        leader = selection->label(columns.series, "replica");
      }
    }
    return leader;
  };
}

uint64_t LeaveOutUpTo(int64_t after_ms, std::vector<storage::IngestBatch>& batches) {
  uint64_t gone = 0;
  for (storage::IngestBatch& batch : batches) {
    size_t n = 0;
    for (size_t i = 0; i < batch.sample_ms.size(); ++i) {
      if (batch.sample_ms[i] <= after_ms) continue;
      batch.sample_series[n] = batch.sample_series[i];
      batch.sample_ms[n] = batch.sample_ms[i];
      batch.sample_value[n] = batch.sample_value[i];
      if (!batch.sample_start_ms.empty()) batch.sample_start_ms[n] = batch.sample_start_ms[i];
      ++n;
    }
    gone += batch.sample_ms.size() - n;
    batch.sample_series.resize(n);
    batch.sample_ms.resize(n);
    batch.sample_value.resize(n);
    if (!batch.sample_start_ms.empty()) batch.sample_start_ms.resize(n);
    gone += std::erase_if(batch.histograms,
                          [after_ms](const auto& item) { return item.time_ms <= after_ms; });
    gone += std::erase_if(batch.exemplars,
                          [after_ms](const auto& item) { return item.time_ms <= after_ms; });
  }
  std::erase_if(batches, [](const storage::IngestBatch& batch) { return batch.empty(); });
  return gone;
}

int64_t NewestOf(const std::vector<storage::IngestBatch>& batches) {
  int64_t newest_ms = INT64_MIN;
  for (const storage::IngestBatch& batch : batches) {
    for (const int64_t ms : batch.sample_ms) newest_ms = std::max(newest_ms, ms);
    for (const auto& histogram : batch.histograms)
      newest_ms = std::max(newest_ms, histogram.time_ms);
  }
  return newest_ms;
}

}  // namespace basalt::ingest
