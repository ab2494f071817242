#include "engine/ingest/firewall.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "engine/base/log.h"
#include "engine/base/varint.h"
#include "engine/ingest/newest_sample.h"
#include "engine/ingest/series_labels.h"
#include "storage/resolver.h"

namespace basalt::ingest {
namespace {

constexpr std::string_view kJournalMagic = "basalt-folds-1\n\n";

// Label values are counted over series that are active on the days of this span.
constexpr Duration kKnownSpan = std::chrono::hours(1);

FoldMember MemberOf(const storage::BatchSeries& series) { return FoldMember{series.id.hash.low}; }

std::string_view MetricOf(std::span<const LabelView> labels) {
  for (const LabelView& label : labels) {
    if (label.name == kMetricName) return label.value;
  }
  return {};
}

std::string TextOf(std::string_view canonical) {
  const auto labels = LabelsFromCanonical(canonical);
  return labels.ok() ? labels->ToString() : std::string();
}

}  // namespace

// What the store and the request itself know of metrics.
class Firewall::Knowledge final : public FoldKnowledge {
 public:
  Knowledge(const storage::Store& store, const Clock& clock, TenantId tenant,
            const std::vector<storage::IngestBatch>& batches)
      : store_(store), clock_(clock), tenant_(tenant), batches_(batches) {}

  [[nodiscard]] std::optional<storage::MetricType> TypeOf(std::string_view metric) const override {
    for (const storage::IngestBatch& batch : batches_) {
      for (const storage::MetadataEntry& entry : batch.metadata) {
        if (entry.metric == metric) return entry.type;
      }
    }
    const auto snapshot = store_.reader().TakeSnapshot();
    if (!snapshot.ok()) return std::nullopt;
    const auto found = (*snapshot)->Metadata(tenant_, metric);
    if (!found.ok() || found->empty()) return std::nullopt;
    return found->front().type;
  }

  [[nodiscard]] std::vector<std::pair<std::string, uint64_t>> DistinctValues(
      std::string_view metric) const override {
    std::vector<std::pair<std::string, uint64_t>> out;
    const auto snapshot = store_.reader().TakeSnapshot();
    if (!snapshot.ok()) return out;
    const int64_t now_ms = ToMs(clock_.Now());
    const auto found = (*snapshot)->CountLabels(
        tenant_, {{{storage::MatchType::kEqual, std::string(kMetricName), std::string(metric)}}},
        {.min_ms = now_ms - kKnownSpan.count(), .max_ms = now_ms}, SIZE_MAX);
    if (!found.ok()) return out;
    for (const storage::LabelCount& label : found->values_by_label)
      out.emplace_back(label.name, label.count);
    return out;
  }

  [[nodiscard]] std::vector<std::string> Values(std::string_view metric, std::string_view label,
                                                size_t limit) const override {
    const auto snapshot = store_.reader().TakeSnapshot();
    if (!snapshot.ok()) return {};
    const int64_t now_ms = ToMs(clock_.Now());
    bool truncated = false;
    auto found = (*snapshot)->LabelValues(
        tenant_, label,
        {{{storage::MatchType::kEqual, std::string(kMetricName), std::string(metric)}}},
        {.min_ms = now_ms - kKnownSpan.count(), .max_ms = now_ms}, limit, truncated);
    return found.ok() ? *std::move(found) : std::vector<std::string>();
  }

