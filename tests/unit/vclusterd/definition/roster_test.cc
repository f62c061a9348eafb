// Rosters: what is read, and what is refused with its line.
#include "vclusterd/definition/roster.h"

#include <gtest/gtest.h>

namespace strata::vcluster {
namespace {

std::string ErrorOf(std::string_view text) {
  const auto roster = ParseRoster(text, "r.csv");
  return roster.ok() ? "" : roster.error().message();
}

TEST(RosterTest, ColumnsStandInAnyOrderAndFieldsMayBeQuoted) {
  const auto roster = ParseRoster(
      "\xef\xbb\xbfname,user,group\r\n"
      "\"Anna, \"\"the first\"\"\",anna,morning\r\n"
      "B\xc3\xb6hm,bert_2,\n"
      "\"\",carl@example.org,late",
      "r.csv");
  ASSERT_TRUE(roster.ok()) << roster.error().message();
  ASSERT_EQ(roster->size(), 3u);
  EXPECT_EQ((*roster)[0], (RosterEntry{"anna", "Anna, \"the first\"", "", "morning", 2}));
  EXPECT_EQ((*roster)[1], (RosterEntry{"bert_2", "B\xc3\xb6hm", "", "", 3}));
  EXPECT_EQ((*roster)[2], (RosterEntry{"carl@example.org", "", "", "late", 4}));
}

TEST(RosterTest, EmptyLinesAndBlanksAroundFieldsDoNotCount) {
  const auto roster =
      ParseRoster("\nuser,name\r\n anna\t, Anna A \r\n\r\n\"bert\",\" B \"\n\n", "r.csv");
  ASSERT_TRUE(roster.ok()) << roster.error().message();
  ASSERT_EQ(roster->size(), 2u);
  EXPECT_EQ((*roster)[0], (RosterEntry{"anna", "Anna A", "", "", 3}));
  EXPECT_EQ((*roster)[1], (RosterEntry{"bert", " B ", "", "", 5}));
}

TEST(RosterTest, WhereAHeaderIsOptionalLinesAreUserNameAndMail) {
  const auto read = [](std::string_view text) {
    return ParseRoster(text, "r.csv", RosterHeader::kOptional);
  };
  const auto roster = read("anna,Anna,a@example.org\nbert\ncarl,\"Carl \"\"C\"\" Roe\"\n");
  ASSERT_TRUE(roster.ok()) << roster.error().message();
  ASSERT_EQ(roster->size(), 3u);
  EXPECT_EQ((*roster)[0], (RosterEntry{"anna", "Anna", "a@example.org", "", 1}));
  EXPECT_EQ((*roster)[1], (RosterEntry{"bert", "", "", "", 2}));
  EXPECT_EQ((*roster)[2], (RosterEntry{"carl", "Carl \"C\" Roe", "", "", 3}));
  const auto headed = read("user,group\nanna,late\n");
  ASSERT_TRUE(headed.ok()) << headed.error().message();
  EXPECT_EQ((*headed)[0].group, "late");
  EXPECT_NE(read("anna\nbert,B,b@example.org,42\n").error().message().find("line 2"),
            std::string::npos);
  EXPECT_NE(read("anna\n,Bert\n").error().message().find("line 2"), std::string::npos);
  EXPECT_NE(read("").error().message().find("names nobody"), std::string::npos);
}

TEST(RosterTest, WhatIsWrongIsNamedWithItsLine) {
  EXPECT_NE(ErrorOf("").find("r.csv is empty"), std::string::npos);
  EXPECT_NE(ErrorOf("user\n").find("names nobody"), std::string::npos);
  EXPECT_NE(ErrorOf("name,mail\na,b\n").find("line 1: the header names no column 'user'"),
            std::string::npos);
  EXPECT_NE(ErrorOf("user,age\na,3\n").find("line 1: the header names a column 'age'"),
            std::string::npos);
  EXPECT_NE(ErrorOf("user,user\na,b\n").find("twice"), std::string::npos);
  EXPECT_NE(ErrorOf("user,name\na,b\nc\n").find("line 3: has 1 fields"), std::string::npos);
  EXPECT_NE(ErrorOf("user,name\na,\"x\ny\"\na,z\n").find("control characters"), std::string::npos);
  EXPECT_NE(ErrorOf("user\nanna\nbert\nanna\n").find("line 4: user 'anna' is in line 2"),
            std::string::npos);
  EXPECT_NE(ErrorOf("user,name\na,\"open\n").find("line 2: has a quote that is not closed"),
            std::string::npos);
  EXPECT_NE(ErrorOf("user,name\na,\"b\"c\n").find("closing quote"), std::string::npos);
  EXPECT_NE(ErrorOf("user,name\na,b\"c\n").find("does not begin with one"), std::string::npos);
  EXPECT_NE(ErrorOf("user\n../a\n").find("is no name of a user"), std::string::npos);
  EXPECT_NE(ErrorOf("user\na/b\n").find("is no name of a user"), std::string::npos);
  EXPECT_NE(ErrorOf("user,name\na,\xff\n").find("no UTF-8"), std::string::npos);
  EXPECT_NE(ErrorOf("user\n" + std::string(300, 'a') + "\n").find("more than 256 bytes"),
            std::string::npos);
  EXPECT_NE(ErrorOf("user\ra\n").find("line 1"), std::string::npos);
}

TEST(RosterTest, ThereAreLimits) {
  std::string lines = "user\n";
  for (size_t i = 1; i < kRosterLinesMax; ++i) lines += "u" + std::to_string(i) + "\n";
  EXPECT_EQ(ErrorOf(lines), "");
  EXPECT_NE(ErrorOf(lines + "last\n").find("more than 10000 lines"), std::string::npos);
  EXPECT_NE(ErrorOf(std::string(kRosterBytesMax + 1, 'x')).find("larger than 3 MiB"),
            std::string::npos);
}

}  // namespace
}  // namespace strata::vcluster
