#include "engine/ingest/tenants.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <utility>

#include "engine/base/labels.h"
#include "engine/base/log.h"

namespace basalt::ingest {
namespace {

using std::chrono::nanoseconds;

constexpr Duration kActiveSpan = std::chrono::hours(1);

template <typename T>
Status ParseNumber(std::string_view word, std::string_view text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error == std::errc() && end == text.data() + text.size()) return OkStatus();
  return InvalidArgument("\"" + std::string(word) + "\": \"" + std::string(text) +
                         "\" is no whole number");
}

Status ParseWord(std::string_view word, Limits& limits) {
  const size_t equals = word.find('=');
  if (equals == std::string_view::npos)
    return InvalidArgument("\"" + std::string(word) + "\" is no key=number");
  const std::string_view key = word.substr(0, equals);
  const std::string_view number = word.substr(equals + 1);
  if (key == "max_samples_per_second")
    return ParseNumber(word, number, limits.max_samples_per_second);
  if (key == "max_active_series") return ParseNumber(word, number, limits.max_active_series);
  if (key == "max_folded_series") return ParseNumber(word, number, limits.max_folded_series);
  if (key == "max_labels") return ParseNumber(word, number, limits.max_labels);
  if (key == "max_label_name") return ParseNumber(word, number, limits.max_label_name_bytes);
  if (key == "max_label_value") return ParseNumber(word, number, limits.max_label_value_bytes);
  if (key == "max_body") return ParseNumber(word, number, limits.max_body_bytes);
  return InvalidArgument("\"" + std::string(key) +
                         "\" is none of max_samples_per_second, max_active_series, "
                         "max_folded_series, max_labels, "
                         "max_label_name, max_label_value, max_body");
}

uint64_t ItemsOf(const std::vector<storage::IngestBatch>& batches) {
  uint64_t n = 0;
  for (const storage::IngestBatch& batch : batches)
    n += batch.sample_ms.size() + batch.histograms.size();
  return n;
}

}  // namespace

Result<std::pair<TenantId, Limits>> ParseTenantLimits(std::string_view text, const Limits& all) {
  std::pair<TenantId, Limits> out{kDefaultTenant, all};
  bool has_tenant = false;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty()) continue;
    if (has_tenant) {
      BASALT_TRY(ParseWord(word, out.second));
      continue;
    }
    uint32_t tenant = 0;
    BASALT_TRY(ParseNumber(word, word, tenant));
    out.first = TenantId{tenant};
    has_tenant = true;
  }
  if (!has_tenant) return InvalidArgument("a tenant's limits begin with its number");
  return out;
}

LeftOut LeaveOutNewSeries(size_t room, std::vector<storage::IngestBatch>& batches,
                          std::string& example) {
  return TakeNewSeries(
      [&](const storage::IngestBatch& batch, uint32_t series) {
        if (room > 0) {
          --room;
          return true;
        }
        if (example.empty()) {
          const auto labels = LabelsFromCanonical(LabelsOf(batch, series));
          if (labels.ok()) example = labels->ToString();
        }
        return false;
      },
      batches);
}

CountActiveSeries CountByIndex(const storage::Store& store, const Clock& clock) {
  return [&store, &clock](TenantId tenant) -> Result<uint64_t> {
    const int64_t now_ms = ToMs(clock.Now());
    BASALT_TRY_ASSIGN(const auto snapshot, store.reader().TakeSnapshot());
    BASALT_TRY_ASSIGN(
        const storage::Cardinality found,
        snapshot->CountLabels(tenant, {},
                              {.min_ms = now_ms - kActiveSpan.count(), .max_ms = now_ms}, 1));
    return found.series;
  };
}

Tenants::Tenants(CountActiveSeries count, const Clock& clock, LimitTable limits, Firewall* firewall)
    : count_(std::move(count)),
      clock_(clock),
      firewall_(firewall),
      limits_(std::make_shared<const LimitTable>(std::move(limits))) {}

std::shared_ptr<const LimitTable> Tenants::limits() const {
  const MutexLock lock(mu_);
  return limits_;
}

void Tenants::SetLimits(LimitTable limits) {
  auto fresh = std::make_shared<const LimitTable>(std::move(limits));
  const MutexLock lock(mu_);
  limits_ = std::move(fresh);
}

Tenants::State& Tenants::StateOf(TenantId tenant) {
  const nanoseconds now = clock_.Monotonic();
  if (states_.size() >= kMaxTenants && !states_.contains(tenant)) {
    std::erase_if(states_, [now](const auto& entry) {
      return now - entry.second.last_used > std::chrono::minutes(10);
    });
  }
  State& state = states_[tenant];
  state.last_used = now;
  return state;
}

