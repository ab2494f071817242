#include "engine/base/metrics.h"

#include <gtest/gtest.h>

namespace basalt::metrics {
namespace {

TEST(Registry, RendersTheTextFormat) {
  Registry registry;
  registry.AddCounter("b_total", "Things.\nMany.", {{"kind", "a\"b"}}).Add(3);
  registry.AddGauge("a", "A level.").Set(-0.5);
  registry.AddHistogram("h_seconds", "Time.", {0.1, 1}).Observe(0.1);
  registry.AddHistogram("h_seconds", "Time.", {0.1, 1}).Observe(5);
  registry.AddCollector([](std::vector<Family>& out) {
    AppendValue(out, "z", "Late.", Type::kGauge, 1e300 * 1e300);
  });
  EXPECT_EQ(RenderText(registry.Collect()),
            "# HELP a A level.\n# TYPE a gauge\na -0.5\n"
            "# HELP b_total Things.\\nMany.\n# TYPE b_total counter\nb_total{kind=\"a\\\"b\"} 3\n"
            "# HELP h_seconds Time.\n# TYPE h_seconds histogram\n"
            "h_seconds_bucket{le=\"0.1\"} 1\nh_seconds_bucket{le=\"1\"} "
            "1\nh_seconds_bucket{le=\"+Inf\"} 2\n"
            "h_seconds_sum 5.1\nh_seconds_count 2\n"
            "# HELP z Late.\n# TYPE z gauge\nz +Inf\n");
}

TEST(Registry, GivesTheSameInstrumentForTheSameNameAndLabels) {
  Registry registry;
  EXPECT_EQ(&registry.AddCounter("c_total", "C."), &registry.AddCounter("c_total", "C."));
  EXPECT_NE(&registry.AddCounter("c_total", "C."),
            &registry.AddCounter("c_total", "C.", {{"a", "b"}}));
}

}  // namespace
}  // namespace basalt::metrics
