#include "storage/cardinality.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace basalt::storage {
namespace {

// The `limit` largest of what it is given, first by count, then by name.
class Largest {
 public:
  explicit Largest(size_t limit) : limit_(limit) {}

  // `name()` is only made for what may be among them.
  template <typename Name>
  void Add(uint64_t count, const Name& name) {
    if (limit_ == 0) return;
    if (heap_.size() == limit_ && count < heap_.front().count) return;
    LabelCount one{.name = name(), .count = count};
    if (heap_.size() == limit_) {
      if (!Before(one, heap_.front())) return;
      std::pop_heap(heap_.begin(), heap_.end(), Before);
      heap_.pop_back();
    }
    heap_.push_back(std::move(one));
    std::push_heap(heap_.begin(), heap_.end(), Before);
  }
  std::vector<LabelCount> Take() {
    std::sort_heap(heap_.begin(), heap_.end(), Before);
    return std::move(heap_);
  }

 private:
  static bool Before(const LabelCount& a, const LabelCount& b) {
    return a.count != b.count ? a.count > b.count : a.name < b.name;
  }
  const size_t limit_;
  std::vector<LabelCount> heap_;  // the last of them in front
};

}  // namespace

Cardinality CardinalityCounter::Finish(size_t limit) const {
  Cardinality out;
  out.series = series_;
  Largest metrics(limit);
  Largest names(limit);
  Largest bytes(limit);
  Largest pairs(limit);
  for (const auto& [name, values] : names_) {
    uint64_t value_bytes = 0;
    for (const auto& [value, series] : values) {
      value_bytes += value.size() * series;
      if (name == kMetricName) metrics.Add(series, [&v = value] { return std::string(v); });
      pairs.Add(series, [&n = name, &v = value] { return std::string(n) + "=" + std::string(v); });
    }
    out.label_pairs += values.size();
    names.Add(values.size(), [&n = name] { return std::string(n); });
    bytes.Add(value_bytes, [&n = name] { return std::string(n); });
  }
  out.series_by_metric = metrics.Take();
  out.values_by_label = names.Take();
  out.bytes_by_label = bytes.Take();
  out.series_by_pair = pairs.Take();
  return out;
}

// By the labels of every series: right for every snapshot, and what the store's own way is tested
// against.
Result<Cardinality> Snapshot::CountLabels(TenantId tenant, const std::vector<MatcherSet>& any_of,
                                          TimeRange range, size_t limit) const {
  bool truncated = false;
  BASALT_TRY_ASSIGN(const std::vector<Labels> all, Series(tenant, any_of, range, 0, truncated));
  CardinalityCounter counter;
  counter.AddSeries(all.size());
  for (const Labels& labels : all) {
    for (const Label& label : labels) counter.Add(label.name, label.value, 1);
  }
  return counter.Finish(limit);
}

}  // namespace basalt::storage
