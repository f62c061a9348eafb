// What a rebase makes of a path, case by case: the layer, the result, the conflicts.
#include "imaged/compare/rebase.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/compare/compare_images.h"

namespace strata::imaged {
namespace {

using namespace testing;  // NOLINT
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

using List = std::vector<std::string>;

std::string KindName(ConflictKind kind) {
  static constexpr const char* kNames[] = {"content", "attributes", "added",     "type",
                                           "removed", "there",      "parent gone"};
  return kNames[static_cast<int>(kind)];
}

List ConflictLines(const RebaseResult& result) {
  List lines;
  for (const RebaseConflict& each : result.conflicts) {
    lines.push_back(each.path + ": " + KindName(each.kind));
  }
  return lines;
}

// Origin, and what image and new base have above it.
struct Stacks {
  Stacks(const List& origin_words, const List& image_words, const List& base_words) {
    const Tree bottom = Layer(origin_words);
    origin = Image({&bottom});
    image = origin.With(Layer(image_words));
    base = origin.With(Layer(base_words));
  }
  RebaseResult Rebase(const RebasePolicy& policy) const {
    return Must(RebaseImage(origin.View(), image.View(), base.reader(), policy));
  }
  // The rebased image.
  List Result(const RebasePolicy& policy) const {
    Tree tree = base.LoadTree();
    Must(ApplyLayer(*Rebase(policy).layer, &tree));
    return Words(tree);
  }
  Image origin, image, base;
};

struct Case {
  const char* name;
  List origin;
  List image;
  List base;
  List expected;  // The whole of the rebased image.
};
void PrintTo(const Case& shown, std::ostream* out) { *out << shown.name; }

class Merges : public ::testing::TestWithParam<Case> {};

TEST_P(Merges, WithoutConflict) {
  const Stacks stacks(GetParam().origin, GetParam().image, GetParam().base);
  const RebaseResult result = stacks.Rebase({});
  EXPECT_THAT(ConflictLines(result), IsEmpty());
  EXPECT_THAT(result.split_links, IsEmpty());
  ASSERT_TRUE(result.layer.has_value());
  EXPECT_THAT(stacks.Result({}), ElementsAreArray(GetParam().expected));
}

const Case kMerges[] = {
    {"ChangesOfBothSides", {"a=1", "b=1", "c=1"}, {"a=2", "n=1"}, {"b=2", "m=1", "c?"},
     {"a=2", "b=2", "m=1", "n=1"}},
    {"TheSameChange", {"a=1"}, {"a=2:t5"}, {"a=2:t7"}, {"a=2:t5"}},
    {"TheSameAddition", {}, {"d/a=1"}, {"d/a=1"}, {"d/", "d/a=1"}},
    {"TheSameRemoval", {"a=1", "d/b=1"}, {"a?", "d?"}, {"a?", "d?"}, {}},
    {"TheSameChangeOfType", {"a=1"}, {"a>x"}, {"a>x:t3"}, {"a>x"}},
    {"ModeHereContentThere", {"a=1"}, {"a=1:m600"}, {"a=2:t7"}, {"a=2:m600,t7"}},
    {"ContentHereModeThere", {"a=1"}, {"a=2:t5"}, {"a=1:m600"}, {"a=2:m600,t5"}},
    {"OwnerHereModeThere", {"a=1"}, {"a=1:o7"}, {"a=1:m600"}, {"a=1:m600,o7"}},
    {"DifferentXattrs", {"a=1:xb=1,xc=1"}, {"a=1:xb=2,xc=1,xh=1"}, {"a=1:xb=1,xt=1"},
     {"a=1:xb=2,xh=1,xt=1"}},
    {"ATimeHere", {"a=1:t1"}, {"a=1:t2"}, {"a=1:t1,m600"}, {"a=1:m600,t2"}},
    {"TimesOfBothWithoutContent", {"a=1:t1"}, {"a=1:t2"}, {"a=1:t9"}, {"a=1:t2"}},
    {"ATimeHereContentThere", {"a=1:t1"}, {"a=1:t2"}, {"a=2:t3"}, {"a=2:t3"}},
    {"ATimeHereRemovedThere", {"a=1:t1"}, {"a=1:t2"}, {"a?"}, {}},
    {"RemovedHereATimeThere", {"a=1:t1"}, {"a?"}, {"a=1:t2"}, {}},
    {"ADirectoryOnTheWayKeepsTheAttributesOfTheBase", {"d/:t1", "d/a=1"}, {"d/:t1", "d/a=2"},
     {"d/:m700,o3,t7"}, {"d/:m700,o3,t7", "d/a=2"}},
    {"TheLaterTimeOfADirectory", {"d/:t1", "d/a=1"}, {"d/:t5", "d/n=1"}, {"d/:t4", "d/m=1"},
     {"d/:t5", "d/a=1", "d/m=1", "d/n=1"}},
    {"TheRoot", {"a=1"}, {"/:m700", "a=2"}, {"/:o3"}, {"/:m700,o3", "a=2"}},
    {"AttributesOfADirectory", {"d/a=1"}, {"d/:m700"}, {"d/:o3"}, {"d/:m700,o3", "d/a=1"}},
    {"ARemovedDirectoryThatDidNotChange", {"d/e/a=1", "d/b=1"}, {"d?"}, {"x=1"}, {"x=1"}},
    {"ARemovedDirectoryThatLostSomething", {"d/e/a=1", "d/b=1"}, {"d?"}, {"d/e?"}, {}},
    {"AnOpaqueDirectory", {"d/a=1", "d/b=1"}, {"d/!", "d/a=2"}, {"d/c=1"},
     {"d/", "d/a=2", "d/c=1"}},
    {"AFileForADirectoryThatDidNotChange", {"d/e/a=1"}, {"d=1"}, {"x=1"}, {"d=1", "x=1"}},
    {"ADirectoryForAFile", {"d=1"}, {"d/e/a=1"}, {"x=1"}, {"d/", "d/e/", "d/e/a=1", "x=1"}},
    {"AnotherTypeThere", {"d/a=1", "f=1"}, {"d/:t3"}, {"d=1", "f/x=1"}, {"d=1", "f/", "f/x=1"}},
    {"BothAddedADirectory", {}, {"d/:t3", "d/a=1"}, {"d/:t2", "d/b=1"},
     {"d/:t3", "d/a=1", "d/b=1"}},
    {"BothAddedADirectoryThatIsYoungerThere", {}, {"d/:t2", "d/a=1"}, {"d/:t3"},
     {"d/:t3", "d/a=1"}},
    {"BelowADirectoryThatOnlyTheImageHas", {}, {"d/e/a=1", "d/s>x"}, {"x=1"},
     {"d/", "d/e/", "d/e/a=1", "d/s>x", "x=1"}},
    {"ALinkToAFileThatDidNotChange", {"a=1"}, {"a=1", "b==a"}, {"x=1"}, {"a=1", "b==a", "x=1"}},
    {"AnEditedFileWithTwoNames", {"a=1", "b==a"}, {"a=2", "b==a"}, {"x=1"},
     {"a=2", "b==a", "x=1"}},
    {"AnEditedLinkWithAnotherModeThere", {"a=1", "b==a"}, {"a=2", "b==a"}, {"a=1:m600", "b==a"},
     {"a=2:m600", "b==a"}},
    {"ALinkThatWasTakenApart", {"a=1", "b==a"}, {"a=1"}, {"x=1"}, {"a=1", "b=1", "x=1"}},
    {"TwoFilesThatWereLinked", {"a=1", "b=1"}, {"a=1", "b==a"}, {"x=1"}, {"a=1", "b==a", "x=1"}},
    {"ALinkThatWasRemovedLeavesTheOthersAlone", {"a=1", "b==a", "c==a"}, {"a?"},
     {"b=1", "c==b", "w==b", "a==b"}, {"b=1", "c==b", "w==b"}},
};

INSTANTIATE_TEST_SUITE_P(Rebase, Merges, ::testing::ValuesIn(kMerges),
                         [](const auto& test) { return std::string(test.param.name); });

struct Dispute {
  const char* name;
  List origin;
  List image;
  List base;
  List conflicts;
  List with_image;  // The rebased image when the image is preferred.
  List with_base;
};
void PrintTo(const Dispute& shown, std::ostream* out) { *out << shown.name; }

class Disputes : public ::testing::TestWithParam<Dispute> {};

TEST_P(Disputes, AreReportedAndDecidedByThePolicy) {
  const Stacks stacks(GetParam().origin, GetParam().image, GetParam().base);
  const RebaseResult refused = stacks.Rebase({});
  EXPECT_THAT(ConflictLines(refused), ElementsAreArray(GetParam().conflicts));
  EXPECT_FALSE(refused.layer.has_value());
  const RebasePolicy image{Side::kImage, {}};
  EXPECT_THAT(ConflictLines(stacks.Rebase(image)), ElementsAreArray(GetParam().conflicts));
  EXPECT_THAT(stacks.Result(image), ElementsAreArray(GetParam().with_image));
  const RebasePolicy base{Side::kBase, {}};
  EXPECT_THAT(ConflictLines(stacks.Rebase(base)), ElementsAreArray(GetParam().conflicts));
  EXPECT_THAT(stacks.Result(base), ElementsAreArray(GetParam().with_base));
}

const Dispute kDisputes[] = {
    {"BothContent", {"a=1"}, {"a=2:t5"}, {"a=3:m600"}, {"a: content"}, {"a=2:t5"}, {"a=3:m600"}},
    {"BothTarget", {"a>1"}, {"a>2"}, {"a>3"}, {"a: content"}, {"a>2"}, {"a>3"}},
    {"BothMode", {"a=1"}, {"a=1:m600"}, {"a=1:m640"}, {"a: attributes"}, {"a=1:m600"},
     {"a=1:m640"}},
    {"BothOwner", {"d/a=1"}, {"d/:o1", "d/b=1"}, {"d/:g1"}, {"d: attributes"},
     {"d/:o1", "d/a=1", "d/b=1"}, {"d/:g1", "d/a=1", "d/b=1"}},
    {"TheSameXattr", {"a=1:xk=1"}, {"a=1:xk=2"}, {"a=1"}, {"a: attributes"}, {"a=1:xk=2"}, {"a=1"}},
    {"BothAdded", {}, {"a=1"}, {"a=2"}, {"a: added"}, {"a=1"}, {"a=2"}},
    {"BothAddedADirectoryOfAnotherMode", {}, {"d/:m700", "d/a=1"}, {"d/:m711", "d/b=1"},
     {"d: added"}, {"d/:m700", "d/a=1", "d/b=1"}, {"d/:m711", "d/a=1", "d/b=1"}},
    {"BothAddedOtherTypes", {}, {"d/a=1", "e=1"}, {"d=1", "e/b/c=1"}, {"d: added", "e: added"},
     {"d/", "d/a=1", "e=1"}, {"d=1", "e/", "e/b/", "e/b/c=1"}},
    {"BothMadeTheSameTypeOfIt", {"a=1"}, {"a>1"}, {"a>2"}, {"a: added"}, {"a>1"}, {"a>2"}},
    {"AnotherTypeHereChangedThere", {"a=1"}, {"a>1"}, {"a=2"}, {"a: type"}, {"a>1"}, {"a=2"}},
    {"ChangedHereAnotherTypeThere", {"a=1"}, {"a=2"}, {"a>1"}, {"a: type"}, {"a=2"}, {"a>1"}},
    {"ThreeTypes", {"a=1"}, {"a>1"}, {"a|"}, {"a: type"}, {"a>1"}, {"a|"}},
    {"AFileForADirectoryThatChangedBelow", {"d/e/a=1", "d/b=1"}, {"d=1"}, {"d/e/a=2"},
     {"d: type"}, {"d=1"}, {"d/", "d/b=1", "d/e/", "d/e/a=2"}},
    {"AFileForADirectoryThatGrew", {"d/e/a=1"}, {"d=1"}, {"d/e/n=2"}, {"d: type"}, {"d=1"},
     {"d/", "d/e/", "d/e/a=1", "d/e/n=2"}},
    {"ADirectoryForAFileThatChanged", {"d=1"}, {"d/e/a=1"}, {"d=2"}, {"d: type"},
     {"d/", "d/e/", "d/e/a=1"}, {"d=2"}},
    {"RemovedHereChangedThere", {"a=1"}, {"a?"}, {"a=2"}, {"a: removed"}, {}, {"a=2"}},
    {"ChangedHereRemovedThere", {"a=1"}, {"a=2"}, {"a?"}, {"a: there"}, {"a=2"}, {}},
    {"ARemovedDirectoryThatChangedBelow", {"d/e/a=1", "d/e/b=1", "d/c=1"}, {"d?"}, {"d/e/a=2"},
     {"d/e/a: removed"}, {}, {"d/", "d/e/", "d/e/a=2"}},
    {"ARemovedDirectoryThatGrew", {"d/a=1"}, {"d?"}, {"d/:t5", "d/n/x=1"}, {"d/n: removed"}, {},
     {"d/:t5", "d/n/", "d/n/x=1"}},
    {"ARemovedDirectoryWithAnotherMode", {"d/a=1"}, {"d?"}, {"d/:m700"}, {"d: removed"}, {},
     {"d/:m700"}},
    {"ARemovedFileThatIsADirectoryThere", {"d=1"}, {"d?"}, {"d/x=1"}, {"d: removed"}, {},
     {"d/", "d/x=1"}},
    {"ARemovedDirectoryThatIsAFileThere", {"d/x=1"}, {"d?"}, {"d=1"}, {"d: removed"}, {}, {"d=1"}},
    {"BelowADirectoryThatIsGone", {"d/e/a=1", "d/e/b=1"}, {"d/:t3", "d/e/a=2", "d/e/n=1"}, {"d?"},
     {"d/e/a: parent gone", "d/e/n: parent gone"}, {"d/:t3", "d/e/", "d/e/a=2", "d/e/n=1"}, {}},
    {"BelowADirectoryThatIsAFileThere", {"d/a=1", "d/b=1"}, {"d/n/x=1"}, {"d=1"},
     {"d/n: parent gone"}, {"d/", "d/n/", "d/n/x=1"}, {"d=1"}},
    {"ADirectoryThatChangedAndIsGoneThere", {"d/a=1"}, {"d/:m700"}, {"d?"}, {"d: there"},
     {"d/:m700"}, {}},
    {"TheRootsMode", {}, {"/:m700"}, {"/:m711"}, {": attributes"}, {"/:m700"}, {"/:m711"}},
};

INSTANTIATE_TEST_SUITE_P(Rebase, Disputes, ::testing::ValuesIn(kDisputes),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Rebase, TheLayerHoldsOnlyWhatIsNeeded) {
  const Stacks stacks({"d/a=1", "d/e/b=1", "k=1", "r/x=1"}, {"d/e/b=2", "k=2", "r?"},
                      {"d/:m700", "k=2", "z=1"});
  EXPECT_THAT(Words(*stacks.Rebase({}).layer),
              ElementsAre("d/:m700", "d/e/", "d/e/b=2", "r?"));
}

TEST(Rebase, AKeptFileIsLeftOfARemovedDirectory) {
  const Stacks stacks({"d/a=1", "d/b=1", "d/e/c=1"}, {"d?"}, {"d/:m700", "d/a=2", "d/n=1"});
  const RebaseResult result = stacks.Rebase({Side::kImage, {{"d/a", Side::kBase}}});
  EXPECT_THAT(Words(*result.layer), ElementsAre("d/:m700", "d/b?", "d/e?", "d/n?"));
}

TEST(Rebase, OverridesAreByPathAndTheLongestCounts) {
  const Stacks stacks({"a/x=1", "a/y/z=1", "ab=1", "c=1"}, {"a/x=2", "a/y/z=2", "ab=2", "c=2"},
                      {"a/x=3", "a/y/z=3", "ab=3", "c=3"});
  const RebasePolicy policy{Side::kImage, {{"/a/", Side::kBase}, {"a/y", Side::kImage}}};
  EXPECT_THAT(stacks.Result(policy), ElementsAre("a/", "a/x=3", "a/y/", "a/y/z=2", "ab=2", "c=2"));
}

TEST(Rebase, RefusesWhatNoOverrideCovers) {
  const Stacks stacks({"a=1", "b=1"}, {"a=2", "b=2"}, {"a=3", "b=3"});
  RebasePolicy policy;
  policy.overrides = {{"a", Side::kImage}};
  const RebaseResult result = stacks.Rebase(policy);
  EXPECT_FALSE(result.layer.has_value());
  ASSERT_EQ(result.conflicts.size(), 2u);
  EXPECT_EQ(result.conflicts[0].side, Side::kImage);
  EXPECT_EQ(result.conflicts[1].side, std::nullopt);
  EXPECT_EQ(result.conflicts[1].differences, uint32_t{kContent});
  policy.overrides.push_back({"", Side::kBase});
  EXPECT_THAT(stacks.Result(policy), ElementsAre("a=2", "b=3"));
}

TEST(Rebase, ALinkIsSplitWhereOneNameChangedThere) {
  const Stacks stacks({"a=1"}, {"a=1", "b==a", "c==a"}, {"a=2"});
  EXPECT_THAT(stacks.Result({}), ElementsAre("a=2", "b=1", "c==b"));
  EXPECT_THAT(stacks.Rebase({}).split_links, ElementsAre("a"));
  EXPECT_THAT(Words(*stacks.Rebase({}).layer), ElementsAre("b=1", "c==b"));
}

TEST(Rebase, ALinkBetweenFilesThatTheBaseMadeDifferentIsSplit) {
  const Stacks stacks({"a=1", "b=1"}, {"a=1", "b==a"}, {"a=1:m600"});
  EXPECT_THAT(stacks.Rebase({}).split_links, ElementsAre("a"));
  EXPECT_THAT(Words(*stacks.Rebase({}).layer), IsEmpty());
}

TEST(Rebase, AnotherNameInTheBaseStaysWithTheFileThatTheImageLinked) {
  const Stacks stacks({"a=1"}, {"a=1", "b==a"}, {"a=2", "w==a"});
  EXPECT_THAT(stacks.Result({}), ElementsAre("a=2", "b=1", "w==a"));
}

TEST(Rebase, ALinkIsSplitWhereOneNameIsTakenFromTheBase) {
  const Stacks stacks({"a=1", "b==a"}, {"a=2", "b==a"}, {"a=3", "x=1"});
  EXPECT_THAT(stacks.Rebase({Side::kBase, {}}).split_links, ElementsAre("a"));
  EXPECT_THAT(stacks.Result({Side::kBase, {}}), ElementsAre("a=3", "b=2", "x=1"));
  EXPECT_THAT(stacks.Rebase({Side::kImage, {}}).split_links, IsEmpty());
  EXPECT_THAT(stacks.Result({Side::kImage, {}}), ElementsAre("a=2", "b==a", "x=1"));
}

}  // namespace
}  // namespace strata::imaged
