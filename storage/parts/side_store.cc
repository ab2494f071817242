#include "storage/parts/side_store.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "engine/base/varint.h"
#include "storage/parts/meta_keys.h"

namespace basalt::storage {

namespace {

// Exemplars: [partition u16][ordinal u32] -> count, then time (delta), value bits, labels.
std::string ExemplarKey(PartitionId partition, SeriesOrdinal ordinal) {
  std::string key;
  AppendBigEndian(static_cast<uint16_t>(partition), 2, key);
  AppendBigEndian(static_cast<uint32_t>(ordinal), 4, key);
  return key;
}

std::string EncodeExemplars(const std::vector<StoredExemplar>& exemplars) {
  std::string out;
  AppendVarint(exemplars.size(), out);
  int64_t before = 0;
  for (const StoredExemplar& e : exemplars) {
    AppendVarint(static_cast<uint64_t>(e.time_ms - before), out);
    before = e.time_ms;
    AppendBigEndian(std::bit_cast<uint64_t>(e.value), 8, out);
    AppendVarint(e.labels.size(), out);
    out += e.labels;
  }
  return out;
}

bool DecodeExemplars(std::string_view bytes, std::vector<StoredExemplar>& out) {
  VarintReader in(bytes);
  uint64_t count = 0;
  if (!in.Read(count) || count > kMaxExemplarsPerSeries) return false;
  uint64_t time = 0;
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t delta = 0;
    uint64_t bits = 0;
    std::string_view value;
    std::string_view labels;
    if (!in.Read(delta) || !in.ReadBytes(8, value) || !in.ReadString(labels)) return false;
    time += delta;
    ReadBigEndian(value, 8, bits);
    out.push_back({static_cast<int64_t>(time), std::bit_cast<double>(bits), std::string(labels)});
  }
  return in.done();
}

bool SameExemplar(const StoredExemplar& a, const StoredExemplar& b) {
  return a.time_ms == b.time_ms &&
         std::bit_cast<uint64_t>(a.value) == std::bit_cast<uint64_t>(b.value) &&
         a.labels == b.labels;
}

// Metadata: [tenant u32][metric] -> entries: type, unit, help.
std::string MetadataKey(TenantId tenant, std::string_view metric) {
  std::string key;
  AppendBigEndian(static_cast<uint32_t>(tenant), 4, key);
  key += metric;
  return key;
}

std::string EncodeMetadata(const std::vector<MetadataEntry>& entries) {
  std::string out;
  AppendVarint(entries.size(), out);
  for (const MetadataEntry& e : entries) {
    out += static_cast<char>(e.type);
    AppendVarint(e.unit.size(), out);
    out += e.unit;
    AppendVarint(e.help.size(), out);
    out += e.help;
  }
  return out;
}

bool DecodeMetadata(std::string_view metric, std::string_view bytes,
                    std::vector<MetadataEntry>& out) {
  VarintReader in(bytes);
  uint64_t count = 0;
  if (!in.Read(count) || count > kMaxMetadataPerMetric) return false;
  for (uint64_t i = 0; i < count; ++i) {
    std::string_view type;
    std::string_view unit;
    std::string_view help;
    if (!in.ReadBytes(1, type) || !in.ReadString(unit) || !in.ReadString(help)) return false;
    const auto number = static_cast<uint8_t>(type[0]);
    if (number > static_cast<uint8_t>(MetricType::kStateset)) return false;
    out.push_back({std::string(metric), static_cast<MetricType>(number), std::string(unit),
                   std::string(help)});
  }
  return in.done();
}

bool SameMetadata(const MetadataEntry& a, const MetadataEntry& b) {
  return a.type == b.type && a.unit == b.unit && a.help == b.help;
}

}  // namespace

Result<std::vector<StoredExemplar>> ExemplarStore::Stored(const Key& key) const {
  std::vector<StoredExemplar> out;
  const std::string bytes = ExemplarKey(key.first, key.second);
  const Result<std::string> value = database_.Get(Family::kExemplars, bytes);
  if (!value.ok()) {
    if (value.status().code() == StatusCode::kNotFound) return out;
    return value.status();
  }
  if (!DecodeExemplars(*value, out)) {
    return DataLoss("exemplars of series " + std::to_string(static_cast<uint32_t>(key.second)) +
                    " of partition " + std::to_string(static_cast<uint16_t>(key.first)) +
                    ": do not parse");
  }
  return out;
}

Result<bool> ExemplarStore::Add(PartitionId partition, SeriesOrdinal ordinal,
                                StoredExemplar exemplar) {
  const Key key{partition, ordinal};
  const MutexLock lock(mu_);
  auto it = changed_.find(key);
  if (it == changed_.end()) {
    BASALT_TRY_ASSIGN(std::vector<StoredExemplar> stored, Stored(key));
    it = changed_.emplace(key, Entry{std::move(stored), 0}).first;
  }
  std::vector<StoredExemplar>& list = it->second.exemplars;
  auto at =
      std::upper_bound(list.begin(), list.end(), exemplar.time_ms,
                       [](int64_t time, const StoredExemplar& e) { return time < e.time_ms; });
  for (auto same = at; same != list.begin() && (same - 1)->time_ms == exemplar.time_ms; --same) {
    if (SameExemplar(*(same - 1), exemplar)) return false;
  }
  if (list.size() >= kMaxExemplarsPerSeries) {
    if (at == list.begin()) return false;
    const auto index = at - list.begin();
    list.erase(list.begin());
    at = list.begin() + (index - 1);
  }
  list.insert(at, std::move(exemplar));
  it->second.version = ++version_;
  return true;
}

