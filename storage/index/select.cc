// The read side of PartitionIndex.
//
// A selection works in two steps. First the matchers are turned into label pairs: regular
// expressions run over the distinct values of their label, without any lock, since tables only
// grow. Then, under the shared lock, postings are combined: a matcher's series are united from the
// carriers of its pairs, or, where few series are left already, each of those is asked whether its
// group or shape is such a carrier. Series that appear in between are cut off at the end: a
// negative matcher has not asked about their values.
#include <algorithm>
#include <optional>
#include <string>

#include "storage/index/impl.h"
#include "storage/index/index.h"

namespace basalt::storage {

using index_internal::CarrierId;
using index_internal::LabelPair;
using index_internal::MatchCache;
using index_internal::NameIndex;
using index_internal::PairId;
using index_internal::PostingList;
using index_internal::SeriesEntry;
using index_internal::StableVector;
using index_internal::StringId;
using index_internal::Tables;
using index_internal::TenantIndex;

namespace index_internal {

// What one matcher asks of the postings.
struct Term {
  bool include = true;              // keep the union; false: remove it
  bool whole_name = false;          // the union is all series that have the label
  const NameIndex* name = nullptr;  // null: no series has the label
  std::vector<PairId> pairs;        // unless whole_name
};

}  // namespace index_internal

using index_internal::Term;

namespace {

// A union of more carriers than this is not begun with.
constexpr uint64_t kMaxUnitedCarriers = 4096;
// Series that are asked for their carriers in the time that a union takes (bench/index): 15 ns a
// series against 10 us, 0.5 us a carrier and 1 ns a series.
uint64_t SeriesAskedPerUnion(uint64_t carriers, uint64_t cardinality) {
  return 700 + carriers * 30 + cardinality / 16;
}

// Up to so many series, looking them up in every day costs less than uniting the days.
constexpr uint64_t kAskedByDay = 4096;

// True if the matcher lets every series through.
bool IsNoOp(const Term& term) {
  return !term.include && (term.name == nullptr || (!term.whole_name && term.pairs.empty()));
}

// The pairs of the first `count` values of `name` for which Matches(value) is `wanted`.
std::vector<PairId> Filter(MatchCache& cache, const Tables& tables, const NameIndex& name,
                           size_t count, const CompiledMatcher& matcher, bool wanted) {
  std::vector<PairId> out;
  const auto matched = cache.Matching(tables, name, count, matcher);
  if (wanted == matcher.positive()) {
    out.reserve(matched.positions().size());
    for (const uint32_t i : matched.positions()) out.push_back(name.pairs[i]);
    return out;
  }
  size_t next = 0;
  for (const uint32_t i : matched.positions()) {
    for (; next < i; ++next) out.push_back(name.pairs[next]);
    next = i + size_t{1};
  }
  for (; next < count; ++next) out.push_back(name.pairs[next]);
  return out;
}

// `literal_pairs`: the pairs of the matcher's literals, if it has any.
Term MakeTerm(MatchCache& cache, const Tables& tables, const NameIndex* name, size_t value_count,
              const CompiledMatcher& matcher, std::vector<PairId> literal_pairs) {
  Term term;
  term.name = name;
  // A series without the label: is it in or out? That decides whether to name who stays or goes.
  term.include = !matcher.matches_empty();
  if (name == nullptr) return term;
  const bool positive = matcher.positive();
  switch (matcher.shape()) {
    case CompiledMatcher::Shape::kAll:
      // =~".*" keeps everything, !~".*" nothing: its complement is an empty union either way.
      return term;
    case CompiledMatcher::Shape::kNonEmpty:
      term.whole_name = true;
      return term;
    case CompiledMatcher::Shape::kLiterals: {
      // The literals are what is kept or removed as they stand, if "" is not among them on the
      // side that would need all other values.
      if (term.include == positive) {
        term.pairs = std::move(literal_pairs);
        return term;
      }
      // {a=""} and {a!=""} are the label's absence and presence.
      if (literal_pairs.empty()) {
        term.whole_name = true;
        return term;
      }
      break;
    }
    case CompiledMatcher::Shape::kExpression:
      break;
  }
  term.pairs = Filter(cache, tables, *name, value_count, matcher, term.include);
  return term;
}

// Carriers of a term, without repeats: a pair is in few shapes and groups, but pairs of one name
// are never together in one.
template <typename Fn>
void ForEachCarrier(const Term& term, const StableVector<PostingList>& carriers_of_pair,
                    const Fn& fn) {
  if (term.whole_name) {
    for (const CarrierId carrier : term.name->carriers) fn(carrier);
    return;
  }
  for (const PairId pair : term.pairs) carriers_of_pair[pair].ForEach(fn);
}

// What it costs to unite a term's series, about: a carrier is a cache miss or two, so this also
// says how many series there are at least.
uint64_t CarrierCount(const Term& term, const StableVector<PostingList>& carriers_of_pair) {
  if (term.whole_name) return term.name->carriers.cardinality();
  uint64_t n = 0;
  for (const PairId pair : term.pairs) n += carriers_of_pair[pair].cardinality();
  return n;
}

// For putting the rarest term first: exact where that is cheap.
uint64_t EstimateSeries(const Term& term, uint64_t carriers,
                        const StableVector<PostingList>& carriers_of_pair,
                        const StableVector<PostingList>& series_of_carrier) {
  constexpr uint64_t kCheap = 1024;
  if (carriers > kCheap) return UINT64_MAX / 2 + carriers;
  uint64_t n = 0;
  ForEachCarrier(term, carriers_of_pair,
                 [&](CarrierId carrier) { n += series_of_carrier[carrier].cardinality(); });
  return n;
}

Roaring Union(const Term& term, const StableVector<PostingList>& carriers_of_pair,
              const StableVector<PostingList>& series_of_carrier) {
  std::vector<const Roaring*> bitmaps;
  std::vector<uint32_t> few;
  ForEachCarrier(term, carriers_of_pair, [&](CarrierId carrier) {
    const PostingList& list = series_of_carrier[carrier];
    if (list.is_bitmap()) {
      bitmaps.push_back(&list.bitmap());
    } else {
      few.insert(few.end(), list.few().begin(), list.few().end());
    }
  });
  std::sort(few.begin(), few.end());
  Roaring out(few.size(), few.data());
  if (bitmaps.size() == 1) {
    out |= *bitmaps[0];
  } else if (!bitmaps.empty()) {
    out |= Roaring::fastunion(bitmaps.size(), bitmaps.data());
  }
  return out;
}

// Days as their numbers, clamped to what days can be.
std::optional<std::pair<uint16_t, uint16_t>> Days(TimeRange range) {
  if (range.max_ms < 0 || range.min_ms > range.max_ms) return std::nullopt;
  const int64_t first = std::max<int64_t>(range.min_ms, 0) / kMsPerDay;
  const int64_t last = range.max_ms / kMsPerDay;
  if (first > UINT16_MAX) return std::nullopt;
  return std::pair{static_cast<uint16_t>(first),
                   static_cast<uint16_t>(std::min<int64_t>(last, UINT16_MAX))};
}

// Cuts what was appended from `begin` on to the smallest `limit` + 1, so that the caller sees that
// there was more.
void KeepSmallest(size_t begin, size_t limit, std::vector<std::string_view>& out) {
  if (limit == 0 || out.size() - begin <= limit + 1) return;
  const auto first = out.begin() + static_cast<ptrdiff_t>(begin);
  std::nth_element(first, first + static_cast<ptrdiff_t>(limit), out.end());
  out.resize(begin + limit + 1);
}

}  // namespace

const TenantIndex* PartitionIndex::Impl::FindTenant(TenantId tenant) const {
  const auto it = tenants.find(tenant);
  return it == tenants.end() ? nullptr : &it->second;
}

const NameIndex* PartitionIndex::Impl::FindName(const TenantIndex& tenant,
                                                std::string_view name) const {
  const auto id = strings.find(name);
  if (id == strings.end()) return nullptr;
  const auto it = tenant.names.find(*id);
  return it == tenant.names.end() ? nullptr : it->second.get();
}

void PartitionIndex::Impl::KeepActive(TimeRange range, Roaring& set) const {
  const auto wanted = Days(range);
  const ReaderLock lock(activity_mu);
  std::vector<const Roaring*> bitmaps;
  if (wanted.has_value()) {
    for (auto it = days.lower_bound(wanted->first); it != days.end() && it->first <= wanted->second;
         ++it) {
      bitmaps.push_back(&it->second.series);
    }
  }
  if (bitmaps.empty()) {
    set = Roaring();
  } else if (bitmaps.size() == 1) {
    set &= *bitmaps[0];
  } else if (set.cardinality() <= kAskedByDay) {
    Roaring active;
    for (const Roaring* day : bitmaps) active |= set & *day;
    set = std::move(active);
  } else {
    set &= Roaring::fastunion(bitmaps.size(), bitmaps.data());
  }
}

void PartitionIndex::Impl::KeepByCarrier(const Term& term, Roaring& set) const {
  std::vector<bool> wanted(series_of_carrier.size());
  ForEachCarrier(term, carriers_of_pair, [&](CarrierId carrier) { wanted[carrier] = true; });
  std::vector<uint32_t> kept;
  kept.reserve(set.cardinality());
  for (const uint32_t ordinal : set) {
    const SeriesEntry& entry = tables->series[ordinal];
    const bool carried = wanted[group_carriers[static_cast<uint32_t>(entry.group)]] ||
                         wanted[shape_carriers[entry.shape]];
    if (carried == term.include) kept.push_back(ordinal);
  }
  set = Roaring(kept.size(), kept.data());
}

std::vector<bool> PartitionIndex::Impl::CarriersOf(const Roaring& set) const {
  // Each carrier has a series.
  if (set.cardinality() == tables->series.size())
    return std::vector<bool>(series_of_carrier.size(), true);
  std::vector<bool> found(series_of_carrier.size());
  if (set.cardinality() < found.size()) {
    for (const uint32_t ordinal : set) {
      const SeriesEntry& entry = tables->series[ordinal];
      found[group_carriers[static_cast<uint32_t>(entry.group)]] = true;
      found[shape_carriers[entry.shape]] = true;
    }
  } else {
    for (size_t c = 0; c < found.size(); ++c) found[c] = series_of_carrier[c].Intersects(set);
  }
  return found;
}

Result<Roaring> PartitionIndex::Impl::Match(TenantId tenant_id, const MatcherSet& matchers,
                                            TimeRange range) const {
  std::vector<CompiledMatcher> compiled;
  compiled.reserve(matchers.size());
  for (const Matcher& matcher : matchers) {
    BASALT_TRY_ASSIGN(CompiledMatcher made, CompiledMatcher::Compile(matcher));
    compiled.push_back(std::move(made));
  }

  struct Looked {
    const NameIndex* name = nullptr;
    size_t values = 0;
    std::vector<PairId> literals;
  };
  std::vector<Looked> looked(compiled.size());
  const TenantIndex* tenant = nullptr;
  size_t series_count = 0;
  {
    const ReaderLock lock(mu);
    tenant = FindTenant(tenant_id);
    if (tenant == nullptr) return Roaring();
    series_count = tables->series.size();
    for (size_t i = 0; i < compiled.size(); ++i) {
      Looked& at = looked[i];
      at.name = FindName(*tenant, compiled[i].name());
      if (at.name == nullptr) continue;
      at.values = at.name->pairs.size();
      for (const std::string& literal : compiled[i].literals()) {
        const auto value = strings.find(std::string_view(literal));
        if (literal.empty() || value == strings.end()) continue;
        const auto pair = pairs.find(LabelPair{at.name->name, *value, tenant_id});
        if (pair != pairs.end()) at.literals.push_back(*pair);
      }
    }
  }

  std::vector<Term> terms;
  for (size_t i = 0; i < compiled.size(); ++i) {
    Term term = MakeTerm(matched, *tables, looked[i].name, looked[i].values, compiled[i],
                         std::move(looked[i].literals));
    if (!IsNoOp(term)) terms.push_back(std::move(term));
  }

  const ReaderLock lock(mu);
  // Those that keep come first, the rarest before the others.
  struct Ordered {
    uint64_t carriers;
    uint64_t cardinality;
    const Term* term;
  };
  std::vector<Ordered> ordered;
  ordered.reserve(terms.size());
  for (const Term& term : terms) {
    const uint64_t carriers = CarrierCount(term, carriers_of_pair);
    ordered.push_back(
        {carriers, EstimateSeries(term, carriers, carriers_of_pair, series_of_carrier), &term});
  }
  std::stable_sort(ordered.begin(), ordered.end(), [](const Ordered& a, const Ordered& b) {
    if (a.term->include != b.term->include) return a.term->include;
    return a.cardinality < b.cardinality;
  });
  std::optional<Roaring> result;
  for (const auto& [carriers, cardinality, term] : ordered) {
    if (result.has_value() && result->isEmpty()) break;
    if (!result.has_value()) {
      // A label of a great many targets that mostly are gone: better to begin with who is active.
      if (term->include && carriers <= kMaxUnitedCarriers) {
        result = Union(*term, carriers_of_pair, series_of_carrier);
        continue;
      }
      result = tenant->series;
      KeepActive(range, *result);
    }
    if (result->cardinality() < SeriesAskedPerUnion(carriers, cardinality)) {
      KeepByCarrier(*term, *result);
    } else if (term->include) {
      *result &= Union(*term, carriers_of_pair, series_of_carrier);
    } else {
      *result -= Union(*term, carriers_of_pair, series_of_carrier);
    }
  }
  if (!result.has_value()) result = tenant->series;
  if (!result->isEmpty() && result->maximum() >= series_count) {
    Roaring old;
    old.addRange(0, series_count);
    *result &= old;
  }
  KeepActive(range, *result);
  return *std::move(result);
}

Result<Roaring> PartitionIndex::Impl::MatchAny(TenantId tenant,
                                               const std::vector<MatcherSet>& any_of,
                                               TimeRange range) const {
  if (any_of.empty()) return Match(tenant, {}, range);
  Roaring all;
  for (const MatcherSet& matchers : any_of) {
    BASALT_TRY_ASSIGN(const Roaring some, Match(tenant, matchers, range));
    all |= some;
  }
  return all;
}

namespace {

Status CheckSize(uint64_t found, size_t max_series) {
  if (found <= max_series) return OkStatus();
  return ResourceExhausted("selector matches " + std::to_string(found) +
                           " series of one partition, more than the limit of " +
                           std::to_string(max_series));
}

}  // namespace

Result<std::shared_ptr<const SeriesSet>> PartitionIndex::Select(TenantId tenant,
                                                                const MatcherSet& matchers,
                                                                TimeRange range,
                                                                size_t max_series) const {
  BASALT_TRY_ASSIGN(const Roaring found, impl_->Match(tenant, matchers, range));
  BASALT_TRY(CheckSize(found.cardinality(), max_series));
  return std::make_shared<const SeriesSet>(impl_->tables, impl_->order.Sorted(found));
}

Result<std::shared_ptr<const SeriesSet>> PartitionIndex::Series(
    TenantId tenant, const std::vector<MatcherSet>& any_of, TimeRange range,
    size_t max_series) const {
  BASALT_TRY_ASSIGN(const Roaring found, impl_->MatchAny(tenant, any_of, range));
  BASALT_TRY(CheckSize(found.cardinality(), max_series));
  return std::make_shared<const SeriesSet>(impl_->tables, impl_->order.Sorted(found));
}

Status PartitionIndex::LabelNames(TenantId tenant_id, const std::vector<MatcherSet>& any_of,
                                  TimeRange range, size_t limit,
                                  std::vector<std::string_view>& out) const {
  BASALT_TRY_ASSIGN(const Roaring matching, impl_->MatchAny(tenant_id, any_of, range));
  const size_t begin = out.size();
  {
    const ReaderLock lock(impl_->mu);
    const TenantIndex* const tenant = impl_->FindTenant(tenant_id);
    if (tenant == nullptr) return OkStatus();
    const std::vector<bool> carriers = impl_->CarriersOf(matching);
    for (const auto& [id, name] : tenant->names) {
      if (std::any_of(name->carriers.begin(), name->carriers.end(),
                      [&](CarrierId carrier) { return carriers[carrier]; })) {
        out.push_back(impl_->tables->String(id));
      }
    }
  }
  KeepSmallest(begin, limit, out);
  return OkStatus();
}

Status PartitionIndex::LabelValues(TenantId tenant_id, std::string_view name,
                                   const std::vector<MatcherSet>& any_of, TimeRange range,
                                   size_t limit, std::vector<std::string_view>& out) const {
  BASALT_TRY_ASSIGN(const Roaring matching, impl_->MatchAny(tenant_id, any_of, range));
  const size_t begin = out.size();
  {
    const ReaderLock lock(impl_->mu);
    const TenantIndex* const tenant = impl_->FindTenant(tenant_id);
    const NameIndex* const values = tenant == nullptr ? nullptr : impl_->FindName(*tenant, name);
    if (values == nullptr) return OkStatus();
    const std::vector<bool> carriers = impl_->CarriersOf(matching);
    for (size_t i = 0; i < values->pairs.size(); ++i) {
      const PairId pair = values->pairs[i];
      bool carried = false;
      impl_->carriers_of_pair[pair].ForEach(
          [&](CarrierId carrier) { carried = carried || carriers[carrier]; });
      if (carried) {
        out.push_back(impl_->tables->String(impl_->tables->Pair(pair).value));
      }
    }
  }
  KeepSmallest(begin, limit, out);
  return OkStatus();
}

uint64_t PartitionIndex::ActiveCount(TimeRange range) const {
  Roaring all;
  all.addRange(0, impl_->tables->series.size());
  impl_->KeepActive(range, all);
  return all.cardinality();
}

}  // namespace basalt::storage