 private:
  const storage::Store& store_;
  const Clock& clock_;
  const TenantId tenant_;
  const std::vector<storage::IngestBatch>& batches_;
};

// By series of one batch.
struct Firewall::Verdicts {
  explicit Verdicts(const storage::IngestBatch& batch)
      : goes(batch.series.size()), fold(batch.series.size()) {}
  std::vector<bool> goes;
  std::vector<std::optional<FoldGroup>> fold;  // with `goes`: into which group; none: refused
};

Firewall::Firewall(storage::Store& store, const Clock& clock) : store_(store), clock_(clock) {}

Firewall::~Firewall() {
  const MutexLock lock(mu_);
  if (journal_ != nullptr) (void)journal_->Sync();
}

Firewall::Tenant& Firewall::TenantOf(TenantId id) {
  std::unique_ptr<Tenant>& tenant = tenants_[id];
  if (tenant == nullptr) tenant = std::make_unique<Tenant>();
  return *tenant;
}

// ---- out of the request

LeftOut Firewall::Carry(const std::vector<Verdicts>& verdicts,
                        std::vector<storage::IngestBatch>& batches, Folds& folds) {
  const size_t samples_before = folds.samples.size();
  const size_t exemplars_before = folds.exemplars.size();
  if (!batches.empty()) folds.writer = batches.front().writer;
  size_t b = 0;
  for (storage::IngestBatch& batch : batches) {
    const Verdicts& of_batch = verdicts[b++];
    for (size_t i = 0; i < batch.sample_ms.size(); ++i) {
      const auto& group = of_batch.fold[batch.sample_series[i]];
      if (!group.has_value()) continue;
      folds.samples.push_back({.member = MemberOf(batch.series[batch.sample_series[i]]),
                               .group = *group,
                               .time_ms = batch.sample_ms[i],
                               .value = batch.sample_value[i],
                               .start_ms = batch.sample_start_ms.empty()
                                               ? storage::kNoStartMs
                                               : batch.sample_start_ms[i]});
    }
    for (storage::ExemplarSample& exemplar : batch.exemplars) {
      const auto& group = of_batch.fold[exemplar.series];
      // Left in its place, too, where it is counted and taken out.
      if (group.has_value()) folds.exemplars.push_back({*group, exemplar});
    }
  }
  const storage::IngestBatch* const first = batches.data();
  LeftOut gone = TakeNewSeries(
      [&](const storage::IngestBatch& batch, uint32_t series) {
        return !verdicts[static_cast<size_t>(&batch - first)].goes[series];
      },
      batches);
  gone.samples -= folds.samples.size() - samples_before;
  gone.exemplars -= folds.exemplars.size() - exemplars_before;
  return gone;
}

// A request under way may create this very series; what the resolver then learns comes before the
// cache, so a stored series is not folded.
void Firewall::Remember(const storage::BatchSeries& series) {
  for (const Hash128& fingerprint : store_.resolver().Awaited(series.id))
    cache_.Add(fingerprint, MemberOf(series));
}

void Firewall::TakeMembers(TenantId id, Members which, std::vector<storage::IngestBatch>& batches,
                           Folds& folds) {
  std::vector<Verdicts> verdicts;
  bool any = false;
  {
    const MutexLock lock(mu_);
    const auto found = tenants_.find(id);
    if (found == tenants_.end()) return;
    Tenant& tenant = *found->second;
    const FoldTable& table = tenant.table;
    for (const storage::IngestBatch& batch : batches) {
      Verdicts& of_batch = verdicts.emplace_back(batch);
      for (size_t i = 0; i < batch.series.size(); ++i) {
        const storage::BatchSeries& series = batch.series[i];
        if (series.ordinal != kUnknownOrdinal) continue;
        const bool is_recalled = series.labels_bytes == 0;
        if (!is_recalled && which == Members::kRecalled) continue;
        of_batch.fold[i] = table.Find(MemberOf(series));
        if (!of_batch.fold[i].has_value() && !is_recalled) continue;
        of_batch.goes[i] = any = true;
        if (is_recalled) {
          // Forgotten as idle while its request was under way: its next sample is its first.
          if (!of_batch.fold[i].has_value()) ++tenant.late;
          continue;
        }
        Remember(series);
        // After a restart there is no example yet.
        if (!tenant.example.empty()) continue;
        tenant.example = LabelsOf(batch, static_cast<uint32_t>(i));
        tenant.example_into = table.group(*of_batch.fold[i]).labels;
      }
    }
  }
  // A member's native histograms and exemplars without samples do not come: only floats made it
  // one.
  if (any) (void)Carry(verdicts, batches, folds);
}

std::optional<FoldGroup> Firewall::AddMember(FoldMember member, std::span<const LabelView> labels,
                                             const Limits& limits, const FoldKnowledge& knowledge,
                                             Tenant& tenant, bool& is_full) {
  const std::chrono::nanoseconds now = clock_.Monotonic();
  if (!tenant.rules.IsCounter(MetricOf(labels), now, knowledge)) return std::nullopt;
  FoldTable& table = tenant.table;
  if (table.members() >= limits.max_folded_series) {
    if (tenant.swept < std::chrono::nanoseconds(0) ||
        now - tenant.swept >= std::chrono::nanoseconds(kSweep)) {
      tenant.swept = now;
      if (table.ForgetIdle() > 0) cache_.Clear();
    }
    if (table.members() >= limits.max_folded_series) {
      is_full = true;
      return std::nullopt;
    }
  }
  const std::optional<std::string> into = tenant.rules.Fold(
      labels, [&table](std::string_view canonical) { return table.HasGroup(canonical); });
  if (!into.has_value()) return std::nullopt;
  const FoldGroup group = table.GroupOf(*into);
  table.AddMember(member, group);
  return group;
}

void Firewall::Screen(TenantId id, size_t room, uint64_t active, const Limits& limits,
                      std::vector<storage::IngestBatch>& batches, Report& report, Folds& folds) {
  const Knowledge knowledge(store_, clock_, id, batches);
  std::vector<Verdicts> verdicts;
  uint64_t refused = 0;
  std::string refused_example;
  uint64_t full = 0;
  uint64_t full_samples = 0;
  std::string full_example;
  {
    const MutexLock lock(mu_);
    Tenant& tenant = TenantOf(id);
    // First what there is of labels, then who is folded into what.
    struct Candidate {
      size_t batch = 0;
      uint32_t series = 0;
      std::vector<LabelView> labels;
    };
    std::vector<Candidate> candidates;
    for (size_t b = 0; b < batches.size(); ++b) {
      const storage::IngestBatch& batch = batches[b];
      verdicts.emplace_back(batch);
      std::vector<bool> has_histogram(batch.series.size());
      for (const storage::HistogramSample& h : batch.histograms) has_histogram[h.series] = true;
      for (uint32_t i = 0; i < batch.series.size(); ++i) {
        if (batch.series[i].ordinal != kUnknownOrdinal) continue;
        if (room > 0) {
          --room;
          continue;
        }
        verdicts[b].goes[i] = true;
        auto labels = ParseCanonical(LabelsOf(batch, i));
        if (labels.ok() && !has_histogram[i] && limits.max_folded_series > 0 &&
            tenant.rules.IsCounter(MetricOf(*labels), clock_.Monotonic(), knowledge)) {
          tenant.rules.Learn(*labels, knowledge);
          candidates.push_back({b, i, *std::move(labels)});
          continue;
        }
        ++refused;
        if (refused_example.empty()) refused_example = TextOf(LabelsOf(batch, i));
      }
    }
    for (const Candidate& candidate : candidates) {
      const storage::IngestBatch& batch = batches[candidate.batch];
      bool is_full = false;
      const std::optional<FoldGroup> group =
          AddMember(MemberOf(batch.series[candidate.series]), candidate.labels, limits, knowledge,
                    tenant, is_full);
      verdicts[candidate.batch].fold[candidate.series] = group;
      if (group.has_value()) {
        Remember(batch.series[candidate.series]);
        tenant.example = LabelsOf(batch, candidate.series);
        tenant.example_into = tenant.table.group(*group).labels;
        continue;
      }
      if (!is_full) {
        ++refused;
        if (refused_example.empty()) refused_example = TextOf(LabelsOf(batch, candidate.series));
        continue;
      }
      ++full;
      full_samples += static_cast<uint64_t>(
          std::count(batch.sample_series.begin(), batch.sample_series.end(), candidate.series));
      if (full_example.empty()) full_example = TextOf(LabelsOf(batch, candidate.series));
    }
  }
  const LeftOut gone = Carry(verdicts, batches, folds);
  report.samples -= gone.samples;
  report.histograms -= gone.histograms;
  report.exemplars -= gone.exemplars;
  if (refused > 0) {
    report.Reject(Reason::kSeriesLimit, gone.samples + gone.histograms - full_samples, [&] {
      return std::to_string(refused) + " new series, the first " + refused_example +
             ": the tenant has " + std::to_string(active) + " active series, the limit is " +
             std::to_string(limits.max_active_series) + " (max_active_series)";
    });
  }
  if (full > 0) {
    report.Reject(Reason::kFoldLimit, full_samples, [&] {
      return std::to_string(full) + " new counters, the first " + full_example +
             ": beyond max_active_series the tenant has folded " +
             std::to_string(limits.max_folded_series) +
             " series already, which is its limit (max_folded_series)";
    });
  }
}

// ---- into the log

void Firewall::CompareWithStore(TenantId id, FoldGroup group, Tenant& tenant) {
  const FoldTable::Group& g = tenant.table.group(group);
  if (g.is_compared) return;
  const auto labels = ParseCanonical(g.labels);
  if (!labels.ok()) return tenant.table.RaiseTo(group, NAN, INT64_MIN);
  const auto found = FindNewestSample(store_, id, *labels, ToMs(clock_.Now()), INT64_MIN);
  if (!found.ok()) {
    BASALT_LOG(kWarn, "what is stored of a folded series cannot be read; its sum may fall once",
               {"series", TextOf(g.labels)}, {"error", found.status().ToString()});
  }
  if (found.ok() && found->has_value()) {
    tenant.table.RaiseTo(group, (*found)->value, (*found)->time_ms);
  } else {
    tenant.table.RaiseTo(group, NAN, INT64_MIN);
  }
}

std::vector<storage::IngestBatch> Firewall::Sum(TenantId id, Folds& folds, Tenant& tenant) {
  storage::BatchBuilder builder(store_.resolver(), id);
  const auto select = [&](FoldGroup group) {
    const std::string& canonical = tenant.table.group(group).labels;
    const Hash128 fingerprint = CanonicalFingerprint(canonical);
    if (builder.SelectKnown(fingerprint)) return;
    // Canonical bytes of our own making: they parse.
    builder.SelectLabels(fingerprint, ParseCanonical(canonical).value());
  };
  // A backlog brings many times at once: a sum for each of them. The usual request has one.
  const auto is_older = [](const FoldedSample& a, const FoldedSample& b) {
    return a.time_ms < b.time_ms;
  };
  if (!std::is_sorted(folds.samples.begin(), folds.samples.end(), is_older))
    std::stable_sort(folds.samples.begin(), folds.samples.end(), is_older);
  std::vector<FoldGroup> touched;
  for (size_t i = 0; i < folds.samples.size();) {
    const int64_t time_ms = folds.samples[i].time_ms;
    touched.clear();
    for (; i < folds.samples.size() && folds.samples[i].time_ms == time_ms; ++i) {
      const FoldedSample& sample = folds.samples[i];
      CompareWithStore(id, sample.group, tenant);
      ++tenant.samples;
      const FoldOutcome outcome = tenant.table.Add(sample);
      if (outcome == FoldOutcome::kLate) ++tenant.late;
      if (outcome == FoldOutcome::kNotFinite) {
        ++tenant.not_finite;
        continue;
      }
      // Late ones, too: what is sent again may be what was not stored the first time.
      if (touched.empty() || touched.back() != sample.group) touched.push_back(sample.group);
    }
    std::sort(touched.begin(), touched.end());
    touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
    for (const FoldGroup group : touched) {
      select(group);
      builder.AddSample(tenant.table.group(group).newest_ms, tenant.table.ValueOf(group));
    }
  }
  for (const Folds::Exemplar& exemplar : folds.exemplars) {
    const auto labels = ParseCanonical(exemplar.sample.labels);
    if (!labels.ok()) continue;  // of our own making: it parses
    select(exemplar.group);
    builder.AddExemplar(exemplar.sample.time_ms, exemplar.sample.value, *labels);
  }
  return builder.Finish();
}

void Firewall::Append(TenantId id, Folds folds, std::vector<storage::IngestBatch> batches,
                      storage::AppendDone done) {
  if (folds.empty()) return store_.Append(std::move(batches), std::move(done));
  const MutexLock lock(mu_);
  Tenant& tenant = TenantOf(id);
  MergeBatches(Sum(id, folds, tenant), batches);
  for (storage::IngestBatch& batch : batches) batch.writer = folds.writer;
  // Before the store has it: a kill in between leaves increases that are in the state and not in
  // the log, and the next sum brings them.
  WriteJournal(id, tenant, folds);
  store_.Append(std::move(batches), std::move(done));
}

// ---- over restarts

namespace {

using FoldTables = std::map<TenantId, FoldTable>;

RecordFile::OnRecord ReadInto(FoldTables& tables) {
  return [&tables](uint64_t /*offset*/, std::string_view payload) {
    VarintReader in(payload);
    uint64_t tenant = 0;
    std::string_view state;
    if (!in.Read(tenant) || tenant > UINT32_MAX || !in.ReadBytes(in.remaining(), state))
      return DataLoss("it names no tenant");
    return tables[TenantId{static_cast<uint32_t>(tenant)}].Apply(state);
  };
}

}  // namespace

Result<std::vector<RecordFile::Damage>> Firewall::Check(const std::string& path) {
  FoldTables tables;
  return RecordFile::Check(path, kJournalMagic, ReadInto(tables));
}

Status Firewall::Open(const std::string& path) {
  const MutexLock lock(mu_);
  BASALT_CHECK(tenants_.empty() && journal_ == nullptr, "Firewall::Open comes first, and once");
  FoldTables tables;
  BASALT_TRY_ASSIGN(RecordFile::Opened opened,
                    RecordFile::Open(path, kJournalMagic, ReadInto(tables)));
  if (!opened.damaged.empty()) {
    // No reason not to serve: what is missing begins anew, and its sums go on where the store's
    // are.
    BASALT_LOG(kError, "the journal of folded series is damaged; increases of some may be missing",
               {"path", path}, {"records", opened.damaged.size()},
               {"first", opened.damaged.front().ToString()});
  }
  for (auto& [tenant, table] : tables) TenantOf(tenant).table = std::move(table);
  if (opened.cut_bytes > 0) {
    BASALT_LOG(kInfo, "the end of the journal of folded series was torn", {"path", path},
               {"bytes", opened.cut_bytes});
  }
  journal_ = std::move(opened.file);
  path_ = path;
  return RewriteJournal();
}

void Firewall::WriteJournal(TenantId id, const Tenant& tenant, const Folds& folds) {
  if (journal_ == nullptr) return;
  std::string payload;
  AppendVarint(static_cast<uint32_t>(id), payload);
  std::vector<FoldGroup> groups;
  for (const FoldedSample& sample : folds.samples) {
    if (groups.empty() || groups.back() != sample.group) groups.push_back(sample.group);
  }
  for (const Folds::Exemplar& exemplar : folds.exemplars) groups.push_back(exemplar.group);
  std::sort(groups.begin(), groups.end());
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  for (const FoldGroup group : groups) tenant.table.WriteGroup(group, payload);
  for (const FoldedSample& sample : folds.samples) tenant.table.WriteMember(sample.member, payload);
  Status status = journal_->Append(payload).status();
  if (status.ok() && journal_->WantsRewrite(kRewriteBytes)) status = RewriteJournal();
  if (!status.ok()) {
    BASALT_LOG(kWarn,
               "the state of folded series cannot be written; a kill now would lose increases",
               {"path", path_}, {"error", status.ToString()});
  }
}

Status Firewall::RewriteJournal() {
  std::vector<std::string> payloads;
  for (const auto& [id, tenant] : tenants_) {
    std::string& payload = payloads.emplace_back();
    AppendVarint(static_cast<uint32_t>(id), payload);
    tenant->table.WriteAll(payload);
  }
  return journal_->Rewrite(payloads);
}

std::vector<Firewall::Use> Firewall::Uses() const {
  std::vector<Use> out;
  const MutexLock lock(mu_);
  for (const auto& [id, tenant] : tenants_) {
    if (tenant->table.groups() == 0) continue;
    out.push_back({.tenant = id,
                   .folded_series = tenant->table.members(),
                   .into_series = tenant->table.groups(),
                   .memory_bytes = tenant->table.memory_bytes(),
                   .samples = tenant->samples,
                   .late = tenant->late,
                   .not_finite = tenant->not_finite,
                   .example = TextOf(tenant->example),
                   .example_into = TextOf(tenant->example_into)});
  }
  return out;
}

}  // namespace basalt::ingest
