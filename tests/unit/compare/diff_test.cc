// What a diff reports, case by case; each with layers in common and without.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/compare/compare_images.h"

namespace strata::imaged {
namespace {

using namespace testing;  // NOLINT
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using List = std::vector<std::string>;

struct Case {
  const char* name;
  List shared;                  // The layer that both have.
  std::vector<List> before;     // Layers above it.
  std::vector<List> after;
  List expected;
};

void PrintTo(const Case& shown, std::ostream* out) { *out << shown.name; }

Image Build(const List& shared, const std::vector<List>& above) {
  const Tree bottom = Layer(shared);
  Image image({&bottom});
  for (const List& words : above) image = image.With(Layer(words));
  return image;
}

class DiffCase : public ::testing::TestWithParam<Case> {};

TEST_P(DiffCase, ByTheLayers) {
  const Image before = Build(GetParam().shared, GetParam().before);
  const Image after = Build(GetParam().shared, GetParam().after);
  EXPECT_THAT(Diff(before.View(), after.View()).lines, ElementsAreArray(GetParam().expected));
}

TEST_P(DiffCase, ByTheWholeTrees) {
  const Image before = Build(GetParam().shared, GetParam().before);
  const Image after = Build(GetParam().shared, GetParam().after);
  EXPECT_THAT(Diff(before.WholeView(), after.WholeView()).lines,
              ElementsAreArray(GetParam().expected));
}

const Case kCases[] = {
    {"Nothing", {"a=1", "d/b=2"}, {}, {}, {}},
    {"AnAddedFile", {"d/b=2"}, {}, {{"d/a=1"}}, {"+ d/a"}},
    {"AnAddedDirectoryWithAllBelow", {"b=2"}, {}, {{"d/e/f=1"}}, {"+ d", "+ d/e", "+ d/e/f"}},
    {"ARemovedFile", {"a=1", "b=2"}, {}, {{"a?"}}, {"- a"}},
    {"ARemovedDirectoryWithAllBelow", {"d/e/f=1", "d/g=1"}, {}, {{"d?"}},
     {"- d", "- d/e", "- d/e/f", "- d/g"}},
    {"Content", {"a=1"}, {}, {{"a=2"}}, {"~ a content"}},
    {"ContentOfAnotherSize", {"a=1"}, {}, {{"a=22"}}, {"~ a content"}},
    {"Mode", {"a=1"}, {}, {{"a=1:m600"}}, {"~ a mode"}},
    {"Owner", {"a=1", "b=1"}, {}, {{"a=1:o7", "b=1:g7"}}, {"~ a owner", "~ b owner"}},
    {"Xattrs", {"a=1:xk=1"}, {}, {{"a=1:xk=2"}}, {"~ a xattrs"}},
    {"Target", {"s>x"}, {}, {{"s>y"}}, {"~ s target"}},
    {"OnlyATime", {"a=1"}, {}, {{"a=1:t5"}}, {"~ a mtime"}},
    {"Several", {"a=1"}, {}, {{"a=2:m600,o1,t5,xk=v"}}, {"~ a content,mode,owner,xattrs,mtime"}},
    {"Type", {"a=1"}, {}, {{"a>1:m644"}}, {"~ a type"}},
    {"AFileForADirectory", {"d/e/f=1", "x=1"}, {}, {{"d=1:m755"}},
     {"~ d type", "- d/e", "- d/e/f"}},
    {"ADirectoryForAFile", {"d=1:m755"}, {}, {{"d/e=1"}}, {"~ d type", "+ d/e"}},
    {"ADirectoryThatIsOnlyOnTheWayIsNoChange", {"d/e/f=1", "d/g=1"}, {}, {{"d/e/f=2"}},
     {"~ d/e/f content"}},
    {"AnEqualCopyIsNoChange", {"d/a=1:m600,xk=v"}, {}, {{"d/a=1:m600,xk=v"}}, {}},
    {"AWhiteoutOfNothingIsNoChange", {"d/a=1"}, {}, {{"d/x?"}}, {}},
    {"WhatCameAndWent", {"a=1"}, {}, {{"x/y=1"}, {"x?"}}, {}},
    {"TheRoot", {"a=1"}, {}, {{"/:m700"}}, {"~  mode"}},
    {"AnOpaqueDirectory", {"d/a=1", "d/b=1", "d/e/f=1"}, {}, {{"d/!", "d/b=2"}},
     {"- d/a", "~ d/b content", "- d/e", "- d/e/f"}},
    {"AnOpaqueDirectoryWithTheSameInIt", {"d/a=1"}, {}, {{"d/!", "d/a=1"}}, {}},
    {"AnOpaqueRoot", {"a=1", "b=1"}, {}, {{"/!", "b=1"}}, {"- a"}},
    {"AWhiteoutAndTheSameAgain", {"d/a=1", "d/b=1"}, {}, {{"d?"}, {"d/a=1"}}, {"- d/b"}},
    {"AReplacedDirectoryThatIsOneAgain", {"d/a=1"}, {}, {{"d=1"}, {"d/b=1"}}, {"- d/a", "+ d/b"}},
    {"LayersOnBothSides", {"a=1", "b=1", "c=1"}, {{"a=2", "c=3"}}, {{"b=2", "c=3"}},
     {"~ a content", "~ b content"}},
    {"ARemovalThatTheOtherSideHasNot", {"a=1", "d/x=1"}, {{"a?", "d?"}}, {},
     {"+ a", "+ d", "+ d/x"}},
    {"NamesBeforeTheSlashComeFirst", {}, {}, {{"a/x=1", "a-/y=1", "a-b=1", "a.=1", "a0=1", "aé=1"}},
     {"+ a", "+ a-", "+ a-/y", "+ a-b", "+ a.", "+ a/x", "+ a0", "+ aé"}},
    {"ALinkToAFile", {"a=1"}, {}, {{"a=1", "b==a"}}, {"~ a links", "+ b"}},
    {"NamesBeyondAsciiComeAfterTheSlash", {}, {}, {{"a/x=1", "aé=1"}}, {"+ a", "+ a/x", "+ aé"}},
    {"ALinkThatIsRemoved", {"a=1", "b==a", "c==a"}, {}, {{"a?"}},
     {"- a", "~ b links", "~ c links"}},
    {"ALinkThatIsReplacedByACopy", {"a=1", "d/", "d/b==a"}, {}, {{"a=1"}},
     {"~ a links", "~ d/b links"}},
    {"ALinkThatIsReplaced", {"a=1", "b==a", "z/", "z/c==a"}, {}, {{"b=2"}},
     {"~ a links", "~ b content,links", "~ z/c links"}},
    {"OtherPartners", {"a=1", "b==a", "c=1", "e==c"}, {}, {{"a=1", "c==a", "b=1", "e==b"}},
     {"~ a links", "~ b links", "~ c links", "~ e links"}},
    {"TheSamePartnersInAnotherInode", {"a=1", "b==a"}, {}, {{"a=2", "b==a"}},
     {"~ a content", "~ b content"}},
};

INSTANTIATE_TEST_SUITE_P(Diff, DiffCase, ::testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Diff, TellsModesAndSizesAndObjects) {
  const Tree bottom = Layer({"a=1"});
  Tree top;
  testing::Put(&top, "a", ObjectFile("content", 1000));
  const Image before({&bottom});
  const Image after = before.With(top);
  int calls = 0;
  Must(DiffImages(before.View(), after.View(), {}, [&](const DiffEntry& entry) {
    ++calls;
    EXPECT_EQ(entry.path, "a");
    EXPECT_EQ(entry.change, Change::kChanged);
    EXPECT_EQ(entry.before->size, 1u);
    EXPECT_EQ(entry.before->mode, S_IFREG | 0644u);
    EXPECT_TRUE(entry.before->object.IsZero());
    EXPECT_EQ(entry.after->size, 1000u);
    EXPECT_EQ(entry.after->object, Hasher::Of("content"));
    EXPECT_EQ(entry.raw_after->nlink, 1u);
    return Ok();
  }));
  EXPECT_EQ(calls, 1);
}

// before: kept (1000), moved (2000), gone (4000), edited (8000).
class DiffBytes : public ::testing::Test {
 protected:
  DiffBytes() {
    Tree bottom;
    testing::Put(&bottom, "kept", ObjectFile("kept", 1000));
    testing::Put(&bottom, "old/moved", ObjectFile("moved", 2000));
    testing::Put(&bottom, "gone", ObjectFile("gone", 4000));
    testing::Put(&bottom, "edited", ObjectFile("edited", 8000));
    before_ = Image({&bottom});
  }
  Image before_;
};

TEST_F(DiffBytes, CountsContentByKind) {
  Tree top = Layer({"gone?", "inline=12345"});
  testing::Put(&top, "edited", ObjectFile("edited again", 8500));
  testing::Put(&top, "fresh", ObjectFile("fresh", 16000));
  testing::Put(&top, "fresh too", ObjectFile("fresh", 16000));
  const Image after = before_.With(top);
  for (const auto& [b, a] : {std::pair(before_.View(), after.View()),
                             std::pair(before_.WholeView(), after.WholeView())}) {
    const DiffSummary summary = Diff(b, a).summary;
    EXPECT_EQ(summary.added, 3u);
    EXPECT_EQ(summary.removed, 1u);
    EXPECT_EQ(summary.changed, 1u);
    EXPECT_EQ(summary.times_only, 0u);
    EXPECT_EQ(summary.added_bytes, 32005u);
    EXPECT_EQ(summary.removed_bytes, 4000u);
    EXPECT_EQ(summary.changed_bytes, 8500u);
    EXPECT_EQ(summary.new_objects, 2u);
    EXPECT_EQ(summary.new_object_bytes, 24500u);
  }
}

TEST_F(DiffBytes, AMoveBringsNothingNew) {
  Tree top = Layer({"old?"});
  testing::Put(&top, "new/moved", ObjectFile("moved", 2000));
  const Image after = before_.With(top);
  const DiffSummary summary = Diff(before_.View(), after.View(), {false}).summary;
  EXPECT_EQ(summary.added_bytes, 2000u);
  EXPECT_EQ(summary.removed_bytes, 2000u);
  EXPECT_EQ(summary.new_object_bytes, 0u);
}

TEST_F(DiffBytes, ACopyOfAFileThatDidNotChangeIsFoundByLookingAtAllOfThem) {
  Tree top;
  testing::Put(&top, "copy", ObjectFile("kept", 1000));
  const Image after = before_.With(top);
  EXPECT_EQ(Diff(before_.View(), after.View(), {true}).summary.new_object_bytes, 0u);
  EXPECT_EQ(Diff(before_.View(), after.View(), {false}).summary.new_object_bytes, 1000u);
}

TEST_F(DiffBytes, AFileInAnothersPlaceIsAddedAndRemoved) {
  Tree top = Layer({"gone>kept"});
  const Image after = before_.With(top);
  const DiffSummary summary = Diff(before_.View(), after.View()).summary;
  EXPECT_EQ(summary.changed, 1u);
  EXPECT_EQ(summary.removed_bytes, 4000u);
  const DiffSummary back = Diff(after.View(), before_.View()).summary;
  EXPECT_EQ(back.added_bytes, 4000u);
  EXPECT_EQ(back.new_object_bytes, 4000u);
}

TEST(Diff, CountsTimesApart) {
  const Tree bottom = Layer({"d/a=1:t1", "d/b=1"});
  const Image before({&bottom});
  const Image after = before.With(Layer({"d/:t5", "d/a=1:t2", "d/b=2:t5"}));
  const DiffResult diff = Diff(before.View(), after.View());
  EXPECT_THAT(diff.lines, ElementsAre("~ d mtime", "~ d/a mtime", "~ d/b content,mtime"));
  EXPECT_EQ(diff.summary.times_only, 2u);
  EXPECT_EQ(diff.summary.changed, 1u);
  EXPECT_EQ(diff.summary.shared_layers, 1u);
}

TEST(Diff, EndsWithTheVisitorsError) {
  const Tree bottom = Layer({"a=1"});
  const Image before({&bottom});
  const Image after = before.With(Layer({"b=1", "c=1"}));
  int calls = 0;
  const auto stopped = DiffImages(before.View(), after.View(), {}, [&](const DiffEntry&) -> Status {
    ++calls;
    return Error(Code::kCancelled, "enough");
  });
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code(), Code::kCancelled);
  EXPECT_THAT(stopped.error().message(), HasSubstr("/b: enough"));
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace strata::imaged
