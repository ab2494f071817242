#include "engine/slo/evaluator.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "engine/slo/message.h"
#include "engine/slo/slo_limits.h"

namespace basalt::slo {
namespace {

using std::chrono::nanoseconds;

// After a failed load: often enough to page soon, seldom enough not to read history all the time.
constexpr nanoseconds kRetryLoad = std::chrono::seconds(2);
// Between looks at what is due of polled SLIs, whose times are half a minute apart.
constexpr nanoseconds kPollEvery = std::chrono::seconds(1);
// Recurring exclusions are expanded two days ahead.
constexpr nanoseconds kReadLedgerEvery = std::chrono::hours(1);

}  // namespace

Evaluator::Evaluator(SampleStore& store, notify::AlertSink& sink, EvaluatorOptions options)
    : store_(store),
      sink_(sink),
      options_(std::move(options)),
      poller_(options_.queries == nullptr
                  ? nullptr
                  : std::make_unique<Poller>(*options_.queries, *options_.clock)) {}

Evaluator::~Evaluator() {
  Stop();
  store_.Observe(nullptr);
}

Status Evaluator::SetDefinitions(std::vector<Definition> definitions) {
  if (const auto problem = FirstBeyond(definitions, options_.max_slos)) {
    return InvalidArgument(ToString(*problem));
  }
  const MutexLock lock(mu_);
  definitions_ = std::move(definitions);
  needs_load_ = true;
  return Load();
}

Status Evaluator::Load() {
  const nanoseconds begin = options_.clock->Monotonic();
  const std::vector<notify::Alert> before = sink_.Firing();
  std::unordered_map<Hash128, int64_t, Hash128Hash> starts;
  for (const notify::Alert& alert : before) starts[Fingerprint(alert)] = ToMs(alert.starts_at);
  // Kept by the set: a group whose series come only later takes its alert over then.
  const auto restored = [starts = std::move(starts)](const Definition& definition,
                                                     const std::vector<std::string>& values,
                                                     Severity severity) -> std::optional<int64_t> {
    if (starts.empty()) return std::nullopt;
    const auto it = starts.find(notify::Fingerprint(AlertIdentity(definition, values, severity)));
    if (it == starts.end()) return std::nullopt;
    return it->second;
  };

  SloSetOptions set_options;
  set_options.clock = options_.clock;
  set_options.settle_timeout = options_.settle_timeout;
  set_options.max_queued = options_.max_queued;
  set_options.max_groups = options_.max_groups;
  set_options.max_leaves = options_.max_leaves;
  set_options.judge_every_round = options_.judge_every_round;
  auto next = std::make_unique<SloSet>(definitions_, store_, set_options, restored);
  if (options_.ledger != nullptr) next->SetExclusions(options_.ledger->All());
  ledger_read_ = begin;
  std::vector<Transition> transitions;
  const Status status = next->Load(transitions);
  // From here on the store talks to the new set, so the old one would only grow stale.
  set_ = std::move(next);
  BASALT_TRY(status);
  needs_load_ = false;
  if (poller_ != nullptr) poller_->Reset(definitions_);
  RememberAbsence(before);
  held_back_.clear();
  suspects_.clear();
  ++stats_.loads;
  stats_.load_ns = static_cast<uint64_t>((options_.clock->Monotonic() - begin).count());
  Publish(transitions);
  ResolveOrphans(before);
  too_many_groups_.clear();
  WatchGroupCounts(before);
  told_problems_.clear();
  TellProblems();
  return OkStatus();
}

// Alerts of SLOs, or of severities, that no longer exist. An alert whose group merely shows no data
// stays: no data resolves nothing.
void Evaluator::ResolveOrphans(const std::vector<notify::Alert>& before) {
  std::unordered_set<std::string> alive;
  // An SLO that has got groups, or whose total alerts no longer, has no alert without group labels.
  std::unordered_set<Hash128, Hash128Hash> replaced;
  for (SloIndex slo = 0; slo < definitions_.size(); ++slo) {
    const Definition& definition = definitions_[slo];
    const std::string tenant =
        definition.tenant == kDefaultTenant
            ? "\n"
            : std::to_string(static_cast<uint32_t>(definition.tenant)) + "\n";
    const std::vector<std::string> unlabelled(definition.sli.group_by.size());
    const bool has_unlabelled = definition.sli.group_by.empty() || definition.total_alerts ||
                                set_->groups_of(slo).contains(unlabelled);
    for (size_t s = 0; s < kSeverityCount; ++s) {
      const auto severity = static_cast<Severity>(s);
      if (!definition.alert(severity).enabled) continue;
      if (!has_unlabelled) {
        replaced.insert(notify::Fingerprint(AlertIdentity(definition, {}, severity)));
      }
      alive.insert(tenant + definition.id + "\n" + std::string(SeverityName(severity)) + "\n" +
                   definition.alert_name);
    }
    if (definition.absent.has_value())
      alive.insert(tenant + definition.id + "\n\n" + definition.absent->name);
    alive.insert(tenant + definition.id + "\n\n" +
                 std::string(kTooManyGroups));  // WatchGroupCounts tells
  }
  std::vector<notify::Alert> resolved;
  for (notify::Alert alert : before) {
    const std::string_view id = alert.identity.Get("sloth_id");
    if (id.empty()) continue;  // not ours
    const std::string key = std::string(alert.identity.Get(kTenantLabel)) + "\n" + std::string(id) +
                            "\n" + std::string(alert.identity.Get("sloth_severity")) + "\n" +
                            std::string(alert.identity.Get("alertname"));
    if (alive.contains(key) && !replaced.contains(notify::Fingerprint(alert))) continue;
    alert.ends_at = options_.clock->Now();
    resolved.push_back(std::move(alert));
  }
  Send(std::move(resolved));
}

Status Evaluator::Sweep() {
  const MutexLock lock(mu_);
  if (needs_load_) return Load();
  if (set_ == nullptr) return OkStatus();
  const nanoseconds begin = options_.clock->Monotonic();
  if (options_.ledger != nullptr && begin - ledger_read_ >= kReadLedgerEvery) {
    set_->SetExclusions(options_.ledger->All());
    ledger_read_ = begin;
  }
  std::vector<Transition> transitions;
  if (const Status status = set_->Sweep(transitions); !status.ok()) {
    needs_load_ = true;
    return status;
  }
  if (poller_ != nullptr) set_->Feed(poller_->Take(), transitions);
  Publish(transitions);
  WatchForAbsence();
  if (begin - audited_ >= kAuditEvery) {
    audited_ = begin;
    AuditSlots(1);
  }
  last_sweep_ = options_.clock->Now();
  const auto took = static_cast<uint64_t>((options_.clock->Monotonic() - begin).count());
  ++stats_.sweeps;
  stats_.sweep_ns += took;
  stats_.last_sweep_ns = took;
  stats_.slowest_sweep_ns = std::max(stats_.slowest_sweep_ns, took);
  return OkStatus();
}

void Evaluator::ReadLedger() {
  const MutexLock lock(mu_);
  if (set_ == nullptr || options_.ledger == nullptr) return;
  set_->SetExclusions(options_.ledger->All());
  ledger_read_ = options_.clock->Monotonic();
}

AlertNumbers Evaluator::NumbersOf(GroupIndex g, Severity severity) {
  const SloGroup& group = set_->group(g);
  const Definition& definition = set_->definitions()[group.slo];
  AlertNumbers numbers;
  numbers.condition = definition.conditions[group.held_condition[static_cast<size_t>(severity)]];
  numbers.scale = definition.sli.scale;
  const auto read = [&](size_t window) BASALT_REQUIRES(mu_) {
    return AgainstPeriod(g, window, set_->Read(g, window).counts);
  };
  numbers.in_short = read(numbers.condition.short_index);
  numbers.in_long = read(numbers.condition.long_index);
  PeriodBounds bounds;
  numbers.in_period = set_->ReadPeriod(g, bounds).counts;
  return numbers;
}

notify::Alert Evaluator::AlertOf(GroupIndex g, Severity severity, const AlertState& state) {
  const SloGroup& group = set_->group(g);
  const Definition& definition = set_->definitions()[group.slo];
  const AlertNumbers numbers = NumbersOf(g, severity);
  notify::Alert alert =
      MakeAlert(definition, group.values, severity, state, numbers, options_.external_url);
  if (const std::string worst = WorstGroups(g, numbers); !worst.empty()) {
    alert.annotations.Set("slo_worst_groups", worst);
  }
  return alert;
}

void Evaluator::Publish(const std::vector<Transition>& transitions) {
  std::vector<notify::Alert> alerts;
  for (const Transition& transition : transitions) {
    if (HoldBack(transition)) continue;
    alerts.push_back(AlertOf(transition.group, transition.severity, transition.state));
  }
  for (const Transition& transition : transitions) LetGo(transition, alerts);
  Send(std::move(alerts));
}

void Evaluator::Send(std::vector<notify::Alert> alerts) {
  if (alerts.empty()) return;
  stats_.transitions += alerts.size();
  if (!sink_.Publish(alerts).ok()) ++stats_.publish_errors;  // the sink delivers all the same
}

void Evaluator::Start() {
  const MutexLock lock(thread_mu_);
  if (thread_.joinable()) return;
  stopping_ = false;
  thread_ = std::thread([this] { Run(); });
  if (poller_ != nullptr) polls_ = std::thread([this] { RunPolls(); });
}

void Evaluator::Stop() {
  std::thread thread;
  std::thread polls;
  {
    const MutexLock lock(thread_mu_);
    stopping_ = true;
    wake_.NotifyAll();
    thread = std::move(thread_);
    polls = std::move(polls_);
  }
  if (thread.joinable()) thread.join();
  if (polls.joinable()) polls.join();
}

void Evaluator::Poll() {
  if (poller_ != nullptr) poller_->PollOnce();
}

void Evaluator::RunPolls() {
  MutexLock lock(thread_mu_);
  while (!stopping_) {
    lock.Unlock();
    Poll();
    lock.Lock();
    if (!stopping_) wake_.WaitFor(lock, kPollEvery);
  }
}

void Evaluator::Run() {
  MutexLock lock(thread_mu_);
  while (!stopping_) {
    lock.Unlock();
    const Status status = Sweep();
    lock.Lock();
    if (stopping_) break;
    wake_.WaitFor(lock, status.ok() ? options_.sweep_interval : kRetryLoad);
  }
}

std::optional<Definition> Evaluator::DefinitionOf(TenantId tenant, std::string_view id) const {
  const MutexLock lock(mu_);
  for (const Definition& definition : definitions_) {
    if (definition.tenant == tenant && definition.id == id) return definition;
  }
  return std::nullopt;
}

EvaluatorStats Evaluator::Stats() const {
  const MutexLock lock(mu_);
  EvaluatorStats stats = stats_;
  stats.slos = definitions_.size();
  if (set_ == nullptr) return stats;
  stats.groups = set_->group_count();
  stats.bytes_per_group = set_->slots().bytes_per_group();
  stats.sweep = set_->stats();
  for (SloIndex slo = 0; slo < set_->definitions().size(); ++slo) {
    const std::string& problem = set_->problem_of(slo);
    const Definition& definition = set_->definitions()[slo];
    if (!problem.empty()) stats.problems.push_back({definition.tenant, definition.id, problem});
  }
  for (GroupIndex g = 0; g < set_->group_count(); ++g) {
    for (const AlertState& alert : set_->group(g).alerts) stats.firing += alert.firing ? 1 : 0;
  }
  return stats;
}

}  // namespace basalt::slo
