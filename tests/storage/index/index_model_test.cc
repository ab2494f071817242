// The index against a model that keeps label sets in a list and asks every one of them.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <re2/re2.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "storage/index/index.h"
#include "storage/resolver.h"
#include "tests/storage/index/memory_source.h"

namespace basalt::storage {
namespace {

constexpr uint16_t kFirstDay = 100;
constexpr uint16_t kDays = 3;

struct Operation {
  TenantId tenant;
  Labels labels;
  uint16_t day;
};

rc::Gen<std::string> Value() {
  return rc::gen::element<std::string>("", "a", "b", "api-1", "api-2", "0.5", "1", "10", "+Inf",
                                       "x\ny");
}

rc::Gen<Operation> AnyOperation() {
  return rc::gen::exec([] {
    Operation op;
    op.tenant = TenantId{*rc::gen::inRange<uint32_t>(0, 2)};
    std::vector<Label> labels{
        {"__name__", *rc::gen::element<std::string>("up", "m", "m_bucket", "")}};
    for (const char* name : {"job", "instance", "pod", "le", "Zone", "path"})
      labels.push_back({name, *Value()});
    op.labels = Labels(labels);
    if (op.labels.empty()) op.labels.Set("job", "only");
    op.day = static_cast<uint16_t>(kFirstDay + *rc::gen::inRange(0, int{kDays}));
    return op;
  });
}

rc::Gen<Matcher> AnyMatcher() {
  return rc::gen::exec([] {
    Matcher m;
    m.name = *rc::gen::element<std::string>("__name__", "job", "instance", "pod", "le", "Zone",
                                            "nosuch");
    m.type = *rc::gen::element(MatchType::kEqual, MatchType::kNotEqual, MatchType::kRegex,
                               MatchType::kNotRegex);
    if (m.type == MatchType::kEqual || m.type == MatchType::kNotEqual) {
      m.value = *rc::gen::element<std::string>("", "a", "b", "up", "m", "api-1", "unseen");
    } else {
      m.value = *rc::gen::element<std::string>("", ".*", ".+", "a", "a|b", "a|", "(up|m)", "api-.*",
                                               "api-[12]", "m.*", "x.y", "[0-9.]+", "|.*b",
                                               "unseen|a", "unseen|", "[^a]*");
    }
    return m;
  });
}

bool Holds(const Matcher& m, const Labels& labels) {
  const std::string value(labels.Get(m.name));
  switch (m.type) {
    case MatchType::kEqual:
      return value == m.value;
    case MatchType::kNotEqual:
      return value != m.value;
    case MatchType::kRegex:
      return RE2::FullMatch(value, "(?s:" + m.value + ")");
    case MatchType::kNotRegex:
      return !RE2::FullMatch(value, "(?s:" + m.value + ")");
  }
  return false;
}

struct Model {
  struct Series {
    TenantId tenant;
    Labels labels;
    std::set<uint16_t> days;
  };
  std::vector<Series> series;

