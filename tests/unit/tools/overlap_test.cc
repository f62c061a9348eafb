// What students' changes have in common.
#include "tools/vclass/overlap.h"

#include <gtest/gtest.h>

namespace strata::tools {
namespace {

TEST(OverlapTest, TheSameBytesAreFoundUnderOtherNames) {
  const std::vector<StudentFiles> students = {
      {"anna", {{"0:/root/lab.c", "aa", 1000}, {"0:/root/own.c", "a1", 1000}}},
      {"bert", {{"0:/root/mine/x.c", "aa", 1000}}},
      {"carl", {{"0:/root/lab.c", "c1", 1000}}},
  };
  const Overlaps found = FindOverlaps(students, {});
  ASSERT_EQ(found.pairs.size(), 1u);
  const Overlap& pair = found.pairs[0];
  EXPECT_EQ(pair.user + " " + pair.other, "anna bert");
  EXPECT_EQ(pair.share, 1.0);  // All of what bert has.
  EXPECT_EQ(pair.bytes, 1000u);
  ASSERT_EQ(pair.files.size(), 1u);
  EXPECT_EQ(pair.files[0].path, "0:/root/lab.c");
  EXPECT_EQ(pair.files[0].other_path, "0:/root/mine/x.c");
  EXPECT_EQ(pair.files[0].holders, 2u);
}

TEST(OverlapTest, WhatMostHaveWasHandedOut) {
  std::vector<StudentFiles> students;
  for (const char* user : {"a", "b", "c", "d"}) {
    students.push_back({user, {{"0:/root/task.pdf", "task", 50'000}}});
  }
  students[1].files.push_back({"0:/root/s", "both", 700});
  students[3].files.push_back({"0:/root/s", "both", 700});
  const Overlaps found = FindOverlaps(students, {});
  EXPECT_EQ(found.handed_out, 1u);
  ASSERT_EQ(found.pairs.size(), 1u);
  EXPECT_EQ(found.pairs[0].user + found.pairs[0].other, "bd");
  EXPECT_EQ(found.pairs[0].share, 1.0);  // The task does not count.
}

TEST(OverlapTest, FilesWithoutContentAndTwiceTheSameDoNotCount) {
  const std::vector<StudentFiles> students = {
      {"a", {{"x", "", 10}, {"y", "o", 100}, {"z", "o", 100}}},
      {"b", {{"x", "", 10}, {"y", "o", 100}}},
  };
  const Overlaps found = FindOverlaps(students, {});
  ASSERT_EQ(found.pairs.size(), 1u);
  EXPECT_EQ(found.pairs[0].bytes, 100u);
  EXPECT_EQ(found.pairs[0].files.size(), 1u);
  OverlapOptions larger;
  larger.bytes_min = 101;
  EXPECT_TRUE(FindOverlaps(students, larger).pairs.empty());
}

}  // namespace
}  // namespace strata::tools
