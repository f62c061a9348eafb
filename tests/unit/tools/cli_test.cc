#include <google/protobuf/struct.pb.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "tools/cli/exit_code.h"
#include "tools/cli/human.h"
#include "tools/cli/json.h"
#include "tools/cli/progress.h"
#include "tools/cli/table.h"
#include "tools/vimage/command_words.h"
#include "tools/vimage/debian_source.h"

namespace strata::tools {
namespace {

using std::chrono::milliseconds;

TEST(HumanTest, SizesAreWrittenInPowersOf1024) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes(1048575), "1.0 MiB");
  EXPECT_EQ(HumanBytes(UINT64_MAX), "16.0 EiB");
  EXPECT_EQ(HumanCount(999), "999");
  EXPECT_EQ(HumanCount(1234567), "1,234,567");
}

TEST(HumanTest, ModesLookLikeThoseOfLs) {
  EXPECT_EQ(ModeString(0100755), "-rwxr-xr-x");
  EXPECT_EQ(ModeString(0041777), "drwxrwxrwt");
  EXPECT_EQ(ModeString(0104644), "-rwSr--r--");
}

TEST(TableTest, ColumnsAreAsWideAsTheirContentAndNumbersStandRight) {
  Table table({"NAME", ">SIZE"});
  table.Add({"a", "5"});
  table.Add({"größer", "12345"});
  std::ostringstream out;
  table.Print(out);
  EXPECT_EQ(out.str(), "NAME     SIZE\na           5\ngrößer  12345\n");
}

TEST(TableTest, ADescriptionCannotSendEscapesToTheTerminal) {
  Table table({"DESCRIPTION"});
  table.Add(
      {"\033[2Jgone\xc2\x9b"
       "31m\n"});
  std::ostringstream out;
  table.Print(out);
  const std::string text = out.str();
  EXPECT_EQ(text.find('\033'), std::string::npos);
  EXPECT_EQ(text.find("\xc2\x9b"), std::string::npos);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
}

class ProgressTest : public testing::Test {
 protected:
  std::ostringstream out_;
  std::ostringstream err_;
  Console console_{out_, err_, -1, -1, -1, false};
  ProgressLine::Time start_;
};

TEST_F(ProgressTest, OutsideATerminalLinesAreRareAndPlain) {
  ProgressLine progress(console_, "import x", false);
  progress.Update({"read", 0, 2048, true, 0}, start_);
  progress.Update({"read", 1024, 2048, true, 0}, start_ + milliseconds(4900));
  progress.Update({"read", 1024, 2048, true, 7}, start_ + milliseconds(5000));
  progress.Update({"commit", 0, 0, true, 0}, start_ + milliseconds(5001));
  EXPECT_EQ(err_.str(),
            "import x: read 0 B of 2.0 KiB\n"
            "import x: read 1.0 KiB of 2.0 KiB, 7 files, 204 B/s\n"
            "import x: commit\n");
}

TEST_F(ProgressTest, OnATerminalOneLineIsRedrawnAndTakenAwayAtTheEnd) {
  console_.err_is_terminal = true;
  {
    ProgressLine progress(console_, "clone", false);
    progress.Update({"start", 5, 10, false, 0}, start_);
    EXPECT_EQ(err_.str(), "\r\033[Kclone: start [############------------] 5 of 10");
  }
  EXPECT_TRUE(err_.str().ends_with("\r\033[K"));
  EXPECT_EQ(err_.str().find('\n'), std::string::npos);
}

TEST_F(ProgressTest, QuietSaysNothing) {
  ProgressLine progress(console_, "clone", true);
  progress.Update({"start", 5, 10, false, 0}, start_);
  EXPECT_EQ(err_.str(), "");
}

TEST(BarTest, NeverLeavesItsBounds) {
  EXPECT_EQ(Bar(0, 0, 4), "[----]");
  EXPECT_EQ(Bar(1, 2, 4), "[##--]");
  EXPECT_EQ(Bar(9, 2, 4), "[####]");
}

TEST(ExitCodeTest, EveryErrorHasTheDocumentedNumber) {
  EXPECT_EQ(ExitCodeOf(Code::kInternal), 1);
  EXPECT_EQ(ExitCodeOf(Code::kInvalidArgument), 2);
  EXPECT_EQ(ExitCodeOf(Code::kNotFound), 3);
  EXPECT_EQ(ExitCodeOf(Code::kPermissionDenied), 4);
  EXPECT_EQ(ExitCodeOf(Code::kAlreadyExists), 5);
  EXPECT_EQ(ExitCodeOf(Code::kUnavailable), 6);
  EXPECT_EQ(ExitCodeOf(Code::kFailedPrecondition), 7);
  EXPECT_EQ(ExitCodeOf(Code::kResourceExhausted), 7);
  EXPECT_EQ(ExitCodeOf(Code::kCorrupt), 8);
  EXPECT_EQ(ExitCodeOf(Code::kCancelled), 130);
}

TEST(CommandWordsTest, AreSplitAtBlanksOrGivenAsJson) {
  EXPECT_EQ(*CommandWords(""), std::vector<std::string>());
  EXPECT_EQ(*CommandWords(" a  b "), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(*CommandWords(R"(["sh","-c","a b"])"), (std::vector<std::string>{"sh", "-c", "a b"}));
  EXPECT_FALSE(CommandWords(R"(["a", 1])").ok());
  EXPECT_FALSE(CommandWords("[a").ok());
}

TEST(DebianSourceTest, TheMirrorsOfThisMachineAreUsedForItsOwnSuite) {
  const std::string targets =
      "http://m/debian/ Debian bookworm main Packages\n"
      "http://m/debian/ Debian bookworm main DEP-11\n"
      "http://m/debian/ Debian bookworm-updates main Packages\n"
      "http://m/security/ Debian bookworm-security main Packages\n"
      "http://other/ Vendor bookworm main Packages\n";
  EXPECT_EQ(MirrorLines(targets, "bookworm"),
            (std::vector<std::string>{"deb http://m/debian/ bookworm main",
                                      "deb http://m/debian/ bookworm-updates main",
                                      "deb http://m/security/ bookworm-security main"}));
  EXPECT_TRUE(MirrorLines(targets, "trixie").empty());
  EXPECT_TRUE(MirrorLines("http://m/ Debian sid-updates main Packages\n", "sid").empty());
}

TEST(DebianSourceTest, ASuiteCannotBecomeAnOption) {
  SourceArguments arguments;
  EXPECT_EQ(StartDebianSource("--aptopt=x", arguments).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(StartDebianSource("", arguments).error().code(), Code::kInvalidArgument);
  arguments.packages = {"a b"};
  EXPECT_EQ(StartDebianSource("bookworm", arguments).error().code(), Code::kInvalidArgument);
  arguments.packages = {"python3", "git"};
  EXPECT_EQ(MmdebstrapCommand("bookworm", arguments),
            (std::vector<std::string>{"mmdebstrap", "--format=tar", "--variant=minbase",
                                      "--include=python3,git", "--", "bookworm", "-"}));
}

}  // namespace
}  // namespace strata::tools
