#include "engine/ingest/otlp/naming.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace basalt::ingest::otlp {
namespace {

struct MetricCase {
  const char* name;
  const char* unit;
  NameRole role;
  const char* with_suffixes;  // escaped
  const char* utf8;           // with suffixes
};

class MetricNames : public testing::TestWithParam<MetricCase> {};

TEST_P(MetricNames, FollowTheCompatibilityRules) {
  const MetricCase& c = GetParam();
  EXPECT_EQ(
      MetricName(Translation::kUnderscoreEscapingWithSuffixes, c.name, c.unit, c.role).value(),
      c.with_suffixes);
  EXPECT_EQ(MetricName(Translation::kNoUtf8EscapingWithSuffixes, c.name, c.unit, c.role).value(),
            c.utf8);
  EXPECT_EQ(MetricName(Translation::kNoTranslation, c.name, c.unit, c.role).value(), c.name);
}

constexpr NameRole kGauge = NameRole::kGauge;
constexpr NameRole kCounter = NameRole::kMonotonicCounter;
constexpr NameRole kOther = NameRole::kOther;

INSTANTIATE_TEST_SUITE_P(
    Table, MetricNames,
    testing::Values(
        MetricCase{"http.server.duration", "s", kOther, "http_server_duration_seconds",
                   "http.server.duration_seconds"},
        MetricCase{"requests", "", kCounter, "requests_total", "requests_total"},
        MetricCase{"requests.total", "", kCounter, "requests_total", "requests_total"},
        MetricCase{"requests_total_failed", "", kCounter, "requests_failed_total",
                   "requests_total_failed_total"},
        MetricCase{"cpu.utilization", "1", kGauge, "cpu_utilization_ratio",
                   "cpu.utilization_ratio"},
        MetricCase{"cpu.utilization", "1", kCounter, "cpu_utilization_total",
                   "cpu.utilization_total"},
        MetricCase{"net.io", "By", kCounter, "net_io_bytes_total", "net.io_bytes_total"},
        MetricCase{"net.bytes", "By", kCounter, "net_bytes_total", "net.bytes_total"},
        MetricCase{"net.rate", "By/s", kGauge, "net_rate_bytes_per_second",
                   "net.rate_bytes_per_second"},
        MetricCase{"queue.size", "{message}", kGauge, "queue_size", "queue.size"},
        MetricCase{"queue.drain", "{message}/s", kGauge, "queue_drain_per_second",
                   "queue.drain_per_second"},
        MetricCase{"odd.unit", "mm2", kGauge, "odd_unit_mm2", "odd.unit_mm2"},
        MetricCase{"a__b..c", "", kGauge, "a_b_c", "a__b..c"},
        MetricCase{"2xx.responses", "", kCounter, "_2xx_responses_total", "2xx.responses_total"},
        MetricCase{"caf\xC3\xA9.open", "", kGauge, "caf_open", "caf\xC3\xA9.open"},
        MetricCase{"job:already_fine", "", kOther, "job:already_fine", "job:already_fine"}));

TEST(MetricNames, EscapingWithoutSuffixesKeepsUnderscores) {
  const auto name = [](std::string_view text) {
    return MetricName(Translation::kUnderscoreEscapingWithoutSuffixes, text, "s", kCounter);
  };
  EXPECT_EQ(name("a__b..c").value(), "a__b_c");
  EXPECT_EQ(name("7up").value(), "_7up");
  EXPECT_EQ(name("plain").value(), "plain");
}

TEST(MetricNames, NothingButUnderscoresIsNoName) {
  for (const char* name : {"...", "\xC3\xA9\xC3\xA9", ""}) {
    const auto result = MetricName(Translation::kUnderscoreEscapingWithSuffixes, name, "", kGauge);
    EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument) << name;
  }
}

TEST(LabelNames, AreEscaped) {
  constexpr LabelNaming kPrometheus = {
      .escape = true, .keep_underscore_runs = true, .prefix_leading_underscore = true};
  constexpr LabelNaming kStrict = {.escape = true};
  struct Case {
    const char* name;
    const char* prometheus;
    const char* strict;
  };
  for (const Case& c :
       {Case{"service.name", "service_name", "service_name"}, Case{"a..b", "a__b", "a_b"},
        Case{"1st", "key_1st", "key_1st"}, Case{"_hidden", "key_hidden", "_hidden"},
        Case{"__reserved..x__", "__reserved__x__", "__reserved_x__"},
        Case{"caf\xC3\xA9!", "caf__", "caf_"}}) {
    EXPECT_EQ(LabelName(kPrometheus, c.name).value(), c.prometheus) << c.name;
    EXPECT_EQ(LabelName(kStrict, c.name).value(), c.strict) << c.name;
    EXPECT_EQ(LabelName({.escape = false}, c.name).value(), c.name);
  }
}

TEST(LabelNames, NothingButUnderscoresIsNoName) {
  for (const char* name : {"", "...", "_", "____"}) {
    EXPECT_FALSE(LabelName({.escape = true}, name).ok()) << name;
    EXPECT_FALSE(LabelName({.escape = true, .keep_underscore_runs = true}, name).ok()) << name;
  }
  EXPECT_FALSE(LabelName({.escape = false}, "__").ok());
  // A character's continuation bytes without its first one leave nothing at all.
  EXPECT_FALSE(LabelName({.escape = true, .keep_underscore_runs = true}, "\x80\x80").ok());
}

TEST(Units, AreWords) {
  EXPECT_EQ(UnitName("s"), "seconds");
  EXPECT_EQ(UnitName("By/s"), "bytes_per_second");
  EXPECT_EQ(UnitName("{request}/min"), "per_min");
  EXPECT_EQ(UnitName("1"), "");
  EXPECT_EQ(UnitName("%"), "percent");
}

TEST(Translations, AreNamedAsInPrometheus) {
  for (const Translation t :
       {Translation::kUnderscoreEscapingWithSuffixes,
        Translation::kUnderscoreEscapingWithoutSuffixes, Translation::kNoUtf8EscapingWithSuffixes,
        Translation::kNoTranslation}) {
    EXPECT_EQ(ParseTranslation(TranslationName(t)).value(), t);
  }
  EXPECT_THAT(ParseTranslation("nothing").status().message(), testing::HasSubstr("NoTranslation"));
}

}  // namespace
}  // namespace basalt::ingest::otlp
