#include "imaged/build/ignore_file.h"

#include <gtest/gtest.h>

namespace strata::imaged::build {
namespace {

TEST(IgnoreFile, PatternsMatchWholePaths) {
  EXPECT_TRUE(MatchesPattern("*.o", "a.o"));
  EXPECT_FALSE(MatchesPattern("*.o", "d/a.o"));
  EXPECT_TRUE(MatchesPattern("**/*.o", "a.o"));
  EXPECT_TRUE(MatchesPattern("**/*.o", "d/e/a.o"));
  EXPECT_TRUE(MatchesPattern("d/**", "d/e/f"));
  EXPECT_TRUE(MatchesPattern("a/**/z", "a/z"));
  EXPECT_TRUE(MatchesPattern("a/**/z", "a/b/c/z"));
  EXPECT_FALSE(MatchesPattern("a/**/z", "a/bz"));
  EXPECT_TRUE(MatchesPattern("a?[b-d]", "a/c") == false && MatchesPattern("a?[b-d]", "axc"));
  EXPECT_FALSE(MatchesPattern("[^a]", "a"));
  EXPECT_TRUE(MatchesPattern("\\*", "*"));
  EXPECT_FALSE(MatchesPattern("\\*", "a"));
}

TEST(IgnoreFile, TheLastPatternThatMatchesCounts) {
  const auto file = IgnoreFile::Parse("# no\nout\n/logs/*.log\n!logs/keep.log\n", "i");
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(file->Ignores("out"));
  EXPECT_TRUE(file->Ignores("out/deep/file"));
  EXPECT_FALSE(file->Ignores("src/out"));
  EXPECT_TRUE(file->Ignores("logs/a.log"));
  EXPECT_FALSE(file->Ignores("logs/keep.log"));
  EXPECT_TRUE(file->has_exceptions());
}

TEST(IgnoreFile, PathsCannotLeaveTheRoot) {
  EXPECT_EQ(CleanPath("/a/../../b//./c/"), "b/c");
  EXPECT_EQ(CleanPath("../.."), "");
}

TEST(IgnoreFile, APatternOfStarsTakesNoTimeToSpeakOf) {
  EXPECT_FALSE(MatchesPattern(std::string(500, '*') + "b", std::string(2000, 'a')));
  std::string stars;
  for (int i = 0; i < 200; ++i) stars += "*a";
  EXPECT_FALSE(MatchesPattern(stars + "b", std::string(2000, 'a')));
}

}  // namespace
}  // namespace strata::imaged::build
