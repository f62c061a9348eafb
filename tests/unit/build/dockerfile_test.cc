#include "imaged/build/dockerfile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::imaged::build {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::string ErrorOf(const std::string& text) {
  const auto parsed = ParseDockerfile(text, "D");
  return parsed.ok() ? "" : parsed.error().message();
}

TEST(Dockerfile, StagesHoldTheirInstructionsWithLines) {
  const auto file = ParseDockerfile(
      "ARG V=1\n\n# a comment\nFROM a:$V AS Base\nRUN x\nfrom base\n  copy --from=base a b\n", "D");
  ASSERT_TRUE(file.ok()) << file.error().message();
  EXPECT_EQ(file->global_arguments.size(), 1u);
  ASSERT_EQ(file->stages.size(), 2u);
  EXPECT_EQ(file->stages[0].base, "a:$V");
  EXPECT_EQ(file->stages[0].name, "base");
  const Instruction& copy = file->stages[1].instructions.at(0);
  EXPECT_EQ(copy.keyword, "COPY");
  EXPECT_EQ(copy.line, 7);
  EXPECT_EQ(copy.text, "a b");
  EXPECT_THAT(copy.flags, ElementsAre(Flag{"from", "base"}));
}

TEST(Dockerfile, LinesGoOnOverCommentsAndEmptyOnes) {
  const auto file =
      ParseDockerfile("FROM a\nRUN one \\\n# no\n\n  two \\  \n three\nUSER u\n", "D");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->stages[0].instructions[0].text, "one   two  three");
  EXPECT_EQ(file->stages[0].instructions[1].line, 7);
}

TEST(Dockerfile, TheEscapeIsChosenByADirective) {
  const auto file = ParseDockerfile("# syntax=x\n# escape=`\nFROM a\nRUN b `\n c\\\nUSER d\n", "D");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->stages[0].instructions[0].text, "b  c\\");
  EXPECT_EQ(file->stages[0].instructions[1].text, "d");
}

TEST(Dockerfile, HeredocsAreLinesOfTheirInstruction) {
  const auto file = ParseDockerfile(
      "FROM a\nRUN cat <<E >x && cat <<-'F'\n $a\nE\n\tb\n\tF\nCOPY <<G /g\n# kept\nG\nRUN c\n",
      "D");
  ASSERT_TRUE(file.ok()) << file.error().message();
  const auto& run = file->stages[0].instructions[0];
  ASSERT_EQ(run.heredocs.size(), 2u);
  EXPECT_EQ(run.heredocs[0].content, " $a\n");
  EXPECT_TRUE(run.heredocs[0].expand);
  EXPECT_EQ(run.heredocs[1].content, "b\n");
  EXPECT_FALSE(run.heredocs[1].expand);
  EXPECT_EQ(file->stages[0].instructions[1].heredocs.at(0).content, "# kept\n");
  EXPECT_EQ(file->stages[0].instructions[2].line, 10);
}

TEST(Dockerfile, ExecFormIsJsonAndAnythingElseIsText) {
  const auto file = ParseDockerfile("FROM a\nCMD [\"a\", \"b\\n\\u00e9\"]\nCMD [a]\n", "D");
  ASSERT_TRUE(file.ok());
  EXPECT_THAT(*file->stages[0].instructions[0].words, ElementsAre("a", "b\n\xc3\xa9"));
  EXPECT_FALSE(file->stages[0].instructions[1].words);
  EXPECT_FALSE(ParseJsonWords(R"(["\ud800x"])"));
  EXPECT_FALSE(ParseJsonWords(R"(["a",])"));
  EXPECT_EQ(*ParseJsonWords(R"(["\ud83d\ude00"])"), std::vector<std::string>{"\xf0\x9f\x98\x80"});
}

TEST(Dockerfile, ErrorsNameFileAndLine) {
  EXPECT_THAT(ErrorOf("FROM a\n\nRAN x\n"), StartsWith("D:3: 'RAN' is no instruction"));
  EXPECT_THAT(ErrorOf("RUN x\n"), StartsWith("D:1: only ARG"));
  EXPECT_THAT(ErrorOf("FROM a AS b\nFROM c AS B\n"), HasSubstr("D:2: line 1 has a stage 'b'"));
  EXPECT_THAT(ErrorOf("FROM a\nCOPY <<E /e\nx\n"), HasSubstr("D:2: the line 'E'"));
  EXPECT_THAT(ErrorOf("FROM a\nRUN\n"), HasSubstr("D:2: RUN needs"));
  EXPECT_THAT(ErrorOf("# nothing\n"), HasSubstr("no FROM"));
  EXPECT_THAT(ErrorOf(std::string("FROM a\nRUN \0x", 13)), HasSubstr("D:2: a zero byte"));
}

TEST(Dockerfile, LimitsAreEnforced) {
  EXPECT_THAT(ErrorOf(std::string(kDockerfileBytesMax + 1, '\n')), HasSubstr("larger than"));
  std::string many = "FROM a\n";
  for (size_t i = 0; i < kInstructionsMax; ++i) many += "USER a\n";
  EXPECT_THAT(ErrorOf(many), HasSubstr("instructions"));
  std::string stages;
  for (size_t i = 0; i <= kStagesMax; ++i) stages += "FROM a\n";
  EXPECT_THAT(ErrorOf(stages), HasSubstr("stages"));
}

}  // namespace
}  // namespace strata::imaged::build
