#include "query/promql/functions.h"

#include <gtest/gtest.h>

namespace basalt::promql {
namespace {

TEST(Functions, AreFoundByTheirExactName) {
  for (const FunctionSpec& spec : PromqlFunctions().all()) {
    EXPECT_EQ(PromqlFunctions().Find(spec.name), &spec) << spec.name;
    EXPECT_EQ(&SpecOf(spec.id), &spec) << spec.name;
  }
  EXPECT_EQ(PromqlFunctions().all().size(), kFunctionCount);
  EXPECT_EQ(PromqlFunctions().Find("Rate"), nullptr);
  EXPECT_EQ(PromqlFunctions().Find(""), nullptr);
  EXPECT_EQ(PromqlFunctions().Find("zzz"), nullptr);
}

TEST(Functions, TakeWhatTheDocumentationSays) {
  const FunctionSpec& round = SpecOf(FunctionId::kRound);
  EXPECT_EQ(round.arg_types.size(), 2U);
  EXPECT_EQ(round.variadic, 1);
  const FunctionSpec& join = SpecOf(FunctionId::kLabelJoin);
  EXPECT_EQ(join.arg_types.back(), ValueType::kString);
  EXPECT_EQ(join.variadic, -1);
  const FunctionSpec& scalar = SpecOf(FunctionId::kScalar);
  EXPECT_EQ(scalar.return_type, ValueType::kScalar);
  EXPECT_TRUE(SpecOf(FunctionId::kInfo).experimental);
  EXPECT_FALSE(SpecOf(FunctionId::kRate).experimental);
}

TEST(Functions, WithAVariableCountHaveATypeToRepeat) {
  for (const FunctionSpec& spec : PromqlFunctions().all()) {
    EXPECT_TRUE(spec.variadic == 0 || !spec.arg_types.empty()) << spec.name;
  }
}

}  // namespace
}  // namespace basalt::promql
