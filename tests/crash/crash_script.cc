#include "tests/crash/crash_script.h"

#include <utility>

namespace basalt::testing {

using storage::ModelState;
using storage::ModelWrite;

namespace {

// A day is enough for a few rounds of scrapes; a round begins where late samples of the one before
// still reach.
constexpr int64_t kRoundMs = 3'600'000;
constexpr int64_t kBegin = 1'700'000'000'000;

std::string WriterName(int writer) { return "writer" + std::to_string(writer); }

Result<ModelState> StateOf(const storage::Store& store) {
  auto snapshot = store.reader().TakeSnapshot();
  if (!snapshot.ok()) return snapshot.status();
  return ReadState(**snapshot);
}

}  // namespace

CrashScript::CrashScript(uint64_t seed, uint64_t round, int writer)
    : writer_(writer),
      work_(seed * 1'000'003 + round * 101 + static_cast<uint64_t>(writer),
            kBegin + static_cast<int64_t>(round) * kRoundMs) {}

CrashOperation CrashScript::Next() {
  if (work_.Random(25) == 0) {
    CrashDelete deletion{.matchers = work_.RandomMatchers(), .range = work_.RandomRange()};
    deletion.matchers.push_back({storage::MatchType::kEqual, "writer", WriterName(writer_)});
    return deletion;
  }
  while (queue_.empty() || queue_.front().empty()) {
    if (!queue_.empty()) queue_.pop_front();
    for (auto& request : work_.NextRequests()) queue_.push_back(std::move(request));
  }
  std::vector<ModelWrite> request = std::move(queue_.front());
  queue_.pop_front();
  for (ModelWrite& write : request) write.labels.Set("writer", WriterName(writer_));
  return request;
}

namespace {

// All that the ledgers know is younger.
Duration KeptForLedgers() { return SystemClock().Now() - FromMs(kBegin - 10 * kMsPerDay); }

}  // namespace

storage::StoreOptions CrashOptions(const std::string& directory) {
  storage::StoreOptions options;
  options.directory = directory;
  options.partitions = 4;
  // Everything small, so that whatever can be interrupted happens all the time.
  options.seal_samples = 5;
  options.head_samples = 0;  // rows are full at once, so that seals are many
  options.seal_age = Duration(20);
  options.segment_bytes = 32u << 10;
  options.log_budget_bytes = 128u << 10;
  options.block_cache_bytes = 4u << 20;
  options.tick = Duration(5);
  options.retention = KeptForLedgers();
  return options;
}

Status WriteWhatRetentionDrops(storage::Store& store, int i) {
  ModelWrite write;
  write.labels = {{"__name__", "old"}, {"job", "retention"}, {"writer", "retention"}};
  write.time_ms = kBegin - (40 + i % 20) * kMsPerDay + i;
  write.value = i;
  // What is too old already is refused at the door: so it gets old once it is in.
  BASALT_TRY(store.SetRetention({}));
  const Status status = store.Append(MakeBatches(store, {write})).status();
  storage::RetentionPolicy policy;
  policy.keep = KeptForLedgers();
  BASALT_TRY(store.SetRetention(policy));
  return status;
}

Status Carry(storage::Store& store, const CrashOperation& operation) {
  if (const auto* request = std::get_if<std::vector<ModelWrite>>(&operation)) {
    return store.Append(MakeBatches(store, *request)).status();
  }
  const auto& deletion = std::get<CrashDelete>(operation);
  return store.Delete({.any_of = {deletion.matchers}, .range = deletion.range}).status();
}

void ApplyTo(ModelState& state, const CrashOperation& operation) {
  if (const auto* request = std::get_if<std::vector<ModelWrite>>(&operation)) {
    // Of one request, floats are applied before histograms.
    for (const bool histograms : {false, true}) {
      for (const ModelWrite& write : *request) {
        if (write.is_histogram == histograms) storage::ApplyTo(state, write);
      }
    }
    return;
  }
  const auto& deletion = std::get<CrashDelete>(operation);
  storage::DeleteFrom(state, deletion.matchers, deletion.range);
}

std::string CrashLedger::Check(const storage::Store& store, uint64_t round,
                               const std::vector<Progress>& progress) {
  const auto found = StateOf(store);
  if (!found.ok()) return found.status().ToString();
  for (int w = 0; w < kCrashWriters; ++w) {
    const Progress& p = progress[static_cast<size_t>(w)];
    if (p.attempted > p.acknowledged + 1)
      return "writer " + std::to_string(w) + " did not wait for an answer";
    ModelState theirs;
    for (const auto& [labels, series] : *found) {
      if (labels.Get("writer") == WriterName(w)) theirs[labels] = series;
    }
    ModelState& state = states_[static_cast<size_t>(w)];
    CrashScript script(seed_, round, w);
    for (uint64_t i = 0; i < p.acknowledged; ++i) ApplyTo(state, script.Next());
    const std::string without = storage::Difference(state, theirs);
    if (without.empty()) continue;
    if (p.attempted == p.acknowledged) return "acknowledged is not what was found: " + without;
    ApplyTo(state, script.Next());
    if (const std::string with = storage::Difference(state, theirs); !with.empty()) {
      return "found is neither what was acknowledged (" + without +
             ") nor that and the last attempt (" + with + ")";
    }
  }
  return "";
}

std::string CrashLedger::CheckUnchanged(const storage::Store& store) const {
  const auto found = StateOf(store);
  if (!found.ok()) return found.status().ToString();
  ModelState all;
  for (const ModelState& state : states_) all.insert(state.begin(), state.end());
  ModelState known = *found;
  std::erase_if(known, [](const auto& s) { return s.first.Get("writer") == "retention"; });
  return storage::Difference(all, known);
}

}  // namespace basalt::testing
