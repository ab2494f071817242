// engine/ingest/ha_tracker.h -- pairs of Prometheus servers that scrape the same targets: one of
// them leads and is stored, the other stands by.
//
// The labels `cluster` and `__replica__` (names configurable, limits.h) tell who a request is from;
// a request is one replica's, as external labels make it, so its first series tells. The leader
// stays until it has been silent for `failover`; then the replica that sends next leads. An
// election is a sample of `basalt_ha_elected_replica{cluster, replica}`, in the log record of the
// first samples that it lets in: as durable as they are, found again after a restart, and there to
// be queried.
//
// What a standby has sent lately is held, so that a switch leaves no gap; of it and of all that
// comes later, only samples newer than the leader's newest are stored, so that it counts nothing
// twice.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/compress.h"
#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "engine/ingest/protocol.h"
#include "storage/store.h"

namespace basalt::ingest {

struct HaSettings {
  Duration failover = std::chrono::seconds(30);
  // Of requests that are held, all clusters together; beyond it the oldest go, and a switch may
  // then leave a gap.
  size_t max_held_bytes = 64u << 20;
};

inline constexpr std::string_view kElectionMetric = "basalt_ha_elected_replica";

// Who a request is from.
struct HaSender {
  TenantId tenant = kDefaultTenant;
  std::string cluster;
  std::string replica;
};

// A request of a standby, as it came.
struct HeldRequest {
  Protocol protocol = Protocol::kRemoteWrite1;
  ContentCoding coding = ContentCoding::kSnappy;
  std::string body;
  bool is_json = false;  // of OTLP's two encodings
};

// Thread-safe. `clock` must outlive it.
class HaTracker {
 public:
  // Clusters that are remembered; beyond it those silent the longest are forgotten, and found again
  // by what is stored.
  static constexpr size_t kMaxClusters = 10'000;

  // Who was elected last, as stored; empty if nobody.
  using FindLeader = std::function<Result<std::string>(TenantId, const std::string& cluster)>;
  HaTracker(HaSettings settings, const Clock& clock, FindLeader find_leader);

  [[nodiscard]] const HaSettings& settings() const { return settings_; }

  enum class Verdict : uint8_t {
    kLeads,
    kElected,   // leads from this request on: an election is to be stored with it
    kStandsBy,  // nothing of it is stored
  };
  struct Decision {
    Verdict verdict = Verdict::kLeads;
    int64_t after_ms = INT64_MIN;     // only samples newer than this
    std::vector<HeldRequest> missed;  // with kElected: what else is to be stored, the oldest first
  };
  Decision Decide(const HaSender& sender) BASALT_EXCLUDES(mu_);
  // Of what the leader has sent.
  void Stored(const HaSender& sender, int64_t newest_ms) BASALT_EXCLUDES(mu_);
  // Of a standby.
  void Hold(const HaSender& sender, HeldRequest request) BASALT_EXCLUDES(mu_);

  struct ClusterState {
    TenantId tenant = kDefaultTenant;
    std::string cluster;
    std::string leader;
    Timestamp heard;         // of the leader
    uint64_t elections = 0;  // since the start
    size_t held_bytes = 0;
  };
  [[nodiscard]] std::vector<ClusterState> Clusters() const BASALT_EXCLUDES(mu_);

 private:
  struct Held {
    std::string replica;
    std::chrono::nanoseconds at{0};
    HeldRequest request;
  };
  struct Cluster {
    std::string leader;
    std::chrono::nanoseconds heard{0};
    Timestamp heard_at;
    int64_t newest_ms = INT64_MIN;  // of the leader's samples
    int64_t after_ms = INT64_MIN;   // the newest of the leader before
    uint64_t elections = 0;
    std::deque<Held> held;
  };
  using Key = std::pair<TenantId, std::string>;

  void DropHeld(Cluster& cluster) BASALT_REQUIRES(mu_);
  void MakeRoom() BASALT_REQUIRES(mu_);

  const HaSettings settings_;
  const Clock& clock_;
  const FindLeader find_leader_;
  mutable Mutex mu_;
  std::map<Key, Cluster> clusters_ BASALT_GUARDED_BY(mu_);
  size_t held_bytes_ BASALT_GUARDED_BY(mu_) = 0;
};

// HaTracker::FindLeader by the stored elections.
HaTracker::FindLeader FindLeaderIn(const storage::Store& store);

// Takes samples, histograms and exemplars at or before `after_ms` out. Returns how many.
uint64_t LeaveOutUpTo(int64_t after_ms, std::vector<storage::IngestBatch>& batches);
// INT64_MIN if there is no sample.
int64_t NewestOf(const std::vector<storage::IngestBatch>& batches);

}  // namespace basalt::ingest
