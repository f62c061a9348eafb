// The pieces that a property test stands on: sequences survive being written down, failures are
// reduced to what is needed, a seed gives the same sequence again.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/property/generator.h"
#include "tests/property/operation.h"
#include "tests/property/sample_image.h"
#include "tests/property/shrink.h"

namespace strata::property {
namespace {

std::vector<Operation> Generate(uint64_t seed, size_t count) {
  testing::TestImage image;
  Model model;
  DescribeSample("", &image, &model);
  Generator generator(seed);
  std::vector<Operation> operations;
  for (size_t i = 0; i < count; ++i) {
    operations.push_back(generator.Next(model));
    model.Apply(operations.back());
  }
  return operations;
}

TEST(PropertyPieces, EverySequenceSurvivesBeingWrittenDown) {
  const std::vector<Operation> operations = Generate(1, 3000);
  const auto parsed = ParseOperations("# a comment\n\n" + OperationsText(operations));
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  EXPECT_EQ(*parsed, operations);
}

TEST(PropertyPieces, ALineThatIsNoOperationIsNamed) {
  for (const char* bad :
       {"fly 0 0 0 0 0 a .", "read 0 0", "read 9 0 0 0 0 a .", "read -1 0 0 0 0 a ."}) {
    const auto parsed = ParseOperations(bad);
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_NE(parsed.error().message().find(bad), std::string::npos);
  }
}

TEST(PropertyPieces, ASeedGivesTheSameSequenceAgain) {
  EXPECT_EQ(Generate(7, 500), Generate(7, 500));
  EXPECT_NE(Generate(7, 500), Generate(8, 500));
}

TEST(PropertyPieces, EveryKindOfOperationIsGenerated) {
  std::vector<bool> seen(kKinds);
  for (const Operation& op : Generate(3, 5000)) seen[static_cast<size_t>(op.kind)] = true;
  for (int kind = 0; kind < kKinds; ++kind) {
    EXPECT_TRUE(seen[static_cast<size_t>(kind)]) << KindName(static_cast<Kind>(kind));
  }
}

TEST(PropertyPieces, AFailureIsReducedToWhatItNeeds) {
  std::vector<int> items(1000);
  for (int i = 0; i < 1000; ++i) items[static_cast<size_t>(i)] = i;
  size_t calls = 0;
  const auto fails = [&](const std::vector<int>& some) {
    ++calls;
    const auto has = [&](int one) {
      return std::find(some.begin(), some.end(), one) != some.end();
    };
    return has(3) && has(500) && has(997);
  };
  EXPECT_EQ(Shrink(items, fails), (std::vector<int>{3, 500, 997}));
  EXPECT_LT(calls, 300u);
}

TEST(PropertyPieces, AFailureThatNeedsNothingIsReducedToNothing) {
  EXPECT_TRUE(Shrink(std::vector<int>{1, 2, 3}, [](const auto&) { return true; }).empty());
}

}  // namespace
}  // namespace strata::property
