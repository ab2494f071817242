// Relabelling as Prometheus' model/relabel has it; the expected values were computed by hand from
// its rules, the hashes with `printf '%s' VALUE | md5sum`.
#include "engine/notify/relabel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace basalt::notify {
namespace {

struct RelabelCase {
  const char* name;
  Labels in;
  std::vector<RelabelSpec> specs;
  std::optional<Labels> out;  // none: dropped
};
class RelabelTable : public testing::TestWithParam<RelabelCase> {};

TEST_P(RelabelTable, GivesTheLabelsThatPrometheusGives) {
  RelabelRules rules;
  for (const RelabelSpec& spec : GetParam().specs) {
    auto rule = RelabelRule::Make(spec);
    ASSERT_TRUE(rule.ok()) << rule.status().ToString();
    rules.push_back(*std::move(rule));
  }
  Labels labels = GetParam().in;
  const bool kept = Relabel(rules, labels);
  EXPECT_EQ(kept, GetParam().out.has_value());
  EXPECT_EQ(labels, GetParam().out.value_or(GetParam().in)) << "dropped labels are left alone";
}

RelabelSpec Spec(RelabelAction action) {
  RelabelSpec spec;
  spec.action = action;
  return spec;
}
RelabelSpec Replace(std::vector<std::string> from, std::string regex, std::string to,
                    std::string replacement) {
  RelabelSpec spec;
  spec.source_labels = std::move(from);
  spec.regex = std::move(regex);
  spec.target_label = std::move(to);
  spec.replacement = std::move(replacement);
  return spec;
}
RelabelSpec Filter(RelabelAction action, std::vector<std::string> from, std::string regex) {
  RelabelSpec spec = Spec(action);
  spec.source_labels = std::move(from);
  spec.regex = std::move(regex);
  return spec;
}
RelabelSpec Equal(RelabelAction action, std::vector<std::string> from, std::string to) {
  RelabelSpec spec = Spec(action);
  spec.source_labels = std::move(from);
  spec.target_label = std::move(to);
  return spec;
}
RelabelSpec Map(RelabelAction action, std::string regex, std::string replacement = "$1") {
  RelabelSpec spec = Spec(action);
  spec.regex = std::move(regex);
  spec.replacement = std::move(replacement);
  return spec;
}
RelabelSpec HashMod(std::vector<std::string> from, std::string to, uint64_t modulus) {
  RelabelSpec spec = Equal(RelabelAction::kHashMod, std::move(from), std::move(to));
  spec.modulus = modulus;
  return spec;
}

const Labels kAbc = {{"a", "foo"}, {"b", "bar"}, {"c", "baz"}};

INSTANTIATE_TEST_SUITE_P(
    Table, RelabelTable,
    testing::Values(
        RelabelCase{"replace_expands_groups",
                    kAbc,
                    {Replace({"a"}, "f(.*)", "d", "ch${1}-ch$1")},
                    Labels{{"a", "foo"}, {"b", "bar"}, {"c", "baz"}, {"d", "choo-choo"}}},
        RelabelCase{"the_whole_value_has_to_match", kAbc, {Replace({"a"}, "fo", "d", "x")}, kAbc},
        RelabelCase{"sources_are_joined",
                    kAbc,
                    {Replace({"a", "b"}, "foo;(.*)", "a", "$1")},
                    Labels{{"a", "bar"}, {"b", "bar"}, {"c", "baz"}}},
        RelabelCase{"an_absent_source_is_empty",
                    kAbc,
                    {Replace({"x", "a"}, ";(.*)", "d", "$1")},
                    Labels{{"a", "foo"}, {"b", "bar"}, {"c", "baz"}, {"d", "foo"}}},
        RelabelCase{"nothing_to_replace_with_removes",
                    kAbc,
                    {Replace({"a"}, "(f).*", "a", "$2")},
                    Labels{{"b", "bar"}, {"c", "baz"}}},
        RelabelCase{"no_source_sets_a_constant",
                    kAbc,
                    {Replace({}, "(.*)", "d", "k")},
                    Labels{{"a", "foo"}, {"b", "bar"}, {"c", "baz"}, {"d", "k"}}},
        RelabelCase{"the_target_is_a_template",
                    kAbc,
                    {Replace({"a"}, "(f)(.*)", "${1}_$2", "x")},
                    Labels{{"a", "foo"}, {"b", "bar"}, {"c", "baz"}, {"f_oo", "x"}}},
        RelabelCase{
            "an_empty_target_does_nothing", kAbc, {Replace({"a"}, "f(x)?oo", "$1", "x")}, kAbc},
        RelabelCase{"a_name_runs_as_far_as_it_can",
                    kAbc,
                    {Replace({"a"}, "(f)oo", "d", "<$1x>")},
                    Labels{{"a", "foo"}, {"b", "bar"}, {"c", "baz"}, {"d", "<>"}}},
        RelabelCase{"groups_have_names",
                    kAbc,
                    {Replace({"a"}, "(?P<first>f)(?P<rest>.*)", "d", "$rest-${first}")},
                    Labels{{"a", "foo"}, {"b", "bar"}, {"c", "baz"}, {"d", "oo-f"}}},
        RelabelCase{"two_dollars_are_one",
                    kAbc,
                    {Replace({"a"}, "(.*)", "d", "$$1 $")},
                    Labels{{"a", "foo"}, {"b", "bar"}, {"c", "baz"}, {"d", "$1 $"}}},
        RelabelCase{"a_dot_is_a_new_line_too",
                    Labels{{"a", "x\ny"}},
                    {Replace({"a"}, "(x.y)", "d", "hit")},
                    Labels{{"a", "x\ny"}, {"d", "hit"}}},
        RelabelCase{"alternatives_are_anchored_together",
                    kAbc,
                    {Filter(RelabelAction::kDrop, {"a"}, "f|o")},
                    kAbc},
        RelabelCase{
            "drop_drops", kAbc, {Filter(RelabelAction::kDrop, {"a"}, ".*o.*")}, std::nullopt},
        RelabelCase{"drop_keeps_the_rest", kAbc, {Filter(RelabelAction::kDrop, {"a"}, "o")}, kAbc},
        RelabelCase{
            "keep_keeps", kAbc, {Filter(RelabelAction::kKeep, {"a", "b"}, "foo;bar")}, kAbc},
        RelabelCase{
            "keep_drops_the_rest", kAbc, {Filter(RelabelAction::kKeep, {"a"}, "no")}, std::nullopt},
        RelabelCase{"rules_run_in_order",
                    kAbc,
                    {Replace({"a"}, "(.*)", "d", "$1"), Filter(RelabelAction::kDrop, {"d"}, "foo"),
                     Replace({"b"}, "(.*)", "never", "$1")},
                    std::nullopt},
        RelabelCase{"keepequal_keeps",
                    Labels{{"a", "x"}, {"b", "x"}},
                    {Equal(RelabelAction::kKeepEqual, {"a"}, "b")},
                    Labels{{"a", "x"}, {"b", "x"}}},
        RelabelCase{
            "keepequal_drops", kAbc, {Equal(RelabelAction::kKeepEqual, {"a"}, "b")}, std::nullopt},
        RelabelCase{"dropequal_drops",
                    Labels{{"a", "x"}, {"b", "x"}},
                    {Equal(RelabelAction::kDropEqual, {"a"}, "b")},
                    std::nullopt},
        RelabelCase{"dropequal_keeps", kAbc, {Equal(RelabelAction::kDropEqual, {"a"}, "b")}, kAbc},
        RelabelCase{
            "labelmap_copies",
            Labels{{"__meta_a", "1"}, {"__meta_b", "2"}, {"c", "3"}},
            {Map(RelabelAction::kLabelMap, "__meta_(.*)")},
            Labels{{"__meta_a", "1"}, {"__meta_b", "2"}, {"a", "1"}, {"b", "2"}, {"c", "3"}}},
        RelabelCase{"labelmap_with_a_template",
                    Labels{{"m_x_y", "1"}},
                    {Map(RelabelAction::kLabelMap, "m_(.*)_(.*)", "${2}_$1")},
                    Labels{{"m_x_y", "1"}, {"y_x", "1"}}},
        RelabelCase{"labeldrop_drops_names",
                    kAbc,
                    {Map(RelabelAction::kLabelDrop, "a|b")},
                    Labels{{"c", "baz"}}},
        RelabelCase{"labelkeep_keeps_names",
                    kAbc,
                    {Map(RelabelAction::kLabelKeep, "a|b")},
                    Labels{{"a", "foo"}, {"b", "bar"}}},
        RelabelCase{"lowercase",
                    Labels{{"a", "FoO-ÄÖ-ΣΩ-Ж"}},
                    {Equal(RelabelAction::kLowercase, {"a"}, "l")},
                    Labels{{"a", "FoO-ÄÖ-ΣΩ-Ж"}, {"l", "foo-äö-σω-ж"}}},
        RelabelCase{"uppercase",
                    Labels{{"a", "bar"}, {"b", "ñ"}},
                    {Equal(RelabelAction::kUppercase, {"a", "b"}, "u")},
                    Labels{{"a", "bar"}, {"b", "ñ"}, {"u", "BAR;Ñ"}}}),
    [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(Relabel, HashModIsTheLastEightBytesOfMd5) {
  // md5("foo") = acbd18db4cc2f85cedef654fccc4a4d8
  for (const auto& [modulus, expected] :
       {std::pair<uint64_t, std::string>{1000, std::to_string(0xedef654fccc4a4d8U % 1000)},
        {1, "0"},
        {UINT64_MAX, std::to_string(0xedef654fccc4a4d8U)}}) {
    Labels labels = kAbc;
    auto rule = RelabelRule::Make(HashMod({"a"}, "shard", modulus));
    ASSERT_TRUE(rule.ok());
    ASSERT_TRUE(rule->Apply(labels));
    EXPECT_EQ(labels.Get("shard"), expected);
  }
}

struct BadRule {
  const char* name;
  RelabelSpec spec;
  const char* message;
};
class RelabelRefuses : public testing::TestWithParam<BadRule> {};

TEST_P(RelabelRefuses, WhatPrometheusRefusesToo) {
  const auto rule = RelabelRule::Make(GetParam().spec);
  ASSERT_FALSE(rule.ok());
  EXPECT_EQ(rule.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(rule.status().message()), testing::StartsWith(GetParam().message));
}

RelabelSpec With(RelabelSpec spec, void (*change)(RelabelSpec&)) {
  change(spec);
  return spec;
}

INSTANTIATE_TEST_SUITE_P(
    Table, RelabelRefuses,
    testing::Values(
        BadRule{"hashmod_without_modulus", HashMod({"a"}, "b", 0), "modulus: "},
        BadRule{"replace_without_target", Replace({"a"}, "x", "", "y"), "target_label: "},
        BadRule{"lowercase_without_target", Equal(RelabelAction::kLowercase, {"a"}, ""),
                "target_label: "},
        BadRule{"keepequal_without_target", Equal(RelabelAction::kKeepEqual, {"a"}, ""),
                "target_label: "},
        BadRule{"a_broken_regex", Replace({"a"}, "(", "b", "y"), "regex: \"(\": "},
        BadRule{"labelmap_to_nothing", Map(RelabelAction::kLabelMap, "a", ""), "replacement: "},
        BadRule{"dropequal_with_a_regex",
                With(Equal(RelabelAction::kDropEqual, {"a"}, "b"),
                     [](RelabelSpec& s) { s.regex = "x"; }),
                "regex: dropequal does not use it"},
        BadRule{"labeldrop_with_sources",
                With(Map(RelabelAction::kLabelDrop, "a"),
                     [](RelabelSpec& s) { s.source_labels = {"a"}; }),
                "source_labels: labeldrop does not use it"},
        BadRule{"uppercase_with_a_replacement",
                With(Equal(RelabelAction::kUppercase, {"a"}, "b"),
                     [](RelabelSpec& s) { s.replacement = "x"; }),
                "replacement: uppercase does not use it"}),
    [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(Relabel, ActionsAreReadInAnyCase) {
  EXPECT_EQ(*ParseRelabelAction("LabelDrop"), RelabelAction::kLabelDrop);
  EXPECT_THAT(std::string(ParseRelabelAction("copy").status().message()),
              testing::HasSubstr("\"copy\" is no action; there are replace, keep"));
}

}  // namespace
}  // namespace basalt::notify
