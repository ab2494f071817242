#include "engine/base/metrics.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace basalt::metrics {
namespace {

constexpr std::array<std::string_view, 3> kTypeNames = {"counter", "gauge", "histogram"};

std::string FormatValue(double v) {
  if (std::isnan(v)) return "NaN";
  if (std::isinf(v)) return v > 0 ? "+Inf" : "-Inf";
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), v).ptr};
}

void AppendEscaped(std::string_view text, bool quote, std::string& out) {
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\\' || (quote && c == '"')) {
      out += '\\';
      out += c;
    } else {
      out += c;
    }
  }
}

Labels Named(std::string_view name, const Labels& labels) {
  Labels named = labels;
  named.Set(kMetricName, name);
  return named;
}

void AppendHistogram(const std::string& name, const Labels& labels, const Histogram& histogram,
                     Family& family) {
  uint64_t total = 0;
  for (size_t i = 0; i <= histogram.bounds().size(); ++i) {
    total += histogram.bucket(i);
    Labels bucket = Named(name + "_bucket", labels);
    bucket.Set("le", i < histogram.bounds().size() ? FormatValue(histogram.bounds()[i]) : "+Inf");
    family.samples.push_back({std::move(bucket), static_cast<double>(total)});
  }
  family.samples.push_back({Named(name + "_sum", labels), histogram.sum()});
  family.samples.push_back({Named(name + "_count", labels), static_cast<double>(total)});
}

}  // namespace

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), buckets_(bounds_.size() + 1) {
  BASALT_CHECK(std::is_sorted(bounds_.begin(), bounds_.end()), "histogram bounds rise");
}

void Histogram::Observe(double v) {
  const auto i = std::lower_bound(bounds_.begin(), bounds_.end(), v) - bounds_.begin();
  buckets_[static_cast<size_t>(i)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(v, std::memory_order_relaxed);
}

std::vector<double> DurationBounds() {
  return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
}

Registry::Instrument& Registry::Find(std::string_view name, std::string_view help, Type type,
                                     const Labels& labels) {
  auto entry = std::find_if(entries_.begin(), entries_.end(),
                            [&](const auto& e) { return e->name == name; });
  if (entry == entries_.end()) {
    entries_.push_back(
        std::make_unique<Entry>(Entry{std::string(name), std::string(help), type, {}}));
    entry = entries_.end() - 1;
  }
  BASALT_CHECK((*entry)->type == type, name);
  for (const auto& instrument : (*entry)->instruments) {
    if (instrument->labels == labels) return *instrument;
  }
  (*entry)->instruments.push_back(std::make_unique<Instrument>());
  (*entry)->instruments.back()->labels = labels;
  return *(*entry)->instruments.back();
}

Counter& Registry::AddCounter(std::string_view name, std::string_view help, const Labels& labels) {
  const MutexLock lock(mu_);
  Instrument& instrument = Find(name, help, Type::kCounter, labels);
  if (instrument.counter == nullptr) instrument.counter = std::make_unique<Counter>();
  return *instrument.counter;
}

Gauge& Registry::AddGauge(std::string_view name, std::string_view help, const Labels& labels) {
  const MutexLock lock(mu_);
  Instrument& instrument = Find(name, help, Type::kGauge, labels);
  if (instrument.gauge == nullptr) instrument.gauge = std::make_unique<Gauge>();
  return *instrument.gauge;
}

Histogram& Registry::AddHistogram(std::string_view name, std::string_view help,
                                  std::vector<double> bounds, const Labels& labels) {
  const MutexLock lock(mu_);
  Instrument& instrument = Find(name, help, Type::kHistogram, labels);
  if (instrument.histogram == nullptr)
    instrument.histogram = std::make_unique<Histogram>(std::move(bounds));
  return *instrument.histogram;
}

void Registry::AddCollector(Collector collector) {
  const MutexLock lock(mu_);
  collectors_.push_back(std::move(collector));
}

std::vector<Family> Registry::Collect() const {
  std::vector<Family> families;
  std::vector<Collector> collectors;
  {
    const MutexLock lock(mu_);
    for (const auto& entry : entries_) {
      Family family{entry->name, entry->help, entry->type, {}};
      for (const auto& instrument : entry->instruments) {
        if (instrument->counter != nullptr) {
          family.samples.push_back({Named(entry->name, instrument->labels),
                                    static_cast<double>(instrument->counter->value())});
        } else if (instrument->gauge != nullptr) {
          family.samples.push_back(
              {Named(entry->name, instrument->labels), instrument->gauge->value()});
        } else if (instrument->histogram != nullptr) {
          AppendHistogram(entry->name, instrument->labels, *instrument->histogram, family);
        }
      }
      families.push_back(std::move(family));
    }
    collectors = collectors_;
  }
  // Outside the lock: a collector may take locks of its own, and may count.
  for (const Collector& collector : collectors) collector(families);
  std::stable_sort(families.begin(), families.end(),
                   [](const Family& a, const Family& b) { return a.name < b.name; });
  return families;
}

void AppendValue(std::vector<Family>& families, std::string_view name, std::string_view help,
                 Type type, double value, const Labels& labels) {
  if (families.empty() || families.back().name != name) {
    families.push_back({std::string(name), std::string(help), type, {}});
  }
  families.back().samples.push_back({Named(name, labels), value});
}

std::string RenderText(const std::vector<Family>& families) {
  std::string out;
  for (const Family& family : families) {
    out += "# HELP ";
    out += family.name;
    out += ' ';
    AppendEscaped(family.help, false, out);
    out += "\n# TYPE ";
    out += family.name;
    out += ' ';
    out += kTypeNames[static_cast<size_t>(family.type)];
    out += '\n';
    for (const Sample& sample : family.samples) {
      out += sample.labels.metric_name();
      char open = '{';
      for (const Label& label : sample.labels) {
        if (label.name == kMetricName) continue;
        out += open;
        open = ',';
        out += label.name;
        out += "=\"";
        AppendEscaped(label.value, true, out);
        out += '"';
      }
      if (open == ',') out += '}';
      out += ' ';
      out += FormatValue(sample.value);
      out += '\n';
    }
  }
  return out;
}

}  // namespace basalt::metrics
