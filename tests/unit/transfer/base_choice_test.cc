#include "imaged/transfer/base_choice.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/manifest/sample_trees.h"

namespace strata::imaged::transfer {
namespace {

using imaged::testing::ObjectFile;
using imaged::testing::Put;

class BaseChoiceTest : public ::testing::Test {
 protected:
  void Hold(const std::string& path, const std::string& content, uint64_t size = 1000) {
    Put(&held_, path, ObjectFile(content, size));
    objects_.insert(Hasher::Of(content));
  }
  void Want(const std::string& path, const std::string& content, uint64_t size = 1000) {
    Put(&wanted_, path, ObjectFile(content, size));
  }
  std::vector<WantedObject> Choose(WantOrder order = WantOrder::kAsGiven) {
    const Tree* const wanted[] = {&wanted_};
    const Tree* const held[] = {&held_, &older_};
    return ChooseBases(
        wanted, held, [&](const Digest& digest) { return objects_.contains(digest); }, order);
  }
  // The base of the only object that is wanted.
  std::optional<Digest> Base() {
    const auto objects = Choose();
    EXPECT_EQ(objects.size(), 1u);
    return objects.at(0).base;
  }

  Tree wanted_, held_, older_;
  std::set<Digest> objects_;
};

TEST_F(BaseChoiceTest, TheSamePathComesFirst) {
  Hold("lib/libfoo.so.1.2", "other", 1000);
  Hold("lib/libfoo.so.1.3", "old", 5);
  Want("lib/libfoo.so.1.3", "new", 1000);
  EXPECT_EQ(Base(), Hasher::Of("old"));
}

TEST_F(BaseChoiceTest, ThenANameThatDiffersInItsNumbersTheClosestInSize) {
  Hold("lib/libfoo.so.1.2.3", "far", 2000);
  Hold("lib/libfoo.so.1.2.4", "near", 1010);
  Hold("lib/libbar.so.1.2.5", "another", 1000);
  Want("lib/libfoo.so.1.10.0", "new", 1000);
  EXPECT_EQ(Base(), Hasher::Of("near"));
}

TEST_F(BaseChoiceTest, SizesThatAreFarApartAreNotAlike) {
  Hold("data1", "small", 1000);
  Want("data2", "large", 4001);
  EXPECT_EQ(Base(), std::nullopt);
}

TEST_F(BaseChoiceTest, DirectoriesAreMatchedWithoutTheirNumbers) {
  Hold("usr/lib/python3.11/json/decoder.py", "old");
  Want("usr/lib/python3.12/json/decoder.py", "new");
  EXPECT_EQ(Base(), Hasher::Of("old"));
}

TEST_F(BaseChoiceTest, LargerFilesAreFoundWhereTheyWereBefore) {
  Hold("lib/x86/libc.so.6", "old", 100'000);
  Want("usr/lib/x86/libc.so.6", "new", 100'000);
  EXPECT_EQ(Base(), Hasher::Of("old"));
}

TEST_F(BaseChoiceTest, AnObjectThatIsNotHeldIsNoBase) {
  Put(&held_, "a", ObjectFile("not here", 1000));
  Put(&older_, "a", ObjectFile("here", 1000));
  objects_.insert(Hasher::Of("here"));
  Want("a", "new");
  EXPECT_EQ(Base(), Hasher::Of("here"));
}

TEST_F(BaseChoiceTest, ObjectsAreWantedOnceAndNotWhenHeld) {
  Hold("held", "held");
  Hold("b", "base");
  Want("a", "new");
  Want("b", "new");
  Want("held", "held");
  Want("moved/held", "held");
  const auto objects = Choose();
  ASSERT_EQ(objects.size(), 1u);
  EXPECT_EQ(objects[0].digest, Hasher::Of("new"));
  EXPECT_EQ(objects[0].size_bytes, 1000u);
  EXPECT_EQ(objects[0].base, Hasher::Of("base"));  // Of its second path.
}

TEST_F(BaseChoiceTest, SmallObjectsComeFirstAndKeepTheOrderOfTheirPaths) {
  Want("a", "a", 100 << 20);
  Want("b", "b", 20'000);
  Want("c", "c", 1 << 20);
  Want("d", "d", 1000);
  std::string order;
  for (const auto& object : Choose(WantOrder::kSmallFirst)) {
    for (const char* name : {"a", "b", "c", "d"}) {
      if (object.digest == Hasher::Of(name)) order += name;
    }
  }
  EXPECT_EQ(order, "bdca");
}

TEST_F(BaseChoiceTest, AFileWhereADirectoryWasHasNoBase) {
  Hold("x/y", "old");
  Want("x", "new");
  EXPECT_EQ(Base(), std::nullopt);
}

TEST(NameWithoutNumbersTest, DottedNumbersAreOne) {
  EXPECT_EQ(NameWithoutNumbers("libfoo.so.1.2.3"), "libfoo.so.#");
  EXPECT_EQ(NameWithoutNumbers("python3.11"), "python#");
  EXPECT_EQ(NameWithoutNumbers("a1b22.c"), "a#b#.c");
  EXPECT_EQ(NameWithoutNumbers("1."), "#.");
  EXPECT_EQ(NameWithoutNumbers(""), "");
}

}  // namespace
}  // namespace strata::imaged::transfer
