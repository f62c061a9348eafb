// vinit as process 1 of a pid namespace of its own.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/fd_passing.h"
#include "common/file_io.h"
#include "common/subprocess.h"

namespace strata::vcluster {
namespace {

using std::chrono::seconds;

class VinitTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "needs root";
    // What this test was started with is not vinit's.
    ASSERT_EQ(::close_range(3, ~0u, CLOSE_RANGE_CLOEXEC), 0);
  }

  // `unshare` waits for its child, vinit, and ends with its code.
  void Start(std::vector<std::string> arguments, std::vector<int> extra_fds = {}) {
    SubprocessOptions options;
    options.extra_fds = std::move(extra_fds);
    options.argv = {"unshare",      "-p",           "-f",
                    "--mount-proc", "--kill-child", std::string(STRATA_BIN_DIR) + "/vinit"};
    options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
    ASSERT_TRUE(RunChecked({"ip", "link", "set", "lo", "up"}).ok());
    process_.emplace(Subprocess::Start(options).value());
  }

  // The pid of vinit here, once it is process 1 there.
  pid_t Init() {
    const std::string children = "/proc/" + std::to_string(process_->pid()) + "/task/" +
                                 std::to_string(process_->pid()) + "/children";
    while (true) {
      const auto text = ReadFile(children);
      if (!text.ok() || text->empty()) continue;
      const pid_t pid = std::stoi(*text);
      const auto name = ReadFile("/proc/" + std::to_string(pid) + "/comm");
      if (name.ok() && *name == "vinit\n") return pid;
    }
  }

  UniqueFd Connect(uint16_t port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto deadline = std::chrono::steady_clock::now() + seconds(10);
    while (std::chrono::steady_clock::now() < deadline) {
      UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
        return fd;
      }
    }
    return UniqueFd();
  }

  std::optional<Subprocess> process_;
};

TEST_F(VinitTest, GivesItsLinkAnAddressOfIpv6ThatIsThereAtOnce) {
  ASSERT_TRUE(RunChecked({"ip", "link", "add", "eth0", "type", "veth", "peer", "name", "b"}).ok());
  ASSERT_TRUE(RunChecked({"ip", "link", "set", "eth0", "up"}).ok());
  Start({"--ipv6", "fd123456780000070000000000000009", "--listen", "2222", "/bin/cat", ";"});
  ASSERT_TRUE(Connect(2222).valid());
  const std::string shown = RunChecked({"ip", "-6", "address", "show", "dev", "eth0"}).value();
  EXPECT_NE(shown.find("fd12:3456:7800:7::9/64 scope global nodad deprecated"), std::string::npos)
      << shown;
  const std::string routes = RunChecked({"ip", "-6", "route"}).value();
  EXPECT_NE(routes.find("default via fd12:3456:7800:7::1 dev eth0"), std::string::npos) << routes;
}

TEST_F(VinitTest, WithoutALinkOrIpv6ItServesAsWell) {
  ASSERT_TRUE(RunChecked({"sysctl", "-q", "net.ipv6.conf.all.disable_ipv6=1"}).ok());
  Start({"--ipv6", "fd123456780000070000000000000009", "--listen", "2222", "/bin/cat", ";"});
  EXPECT_TRUE(Connect(2222).valid());
}

TEST_F(VinitTest, RunsTheProgramForEachConnectionWithTheConnectionAsItsInputAndOutput) {
  Start({"--listen", "2222", "/bin/cat", ";"});
  for (int i = 0; i < 3; ++i) {
    UniqueFd fd = Connect(2222);
    ASSERT_TRUE(fd.valid());
    ASSERT_TRUE(WriteAll(fd.get(), "hello").ok());
    ASSERT_EQ(::shutdown(fd.get(), SHUT_WR), 0);
    EXPECT_EQ(ReadAll(fd.get(), 100).value(), "hello");
  }
}

TEST_F(VinitTest, DoesNotListenForAProgramThatIsNotThere) {
  Start({"--listen", "2222", "/no/such/program", ";", "--listen", "2223", "/bin/cat", ";"});
  ASSERT_TRUE(Connect(2223).valid());
  const auto listening = RunChecked({"cat", "/proc/net/tcp"});
  EXPECT_EQ(listening->find(":08AE "), std::string::npos);  // 2222
  EXPECT_NE(listening->find(":08AF "), std::string::npos);
}

