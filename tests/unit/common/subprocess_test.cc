#include "common/subprocess.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <csignal>

#include "common/file_io.h"
#include "common/parallel.h"

namespace strata {
namespace {

TEST(Subprocess, ArgumentsReachTheProgramUninterpreted) {
  const std::string nasty = "a b; $(echo x) 'q' \"d\" *\n";
  const auto output = strata::Run({"printf", "%s|", nasty, ""});
  ASSERT_TRUE(output.ok());
  EXPECT_EQ(output->out, nasty + "||");
}

TEST(Subprocess, InputAndBothOutputsPassAtOnceBeyondAPipesCapacity) {
  const std::string input(3 << 20, 'x');
  const auto output = strata::Run({"sh", "-c", "tee /dev/stderr"}, input);
  ASSERT_TRUE(output.ok());
  EXPECT_EQ(output->out.size(), input.size());
  EXPECT_EQ(output->err.size(), input.size());
}

TEST(Subprocess, AProgramMayLeaveItsInputUnread) {
  const std::string input(1 << 20, 'x');
  auto output = strata::Run({"sh", "-c", "exec <&-; exit 7"}, input);
  ASSERT_TRUE(output.ok()) << output.error().message();
  EXPECT_EQ(output->exit_code, 7);
}

TEST(Subprocess, OutputIsKeptOnlyUpToTheLimit) {
  const auto output =
      strata::Run({"head", "-c", "1000000", "/dev/zero"}, "", std::chrono::minutes(1), 1000);
  ASSERT_TRUE(output.ok());
  EXPECT_EQ(output->out.size(), 1000u);
  EXPECT_EQ(output->exit_code, 0);
}

TEST(Subprocess, AFailureCarriesTheLastLineOfStandardError) {
  const auto output = RunChecked({"sh", "-c", "echo one >&2; echo two >&2; exit 3"});
  ASSERT_FALSE(output.ok());
  EXPECT_EQ(output.error().message(), "sh failed with exit code 3: two");
}

TEST(Subprocess, AProgramThatIsNotThereIsNotFound) {
  const auto output = strata::Run({"/nonexistent/program"});
  ASSERT_FALSE(output.ok());
  EXPECT_EQ(output.error().code(), Code::kNotFound);
}

TEST(Subprocess, ADeadlineKillsTheProgram) {
  const auto begin = std::chrono::steady_clock::now();
  const auto output = strata::Run({"sleep", "60"}, "", std::chrono::milliseconds(100));
  ASSERT_FALSE(output.ok());
  EXPECT_EQ(output.error().code(), Code::kDeadlineExceeded);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST(Subprocess, TheChildHasOnlyTheDescriptorsItWasGiven) {
  const UniqueFd memory(::memfd_create("strata-leak", MFD_CLOEXEC));
  // As libraries open them; above the numbers that are the child's own.
  const UniqueFd leak(::fcntl(memory.get(), F_DUPFD, 100));
  auto file = Open("/dev/zero", O_RDONLY);
  ASSERT_TRUE(leak.valid() && file.ok());
  int pipe_fds[2];
  ASSERT_EQ(::pipe2(pipe_fds, O_CLOEXEC), 0);
  UniqueFd read_end(pipe_fds[0]);
  UniqueFd write_end(pipe_fds[1]);
  SubprocessOptions options;
  options.argv = {"sh", "-c", "for n in /proc/$$/fd/*; do readlink $n; done"};
  options.stdout_fd = write_end.get();
  options.extra_fds = {file->get()};
  auto process = Subprocess::Start(options);
  ASSERT_TRUE(process.ok());
  write_end.reset();
  const auto listing = ReadAll(read_end.get(), 1 << 16);
  ASSERT_TRUE(process->Wait().ok());
  EXPECT_NE(listing->find("/dev/zero"), std::string::npos) << *listing;
  EXPECT_EQ(listing->find("strata-leak"), std::string::npos) << *listing;
}

TEST(Subprocess, ASignalIsToldAsAShellTellsIt) {
  SubprocessOptions options;
  options.argv = {"sleep", "60"};
  auto process = Subprocess::Start(options);
  ASSERT_TRUE(process.ok());
  EXPECT_EQ(process->WaitFor(std::chrono::milliseconds(10)).error().code(),
            Code::kDeadlineExceeded);
  process->Kill(SIGTERM);
  EXPECT_EQ(*process->Wait(), 128 + SIGTERM);
}

TEST(ParallelFor, DoesEveryPieceOnceAndStopsAtAnError) {
  std::vector<std::atomic<int>> done(1000);
  ASSERT_TRUE(ParallelFor(done.size(), [&](size_t i) -> Status {
                ++done[i];
                return Ok();
              }).ok());
  for (const auto& count : done) EXPECT_EQ(count, 1);

  std::atomic<int> started{0};
  const Status failed = ParallelFor(1'000'000, [&](size_t i) -> Status {
    ++started;
    if (i == 10) return Error(Code::kCorrupt, "ten");
    return Ok();
  });
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().message(), "ten");
  EXPECT_LT(started, 1'000'000);
}

}  // namespace
}  // namespace strata