  SeriesOrdinal Apply(const Operation& op) {
    for (size_t i = 0; i < series.size(); ++i) {
      if (series[i].tenant == op.tenant && series[i].labels == op.labels) {
        series[i].days.insert(op.day);
        return SeriesOrdinal{static_cast<uint32_t>(i)};
      }
    }
    series.push_back({op.tenant, op.labels, {op.day}});
    return SeriesOrdinal{static_cast<uint32_t>(series.size() - 1)};
  }
  [[nodiscard]] std::set<SeriesOrdinal> Select(TenantId tenant,
                                               const std::vector<MatcherSet>& any_of,
                                               uint16_t first, uint16_t last) const {
    std::set<SeriesOrdinal> out;
    for (size_t i = 0; i < series.size(); ++i) {
      const Series& s = series[i];
      const auto day = s.days.lower_bound(first);
      if (s.tenant != tenant || day == s.days.end() || *day > last) continue;
      const bool match =
          any_of.empty() || std::any_of(any_of.begin(), any_of.end(), [&](const MatcherSet& set) {
            return std::all_of(set.begin(), set.end(),
                               [&](const Matcher& m) { return Holds(m, s.labels); });
          });
      if (match) out.insert(SeriesOrdinal{static_cast<uint32_t>(i)});
    }
    return out;
  }
};

SeriesOrdinal Apply(PartitionIndex& index, const Operation& op) {
  std::string canonical;
  AppendCanonical(op.labels, canonical);
  const SeriesOrdinal ordinal =
      index.Insert(op.tenant, MakeSeriesId(op.tenant, canonical), canonical).value();
  index.MarkActive(ordinal, op.day);
  return ordinal;
}

std::set<std::string> Unique(const std::vector<std::string_view>& v) { return {v.begin(), v.end()}; }

void CheckAgainstModel(const PartitionIndex& index, const Model& model) {
  const auto first = static_cast<uint16_t>(kFirstDay + *rc::gen::inRange(0, int{kDays}));
  const auto last = static_cast<uint16_t>(first + *rc::gen::inRange(0, int{kDays}));
  const TimeRange range{first * kMsPerDay + 5, last * kMsPerDay + 7};
  const TenantId tenant{*rc::gen::inRange<uint32_t>(0, 2)};
  const auto matchers = *rc::gen::resize(4, rc::gen::container<MatcherSet>(AnyMatcher()));
  const auto others = *rc::gen::resize(2, rc::gen::container<MatcherSet>(AnyMatcher()));

  const auto expected = model.Select(tenant, {matchers}, first, last);
  const auto set = index.Select(tenant, matchers, range, SIZE_MAX).value();
  RC_ASSERT(std::set<SeriesOrdinal>(set->ordinals().begin(), set->ordinals().end()) == expected);
  RC_ASSERT(set->size() == expected.size());
  for (size_t i = 0; i < set->size(); ++i) {
    const Labels& labels = model.series[static_cast<uint32_t>(set->ordinal(i))].labels;
    RC_ASSERT(set->labels(i) == labels);
    for (const Label& l : labels) RC_ASSERT(set->label(i, l.name) == l.value);
    RC_ASSERT(set->label(i, "nosuch").empty());
    if (i > 0) {
      RC_ASSERT(index.Before(set->ordinal(i - 1), set->ordinal(i)));
      RC_ASSERT(!index.Before(set->ordinal(i), set->ordinal(i - 1)));
    }
  }

  const auto any = model.Select(tenant, {matchers, others}, first, last);
  const auto listed = index.Series(tenant, {matchers, others}, range, SIZE_MAX).value();
  RC_ASSERT(std::set<SeriesOrdinal>(listed->ordinals().begin(), listed->ordinals().end()) == any);

  std::set<std::string> names;
  std::set<std::string> values;
  for (const SeriesOrdinal o : any) {
    for (const Label& l : model.series[static_cast<uint32_t>(o)].labels) names.insert(l.name);
    const std::string_view job = model.series[static_cast<uint32_t>(o)].labels.Get("job");
    if (!job.empty()) values.emplace(job);
  }
  std::map<std::pair<std::string, std::string>, uint64_t> pairs;
  for (const SeriesOrdinal o : any) {
    for (const Label& l : model.series[static_cast<uint32_t>(o)].labels) ++pairs[{l.name, l.value}];
  }
  std::map<std::pair<std::string, std::string>, uint64_t> counted;
  const auto series = index.CountLabels(
      tenant, {matchers, others}, range, [&](const LabelView& label, uint64_t count) {
        counted[{std::string(label.name), std::string(label.value)}] += count;
      });
  RC_ASSERT(series.value() == any.size());
  RC_ASSERT(counted == pairs);

  std::vector<std::string_view> out;
  RC_ASSERT(index.LabelNames(tenant, {matchers, others}, range, 0, out).ok());
  RC_ASSERT(Unique(out) == names);
  RC_ASSERT(out.size() == names.size());
  out.clear();
  RC_ASSERT(index.LabelValues(tenant, "job", {matchers, others}, range, 0, out).ok());
  RC_ASSERT(Unique(out) == values);
}

RC_GTEST_PROP(IndexModel, SelectsWhatAListOfLabelSetsWould, ()) {
  PartitionIndex index{PartitionId{1}};
  Model model;
  for (const Operation& op : *rc::gen::container<std::vector<Operation>>(AnyOperation())) {
    RC_ASSERT(Apply(index, op) == model.Apply(op));
  }
  CheckAgainstModel(index, model);
}

RC_GTEST_PROP(IndexModel, IsTheSameAfterAnyNumberOfFlushesAndALoad, ()) {
  PartitionIndex index{PartitionId{2}};
  PartitionIndex twin{PartitionId{2}};
  Model model;
  MemorySource disk;
  MemorySource twin_disk;
  IndexCounts counts;
  for (const Operation& op : *rc::gen::container<std::vector<Operation>>(AnyOperation())) {
    Apply(index, op);
    Apply(twin, op);
    model.Apply(op);
    if (*rc::gen::inRange(0, 4) == 0) {
      const IndexFlush flush = index.PrepareFlush();
      disk.Apply(flush);
      index.FlushCommitted(flush);
    }
  }
  const IndexFlush flush = index.PrepareFlush();
  disk.Apply(flush);
  counts = flush.counts;
  // One flush at the end leaves the same bytes as many on the way.
  const IndexFlush twin_flush = twin.PrepareFlush();
  twin_disk.Apply(twin_flush);
  RC_ASSERT(twin_flush.counts == counts);
  RC_ASSERT(twin_disk.keys == disk.keys);

  PartitionIndex loaded{PartitionId{2}};
  RC_ASSERT(loaded.Load(disk, counts).ok());
  CheckAgainstModel(loaded, model);
  RC_ASSERT(loaded.PrepareFlush().writes.empty());
  for (uint32_t o = 0; o < model.series.size(); ++o) {
    const SeriesOrdinal ordinal{o};
    RC_ASSERT(loaded.id(ordinal) == index.id(ordinal));
    RC_ASSERT(loaded.place(ordinal) == index.place(ordinal));
    RC_ASSERT(loaded.Find(index.id(ordinal)) == ordinal);
  }
  const Operation more = *AnyOperation();
  RC_ASSERT(Apply(loaded, more) == Apply(index, more));
}

}  // namespace
}  // namespace basalt::storage
