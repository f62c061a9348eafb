#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/manifest/sample_trees.h"

namespace strata::imaged {
namespace {

using namespace testing;  // NOLINT
using ::testing::ElementsAreArray;

// A tree in words: "d/" a directory, "d/!" an opaque one, "f=text" a file, "w?" a whiteout,
// "a==b" a further name `a` of `b`. `text` of a directory is its owner.
Tree Parse(const std::vector<std::string>& words) {
  Tree tree;
  for (const std::string& word : words) {
    if (const size_t same = word.find("=="); same != std::string::npos) {
      const std::string path = word.substr(0, same);
      const size_t slash = path.rfind('/');
      const InodeIndex parent =
          slash == std::string::npos ? Tree::kRoot : *tree.Find(path.substr(0, slash));
      Must(tree.Link(parent, path.substr(slash + 1), *tree.Find(word.substr(same + 2))));
    } else if (const size_t text = word.find('='); text != std::string::npos) {
      Put(&tree, word.substr(0, text), InlineFile(word.substr(text + 1)));
    } else if (word == "/!") {
      tree.mutable_inode(Tree::kRoot).opaque = true;
    } else if (word.ends_with("/!")) {
      Put(&tree, word.substr(0, word.size() - 2), OpaqueDirectory());
    } else if (word.ends_with("/")) {
      Put(&tree, word.substr(0, word.size() - 1), Directory());
    } else {
      Put(&tree, word.substr(0, word.size() - 1), Whiteout());
    }
  }
  return tree;
}

std::vector<std::string> Print(const Tree& tree) {
  std::vector<std::string> words;
  std::map<InodeIndex, std::string> names;
  Must(tree.Walk([&](const std::string& path, InodeIndex index) -> Status {
    const Inode& inode = tree.inode(index);
    if (index == Tree::kRoot) {
      if (inode.opaque) words.push_back("/!");
      return Ok();
    }
    const auto [name, fresh] = names.emplace(index, path);
    if (!fresh) {
      words.push_back(path + "==" + name->second);
    } else if (inode.IsDirectory()) {
      words.push_back(path + (inode.opaque ? "/!" : "/"));
    } else if (inode.IsWhiteout()) {
      words.push_back(path + "?");
    } else {
      words.push_back(path + "=" + inode.data);
    }
    return Ok();
  }));
  return words;
}

struct Case {
  const char* name;
  std::vector<std::vector<std::string>> layers;
  std::vector<std::string> expected;
};

void PrintTo(const Case& shown, std::ostream* out) { *out << shown.name; }

class ApplyLayerCase : public ::testing::TestWithParam<Case> {};

TEST_P(ApplyLayerCase, GivesTheUnion) {
  Tree base;
  for (const auto& layer : GetParam().layers) Must(ApplyLayer(Parse(layer), &base));
  EXPECT_THAT(Print(base), ElementsAreArray(GetParam().expected));
  EXPECT_EQ(base.entry_count(), GetParam().expected.size());
}

const Case kCases[] = {
    {"EntriesOfBothAreThere",
     {{"a=1", "d/x=1"}, {"b=2", "d/y=2"}},
     {"a=1", "b=2", "d/", "d/x=1", "d/y=2"}},
    {"TheUpperFileHidesTheLower", {{"a=1"}, {"a=2"}}, {"a=2"}},
    {"AWhiteoutRemovesAFile", {{"a=1", "b=1"}, {"a?"}}, {"b=1"}},
    {"AWhiteoutRemovesADirectoryWithAllBelow", {{"d/e/f=1", "d/x=1", "z=1"}, {"d?"}}, {"z=1"}},
    {"AWhiteoutOfNothingLeavesNothing", {{"a=1"}, {"b?", "d/c?"}}, {"a=1", "d/"}},
    {"AnOpaqueDirectoryHidesWhatIsBelow",
     {{"d/a=1", "d/e/f=1"}, {"d/!", "d/b=2"}},
     {"d/", "d/b=2"}},
    {"AnOpaqueDirectoryOverAnOpaqueOne",
     {{"d/a=1"}, {"d/!", "d/b=2"}, {"d/!", "d/c=3"}},
     {"d/", "d/c=3"}},
    {"AnOpaqueDirectoryOverNothing", {{"a=1"}, {"d/!", "d/b=2"}}, {"a=1", "d/", "d/b=2"}},
    {"AnOpaqueDirectoryInsideAMergedOne",
     {{"d/e/a=1", "d/k=1"}, {"d/", "d/e/!", "d/e/b=2"}},
     {"d/", "d/e/", "d/e/b=2", "d/k=1"}},
    {"AnOpaqueRootHidesEverything", {{"a=1", "d/b=1"}, {"/!", "c=2"}}, {"c=2"}},
    {"AFileReplacesADirectory", {{"d/a=1"}, {"d=2"}}, {"d=2"}},
    {"ADirectoryReplacesAFile", {{"d=1"}, {"d/a=2"}}, {"d/", "d/a=2"}},
    {"ADirectoryReplacesAFileAndTheLowerOneStaysGone",
     {{"d/a=1"}, {"d=2"}, {"d/b=3"}},
     {"d/", "d/b=3"}},
    {"AWhiteoutThenTheSameNameAgain", {{"d/a=1"}, {"d?"}, {"d/b=3"}}, {"d/", "d/b=3"}},
    {"ARenameIsAWhiteoutAndANewName", {{"old=1"}, {"new=1", "old?"}}, {"new=1"}},
    {"HardLinksOfALayerStayLinked",
     {{"a=1"}, {"b=2", "c==b", "d/", "d/e==b"}},
     {"a=1", "b=2", "c==b", "d/", "d/e==b"}},
    {"HardLinksStayLinkedWhenOneNameGoes", {{"a=1", "b==a", "c==a"}, {"a?"}}, {"b=1", "c==b"}},
    {"ReplacingOneNameLeavesTheOthers", {{"a=1", "b==a"}, {"a=2"}}, {"a=2", "b=1"}},
    {"AHardLinkOverTheNamesItReplaces", {{"a=1", "b=1"}, {"a=2", "b==a"}}, {"a=2", "b==a"}},
    {"WhiteoutsUnderAReplacedFile", {{"d=1"}, {"d/", "d/a?"}}, {"d/"}},
    {"ALaterLayerSeesTheUnion", {{"a=1"}, {"d/b=2"}, {"a?", "d/b?", "d/c=3"}}, {"d/", "d/c=3"}},
};

INSTANTIATE_TEST_SUITE_P(ApplyLayer, ApplyLayerCase, ::testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(ApplyLayer, GivesMergedDirectoriesTheUpperAttributes) {
  Tree base;
  Tree lower;
  Inode directory = Directory(0700);
  directory.xattrs = {{"user.lower", "1"}};
  Put(&lower, "d", std::move(directory));
  Tree upper;
  Inode changed = Directory(01777);
  changed.uid = 7;
  changed.mtime_s = 5;
  changed.mtime_ns = 6;
  changed.xattrs = {{"user.upper", "2"}};
  Put(&upper, "d", std::move(changed));
  upper.mutable_inode(Tree::kRoot).uid = 9;
  Must(ApplyLayer(lower, &base));
  Must(ApplyLayer(upper, &base));
  const Inode& result = base.inode(*base.Find("d"));
  EXPECT_EQ(result.mode, S_IFDIR | 01777u);
  EXPECT_EQ(result.uid, 7u);
  EXPECT_EQ(result.mtime_s, 5);
  EXPECT_EQ(result.mtime_ns, 6u);
  EXPECT_EQ(result.xattrs, (std::vector<Xattr>{{"user.upper", "2"}}));
  EXPECT_EQ(base.inode(Tree::kRoot).uid, 9u);
}

TEST(ApplyLayer, KeepsMemoryToWhatIsLeftAfterManyLayers) {
  TreeLimits limits;
  limits.entries_max = 5000;
  Tree base(limits);
  for (int round = 0; round < 20; ++round) {
    Tree layer;
    for (int i = 0; i < 3000; ++i) {
      Put(&layer, "d" + std::to_string(i % 10) + "/f" + std::to_string(i),
          InlineFile(std::to_string(round)));
    }
    Must(ApplyLayer(layer, &base));
    EXPECT_EQ(base.entry_count(), 3010u);
    EXPECT_LE(base.inode_count(), 2u * 3011u);
  }
  EXPECT_EQ(base.inode(*base.Find("d3/f1003")).data, "19");
}

}  // namespace
}  // namespace strata::imaged