void Tenants::Recount(TenantId tenant) {
  {
    const MutexLock lock(mu_);
    State& state = StateOf(tenant);
    if (state.counting || (state.counted >= nanoseconds(0) &&
                           clock_.Monotonic() - state.counted < nanoseconds(kRecount))) {
      return;
    }
    state.counting = true;
  }
  const Result<uint64_t> active = count_(tenant);
  const MutexLock lock(mu_);
  State& state = StateOf(tenant);
  state.counting = false;
  state.counted = clock_.Monotonic();
  if (active.ok()) {
    state.active_series = *active;
  } else {
    BASALT_LOG(kWarn, "the active series of a tenant cannot be counted; the last count stands",
               {"tenant", static_cast<uint32_t>(tenant)}, {"error", active.status().ToString()});
  }
}

Tenants::Admission Tenants::Admit(TenantId tenant, std::vector<storage::IngestBatch>& batches,
                                  Report& report) {
  const std::shared_ptr<const LimitTable> table = limits();
  const Limits& limits = table->Of(tenant);
  const uint64_t items = ItemsOf(batches);
  {
    const MutexLock lock(mu_);
    State& state = StateOf(tenant);
    if (limits.max_samples_per_second > 0) {
      const auto rate = static_cast<double>(limits.max_samples_per_second);
      const double most = rate * std::chrono::duration<double>(kBurst).count();
      const nanoseconds now = clock_.Monotonic();
      const double since = std::chrono::duration<double>(now - state.filled).count();
      state.tokens =
          state.filled < nanoseconds(0) ? most : std::min(most, state.tokens + since * rate);
      state.filled = now;
      // A request larger than the burst must pass some time, so tokens may be owed.
      if (state.tokens <= 0) {
        Admission refused;
        refused.retry_after_seconds =
            static_cast<int>(std::clamp(std::ceil(-state.tokens / rate), 1.0, 300.0));
        refused.status = ResourceExhausted(
            "tenant " + std::to_string(static_cast<uint32_t>(tenant)) + " sends more than " +
            std::to_string(limits.max_samples_per_second) + " samples/s (max_samples_per_second)");
        return refused;
      }
      state.tokens -= static_cast<double>(items);
    }
    state.samples += items;
  }
  const bool has_limit = limits.max_active_series > 0;
  const bool may_recall = firewall_ != nullptr && firewall_->may_recall();
  if (!has_limit && !may_recall) return {};
  size_t fresh = CountNewSeries(batches);
  if (fresh == 0) return {};
  Admission admission;
  if (!has_limit) {
    // What was decoded while there was one: its labels are not at hand any more.
    firewall_->TakeMembers(tenant, Firewall::Members::kRecalled, batches, admission.folds);
    return admission;
  }
  if (firewall_ != nullptr) {
    firewall_->TakeMembers(tenant, Firewall::Members::kAll, batches, admission.folds);
    fresh = CountNewSeries(batches);
    if (fresh == 0) return admission;
  }
  Recount(tenant);
  uint64_t active = 0;
  uint64_t room = 0;
  {
    // Taken now, so that requests under way at once do not all find the same room. If one is not
    // stored after all, the next count gives its room back.
    const MutexLock lock(mu_);
    State& state = StateOf(tenant);
    active = state.active_series;
    room = std::min<uint64_t>(
        fresh, limits.max_active_series - std::min(limits.max_active_series, active));
    state.active_series += room;
  }
  if (room == fresh) return admission;
  if (firewall_ != nullptr) {
    firewall_->Screen(tenant, static_cast<size_t>(room), active, limits, batches, report,
                      admission.folds);
    return admission;
  }
  std::string example;
  const LeftOut gone = LeaveOutNewSeries(static_cast<size_t>(room), batches, example);
  report.samples -= gone.samples;
  report.histograms -= gone.histograms;
  report.exemplars -= gone.exemplars;
  report.Reject(Reason::kSeriesLimit, gone.samples + gone.histograms, [&] {
    return std::to_string(fresh - room) + " new series, the first " + example +
           ": the tenant has " + std::to_string(active) + " active series, the limit is " +
           std::to_string(limits.max_active_series) + " (max_active_series)";
  });
  return admission;
}

void Tenants::Stored(TenantId tenant, const storage::AppendResult& result) {
  if (result.series_created == 0) return;
  const MutexLock lock(mu_);
  StateOf(tenant).series_created += result.series_created;
}

std::vector<Tenants::Use> Tenants::Uses() const {
  std::vector<Use> out;
  const MutexLock lock(mu_);
  for (const auto& [tenant, state] : states_) {
    const Limits& limits = limits_->Of(tenant);
    Use& use = out.emplace_back();
    use.tenant = tenant;
    use.samples = state.samples;
    use.series_created = state.series_created;
    if (state.counted >= nanoseconds(0)) use.active_series = state.active_series;
    use.max_samples_per_second = limits.max_samples_per_second;
    use.max_active_series = limits.max_active_series;
  }
  std::sort(out.begin(), out.end(), [](const Use& a, const Use& b) { return a.tenant < b.tenant; });
  return out;
}

}  // namespace basalt::ingest
