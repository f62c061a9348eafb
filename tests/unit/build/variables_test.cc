#include "imaged/build/variables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::imaged::build {
namespace {

using testing::ElementsAre;

std::optional<std::string> Lookup(const std::string& name) {
  if (name == "A") return "1 2";
  if (name == "EMPTY") return "";
  return std::nullopt;
}

std::string Expanded(const std::string& text) {
  const auto word = ExpandWord(text, Lookup, '\\');
  return word.ok() ? *word : "error: " + word.error().message();
}

TEST(Variables, AreReplacedAsDockerDoes) {
  EXPECT_EQ(Expanded("x$A"), "x1 2");
  EXPECT_EQ(Expanded("${A}y$NONE."), "1 2y.");
  EXPECT_EQ(Expanded("'$A' \"$A\" \\$A"), "$A 1 2 $A");
  EXPECT_EQ(Expanded("${NONE:-d}${EMPTY:-e}${EMPTY-f}${A:-g}"), "de1 2");
  EXPECT_EQ(Expanded("${A:+set}${EMPTY:+no}${EMPTY+yes}"), "setyes");
  EXPECT_EQ(Expanded("${NONE:-${A}}"), "1 2");
  EXPECT_EQ(Expanded("$ 5$"), "$ 5$");
  EXPECT_EQ(Expanded("${NONE:?gone}"), "error: NONE: gone");
}

TEST(Variables, WhatIsOpenIsAnError) {
  for (const char* text : {"\"a", "'a", "${A", "${A:-b", "${}", "${A#b}"}) {
    EXPECT_THAT(Expanded(text), testing::StartsWith("error")) << text;
  }
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "${N:-";
  EXPECT_THAT(Expanded(deep), testing::StartsWith("error"));
}

TEST(Variables, AnUnquotedValueMayBeSeveralWords) {
  EXPECT_THAT(*ExpandWords("a$A \"$A\" 'x y' ${EMPTY}", Lookup, '\\'),
              ElementsAre("a1", "2", "1 2", "x y"));
}

TEST(Variables, LinesKeepTheirQuotes) {
  EXPECT_EQ(*ExpandLines("'$A' \\$A \\n\n", Lookup, '\\'), "'1 2' $A \\n\n");
}

}  // namespace
}  // namespace strata::imaged::build
