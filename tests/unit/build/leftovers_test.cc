#include "tools/vimage/build/leftovers.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "common/file_io.h"

namespace strata::tools {
namespace {

TEST(Leftovers, ANameTellsWhoMadeIt) {
  const BuildClient client{0xf0000004, 4194304, 0x123456789};
  const std::string name = BuildClusterName(client, 0xffff);
  EXPECT_LE(name.size(), 40u);  // As long as a Vcluster's name may be.
  EXPECT_EQ(ClientOf(name), client);
  for (const char* other : {"build-1-2-3", "build-1-2-3-4-5", "build-x-2-3-4", "hpc", "build-"}) {
    EXPECT_EQ(ClientOf(other), std::nullopt) << other;
  }
}

TEST(Leftovers, OnlyAProcessThatEndedIsGone) {
  const auto self = ThisClient();
  ASSERT_TRUE(self.ok()) << self.error().message();
  EXPECT_FALSE(IsGone(*self));
  BuildClient other = *self;
  ++other.start_ticks;  // The pid was given again.
  EXPECT_TRUE(IsGone(other));
  ++other.pid_namespace;
  EXPECT_FALSE(IsGone(other));

  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const auto child = ThisClient();
    const bool told = child.ok() && ::write(pipe[1], &*child, sizeof(*child)) == sizeof(*child);
    if (told) ::pause();
    ::_exit(1);
  }
  BuildClient child;
  ASSERT_EQ(::read(pipe[0], &child, sizeof(child)), static_cast<ssize_t>(sizeof(child)));
  EXPECT_FALSE(IsGone(child));
  ::kill(pid, SIGKILL);
  siginfo_t info;
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  EXPECT_TRUE(IsGone(child));  // Dead, and nobody has waited for it.
  ::waitpid(pid, nullptr, 0);
  EXPECT_TRUE(IsGone(child));
  ::close(pipe[0]);
  ::close(pipe[1]);
}

}  // namespace
}  // namespace strata::tools