Status ExemplarStore::Read(PartitionId partition, SeriesOrdinal ordinal, TimeRange range,
                           std::vector<StoredExemplar>& out) const {
  const Key key{partition, ordinal};
  std::vector<StoredExemplar> all;
  {
    const MutexLock lock(mu_);
    const auto it = changed_.find(key);
    if (it != changed_.end()) {
      all = it->second.exemplars;
    } else {
      BASALT_TRY_ASSIGN(all, Stored(key));
    }
  }
  for (StoredExemplar& e : all) {
    if (e.time_ms >= range.min_ms && e.time_ms <= range.max_ms) out.push_back(std::move(e));
  }
  return OkStatus();
}

void ExemplarStore::Save(WriteBatch& batch) {
  const MutexLock lock(mu_);
  saving_.clear();
  for (const auto& [key, entry] : changed_) {
    saving_[key] = entry.version;
    // Version 0: it was only looked at, and is on disk as it is.
    if (entry.version == 0) continue;
    batch.Put(Family::kExemplars, ExemplarKey(key.first, key.second),
              EncodeExemplars(entry.exemplars));
  }
}

void ExemplarStore::Saved() {
  const MutexLock lock(mu_);
  for (const auto& [key, version] : saving_) {
    const auto it = changed_.find(key);
    if (it != changed_.end() && it->second.version == version) changed_.erase(it);
  }
  saving_.clear();
}

Result<std::unique_ptr<MetadataStore>> MetadataStore::Open(const Database& database) {
  std::unique_ptr<MetadataStore> made(new MetadataStore());
  const MutexLock lock(made->mu_);  // the lambda runs under it, which the analysis cannot see
  BASALT_TRY(database.ForEach(
      Family::kMetadata, "",
      [&](std::string_view key, std::string_view value) BASALT_NO_THREAD_SAFETY_ANALYSIS -> Status {
        uint64_t tenant = 0;
        if (key.size() < 4 || !ReadBigEndian(key.substr(0, 4), 4, tenant)) {
          return DataLoss("metadata: key does not parse");
        }
        const std::string_view metric = key.substr(4);
        Metric& entry = made->tenants_[static_cast<TenantId>(tenant)][std::string(metric)];
        if (!DecodeMetadata(metric, value, entry.entries)) {
          return DataLoss("metadata of " + std::string(metric) + ": does not parse");
        }
        return OkStatus();
      }));
  return made;
}

Status MetadataStore::Put(TenantId tenant, const MetadataEntry& entry) {
  const MutexLock lock(mu_);
  Metrics& metrics = tenants_[tenant];
  auto it = metrics.find(entry.metric);
  if (it == metrics.end()) {
    if (metrics.size() >= kMaxMetadataMetricsPerTenant) {
      return ResourceExhausted("metadata of " + entry.metric + ": tenant " +
                               std::to_string(static_cast<uint32_t>(tenant)) +
                               " already describes " +
                               std::to_string(kMaxMetadataMetricsPerTenant) + " metrics");
    }
    it = metrics.emplace(entry.metric, Metric()).first;
  }
  std::vector<MetadataEntry>& entries = it->second.entries;
  const auto same = std::find_if(entries.begin(), entries.end(), [&](const MetadataEntry& have) {
    return SameMetadata(have, entry);
  });
  if (same != entries.end()) {
    if (same + 1 == entries.end()) return OkStatus();
    std::rotate(same, same + 1, entries.end());
  } else {
    if (entries.size() >= kMaxMetadataPerMetric) entries.erase(entries.begin());
    entries.push_back(entry);
  }
  it->second.changed = true;
  return OkStatus();
}

std::vector<MetadataEntry> MetadataStore::Read(TenantId tenant, std::string_view metric) const {
  std::vector<MetadataEntry> out;
  const MutexLock lock(mu_);
  const auto metrics = tenants_.find(tenant);
  if (metrics == tenants_.end()) return out;
  if (!metric.empty()) {
    const auto it = metrics->second.find(metric);
    if (it != metrics->second.end()) out = it->second.entries;
    return out;
  }
  for (const auto& [name, entry] : metrics->second) {
    out.insert(out.end(), entry.entries.begin(), entry.entries.end());
  }
  return out;
}

void MetadataStore::Save(WriteBatch& batch) {
  const MutexLock lock(mu_);
  for (auto& [tenant, metrics] : tenants_) {
    for (auto& [name, metric] : metrics) {
      if (!metric.changed && !metric.saving) continue;
      batch.Put(Family::kMetadata, MetadataKey(tenant, name), EncodeMetadata(metric.entries));
      metric.saving = true;
      metric.changed = false;
    }
  }
}

void MetadataStore::Saved() {
  const MutexLock lock(mu_);
  for (auto& [tenant, metrics] : tenants_) {
    for (auto& [name, metric] : metrics) metric.saving = false;
  }
}

}  // namespace basalt::storage