TEST_F(VinitTest, TellsThatItRunsAndUnlocksAndKeepsNeither) {
  const auto dir = TemporaryDirectory::Create("/tmp", "strata-vinit.");
  const std::string path = dir->path() + "/lock";
  UniqueFd lock = Open(path, O_RDWR | O_CREAT, 0600).value();
  ASSERT_EQ(::flock(lock.get(), LOCK_EX), 0);
  auto [ours, theirs] = MessageSockets().value();
  const int yes = 1;
  ASSERT_EQ(::setsockopt(ours.get(), SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)), 0);
  // Its command tells after it; vinit is not to wait for it.
  Start({"--started", "3", "4", "--listen", "2222", "/bin/cat", ";", "--", "/bin/sh", "-c",
         "ls /proc/self/fd >" + path + ".fds; mv " + path + ".fds " + path + ".ready; sleep 60"},
        {theirs.get(), lock.get()});
  theirs.reset();
  lock.reset();
  const PassedMessage told = ReceivePassed(ours.get(), 1).value();
  EXPECT_EQ(told.bytes, "1");
  EXPECT_EQ(told.sender, Init());
  const UniqueFd again = Open(path, O_RDWR).value();
  EXPECT_NE(::flock(again.get(), LOCK_EX | LOCK_NB), 0);
  ASSERT_TRUE(SendPassing(ours.get(), "1", {}).ok());
  EXPECT_EQ(ReceivePassed(ours.get(), 1)->bytes, "2");
  EXPECT_EQ(::flock(again.get(), LOCK_EX | LOCK_NB), 0);
  EXPECT_TRUE(Connect(2222).valid());
  while (!PathExists(path + ".ready")) {
  }
  EXPECT_EQ(ReadFile(path + ".ready").value(), "0\n1\n2\n3\n") << "3 is that of ls itself";
  const std::string fds = "/proc/" + std::to_string(told.sender) + "/fd";
  for (const auto& file : std::filesystem::directory_iterator(fds)) {
    std::error_code closed;  // The connection of a moment ago, while this was looking.
    const std::string target = std::filesystem::read_symlink(file, closed).string();
    if (closed == std::errc::no_such_file_or_directory) continue;
    // A socket is the listener's alone.
    EXPECT_TRUE(target == "/dev/null" || target.starts_with("socket:")) << file << target;
  }
  EXPECT_FALSE(PathExists(fds + "/4"));
}

TEST_F(VinitTest, EndsBeforeItsCommandWhenNobodyHasItOnRecord) {
  const auto dir = TemporaryDirectory::Create("/tmp", "strata-vinit.");
  UniqueFd lock = Open(dir->path() + "/lock", O_RDWR | O_CREAT, 0600).value();
  auto [ours, theirs] = MessageSockets().value();
  Start({"--started", "3", "4", "--", "/bin/touch", dir->path() + "/begun"},
        {theirs.get(), lock.get()});
  theirs.reset();
  ASSERT_EQ(ReceivePassed(ours.get(), 1)->bytes, "1");
  ours.reset();
  EXPECT_EQ(process_->WaitFor(seconds(10)).value(), 1);
  EXPECT_FALSE(PathExists(dir->path() + "/begun"));
}

TEST_F(VinitTest, ReapsOrphansAndOutlivesItsCommand) {
  Start({"--", "/bin/sh", "-c", "(sleep 0.1 &) ; exit 3"});
  const std::string children =
      "/proc/" + std::to_string(Init()) + "/task/" + std::to_string(Init()) + "/children";
  const auto deadline = std::chrono::steady_clock::now() + seconds(10);
  // Empty at first, then the command, then its orphan, then empty for good.
  bool seen = false;
  while (std::chrono::steady_clock::now() < deadline) {
    const std::string text = ReadFile(children).value();
    seen = seen || !text.empty();
    if (seen && text.empty()) break;
  }
  EXPECT_EQ(ReadFile(children).value(), "");
  EXPECT_EQ(process_->WaitFor(std::chrono::milliseconds(50)).error().code(),
            Code::kDeadlineExceeded);
}

TEST_F(VinitTest, SigtermGivesTheCommandTimeToEnd) {
  const auto dir = TemporaryDirectory::Create("/tmp", "strata-vinit.");
  const std::string file = dir->path() + "/ended";
  Start({"--", "/bin/sh", "-c",
         "trap 'echo done > " + file + "; exit' TERM; echo > " + file +
             ".ready; "
             "while true; do sleep 0.05; done"});
  while (!PathExists(file + ".ready")) {
  }
  ASSERT_EQ(::kill(Init(), SIGTERM), 0);
  EXPECT_EQ(process_->WaitFor(seconds(5)).value(), 0);
  EXPECT_EQ(ReadFile(file).value(), "done\n");
}

TEST_F(VinitTest, KillsWhatDoesNotEndAfterTheGrace) {
  const auto dir = TemporaryDirectory::Create("/tmp", "strata-vinit.");
  const std::string ready = dir->path() + "/ready";
  Start({"--grace", "1", "--", "/bin/sh", "-c",
         "trap '' TERM; echo > " + ready + "; while true; do sleep 1; done"});
  while (!PathExists(ready)) {
  }
  const auto start = std::chrono::steady_clock::now();
  ASSERT_EQ(::kill(Init(), SIGTERM), 0);
  EXPECT_EQ(process_->WaitFor(seconds(10)).value(), 0);
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(900));
}

TEST_F(VinitTest, RefusesToBeAnythingButProcessOneAndWrongArguments) {
  const std::string vinit = std::string(STRATA_BIN_DIR) + "/vinit";
  EXPECT_EQ(strata::Run({vinit})->exit_code, 1);
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--listen", "0", "/bin/cat", ";"},
        {"--listen", "22", "/bin/cat"},
        {"--listen", "22"},
        {"--grace"},
        {"--grace", "x"},
        {"--started", "3"},
        {"--started", "3", "x"},
        {"--what"},
        {"--listen", "22", ";"}}) {
    std::vector<std::string> argv = {"unshare", "-p", "-f", "--kill-child", vinit};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    EXPECT_EQ(strata::Run(argv)->exit_code, 1) << arguments[0];
  }
}

TEST_F(VinitTest, TakesLittleMemory) {
  Start({});
  const std::string rollup = ReadFile("/proc/" + std::to_string(Init()) + "/smaps_rollup").value();
  EXPECT_LE(std::stol(rollup.substr(rollup.find("\nPss:") + 5)), 64);
}

}  // namespace
}  // namespace strata::vcluster
