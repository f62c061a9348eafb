// The sockets of nodes, with callers that behave and others that do not. Needs root: files are
// given to the roots of nodes.
#include "vclusterd/host/node_sockets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <condition_variable>
#include <future>
#include <set>

#include "common/file_io.h"

namespace strata::vcluster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Clock = std::chrono::steady_clock;

constexpr char kStatus[] = "strata 1 status\ntoken x\n\n";

class FakeDesk final : public NodeDesk {
 public:
  Result<host::v1::NodeTokenResponse> MakeToken(
      const host::v1::NodeTokenRequest& request) override {
    const std::lock_guard lock(mutex_);
    ++tokens_;
    changed_.notify_all();
    if (refuses_ > 0 && refuses_-- > 0) return Error(Code::kUnavailable, "no master yet");
    host::v1::NodeTokenResponse response;
    response.set_token("token-" + std::to_string(request.index()) + "-" + std::to_string(tokens_));
    response.set_life_ms(life_ms_);
    return response;
  }
  Result<host::v1::NodeAskResponse> Ask(const host::v1::NodeAskRequest& request) override {
    std::unique_lock lock(mutex_);
    ++asked_;
    last_ = request;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !holds_; });
    host::v1::NodeAskResponse response;
    response.set_notice("of " + std::to_string(request.number()) + "-" +
                        std::to_string(request.index()));
    return response;
  }

  void RefuseTokens(int times) {
    const std::lock_guard lock(mutex_);
    refuses_ = times;
  }
  void SetLife(int64_t ms) {
    const std::lock_guard lock(mutex_);
    life_ms_ = ms;
  }
  void Hold(bool holds) {
    const std::lock_guard lock(mutex_);
    holds_ = holds;
    changed_.notify_all();
  }
  bool AwaitTokens(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, seconds(20), [&] { return tokens_ >= count; });
  }
  bool AwaitAsked(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, seconds(20), [&] { return asked_ >= count; });
  }
  int asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }
  host::v1::NodeAskRequest last() {
    const std::lock_guard lock(mutex_);
    return last_;
  }

 private:
  std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  int refuses_ = 0;
  int64_t life_ms_ = 86'400'000;
  bool holds_ = false;
  int tokens_ = 0;
  int asked_ = 0;
  host::v1::NodeAskRequest last_;
};

class NodeSocketsTest : public ::testing::Test {
 protected:
  void Start(NodeSocketsOptions options = {}) {
    options.retry_pause = milliseconds(5);
    options.retry_pause_max = milliseconds(20);
    auto sockets = NodeSockets::Start(options);
    ASSERT_TRUE(sockets.ok()) << sockets.error().message();
    sockets_ = std::move(*sockets);
    sockets_->SetDesk(desk_);
  }
  // Callers are root: the roots of these nodes are, too, unless another is given.
  AskingNode Node(uint32_t index, uint32_t root_uid = 0, uint32_t turn = 1) {
    AskingNode node{"7-" + std::to_string(index),
                    7,
                    index,
                    turn,
                    dir_.path() + "/" + std::to_string(index),
                    root_uid};
    EXPECT_TRUE(MakeDirectories(node.directory).ok());
    return node;
  }
  void Open(uint32_t index, uint32_t root_uid = 0, uint32_t turn = 1) {
    const Status open = sockets_->Open(Node(index, root_uid, turn));
    ASSERT_TRUE(open.ok()) << open.error().message();
  }
  std::string PathOf(uint32_t index, const std::string& name) {
    return dir_.path() + "/" + std::to_string(index) + "/" + name;
  }

  UniqueFd Connect(uint32_t index) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval patience = {20, 0};
    EXPECT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const std::string path = PathOf(index, "socket");
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
      return UniqueFd();
    }
    return fd;
  }
  static std::string Rest(int fd) {
    std::string text;
    char buffer[4096];
    ssize_t n = 0;
    while ((n = ::recv(fd, buffer, sizeof(buffer), 0)) > 0) text.append(buffer, size_t(n));
    return text;
  }
  std::string Say(uint32_t index, std::string_view text) {
    const UniqueFd fd = Connect(index);
    if (!fd.valid()) return "(nobody)";
    ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
    return Rest(fd.get());
  }
  std::string AwaitFile(const std::string& path, const std::string& unlike = "") {
    const auto deadline = Clock::now() + seconds(20);
    while (Clock::now() < deadline) {
      const auto text = ReadFile(path);
      if (text.ok() && *text != unlike) return *text;
      std::this_thread::yield();
    }
    return "(none)";
  }

  TemporaryDirectory dir_ = TemporaryDirectory::Create("/tmp", "strata-sockets.").value();
  std::shared_ptr<FakeDesk> desk_ = std::make_shared<FakeDesk>();
  std::unique_ptr<NodeSockets> sockets_;
};

TEST_F(NodeSocketsTest, TheDeskHearsWhichNodeAsksWhateverTheNodeSays) {
  Start();
  Open(3);
  Open(4);
  EXPECT_EQ(Say(3, kStatus), "0\nROLE  WANTED  RUNNING  NODES MAY ASK FOR\nnotice: of 7-3\n");
  EXPECT_THAT(Say(4, "strata 1 scale\ntoken t\nrole web=+2\n\n"), HasSubstr("of 7-4"));
  const auto last = desk_->last();
  EXPECT_EQ(last.number(), 7u);
  EXPECT_EQ(last.index(), 4u);
  EXPECT_EQ(last.token(), "t");
  EXPECT_EQ(last.roles(0).count(), 2);
}

TEST_F(NodeSocketsTest, SocketAndTokenAreForTheRootOfTheNodeAlone) {
  Start();
  Open(1, /*root_uid=*/54321);
  EXPECT_EQ(AwaitFile(PathOf(1, "token")), "token-1-1\n");
  for (const auto& [name, mode] : {std::pair("token", 0400u), std::pair("socket", 0600u)}) {
    struct stat st = {};
    ASSERT_EQ(::stat(PathOf(1, name).c_str(), &st), 0) << name;
    EXPECT_EQ(st.st_uid, 54321u) << name;
    EXPECT_EQ(st.st_mode & 0777, mode) << name;
  }
  // Not even the host's root is the node's.
  EXPECT_EQ(Say(1, kStatus), "4\nonly root may ask\n");
  EXPECT_EQ(desk_->asked(), 0);
}

TEST_F(NodeSocketsTest, ATokenIsFetchedUntilItIsThereAndAgainBeforeItEnds) {
  desk_->RefuseTokens(3);
  desk_->SetLife(1);  // Taken as two seconds.
  Start();
  Open(1);
  const std::string first = AwaitFile(PathOf(1, "token"));
  EXPECT_EQ(first, "token-1-4\n");
  EXPECT_EQ(AwaitFile(PathOf(1, "token"), first), "token-1-5\n");
}

TEST_F(NodeSocketsTest, AllowedAnewItGetsAnotherToken) {
  Start();
  Open(1);
  const std::string first = AwaitFile(PathOf(1, "token"));
  Open(1);
  Open(1, 0, /*turn=*/2);
  EXPECT_EQ(AwaitFile(PathOf(1, "token"), first), "token-1-2\n");
}

TEST_F(NodeSocketsTest, ClosedItLeavesNothingAndNobodyAnswers) {
  Start();
  Open(1);
  AwaitFile(PathOf(1, "token"));
  sockets_->Close("7-1");
  sockets_->Close("7-1");
  EXPECT_EQ(Say(1, kStatus), "(nobody)");
  EXPECT_FALSE(PathExists(PathOf(1, "token")));
  EXPECT_FALSE(PathExists(PathOf(1, "socket")));
}

TEST_F(NodeSocketsTest, TheNextProcessTakesTheSocketOver) {
  Start();
  Open(1);
  EXPECT_THAT(Say(1, kStatus), StartsWith("0\n"));
  sockets_.reset();
  EXPECT_EQ(Say(1, kStatus), "(nobody)");
  Start();
  Open(1);
  EXPECT_THAT(Say(1, kStatus), StartsWith("0\n"));
}

TEST_F(NodeSocketsTest, WithoutADeskItSaysSoAndTheOneBeforeIsNotCalledAnyMore) {
  Start();
  Open(1);
  desk_->Hold(true);
  const UniqueFd held = Connect(1);
  ASSERT_GT(::send(held.get(), kStatus, sizeof(kStatus) - 1, 0), 0);
  ASSERT_TRUE(desk_->AwaitAsked(1));
  auto taken = std::async(std::launch::async, [&] { sockets_->SetDesk(nullptr); });
  EXPECT_EQ(taken.wait_for(milliseconds(50)), std::future_status::timeout);
  desk_->Hold(false);
  taken.wait();
  EXPECT_THAT(Rest(held.get()), StartsWith("0\n"));
  EXPECT_THAT(Say(1, kStatus), StartsWith("6\n"));
  EXPECT_EQ(desk_->asked(), 1);
}

TEST_F(NodeSocketsTest, WhatIsNoCallIsAnsweredByNobodyElse) {
  Start();
  Open(1);
  EXPECT_THAT(Say(1, "GET / HTTP/1.1\n\n"), StartsWith("2\n"));
  EXPECT_THAT(Say(1, std::string(9000, 'x')), StartsWith("2\n"));
  EXPECT_EQ(desk_->asked(), 0);
}

TEST_F(NodeSocketsTest, WhoIsSlowIsCutOff) {
  NodeSocketsOptions options;
  options.call_max = milliseconds(100);
  Start(options);
  Open(1);
  const auto begun = Clock::now();
  const UniqueFd silent = Connect(1);
  const UniqueFd slow = Connect(1);
  ASSERT_GT(::send(slow.get(), "strata 1", 8, 0), 0);
  EXPECT_EQ(Rest(silent.get()), "");
  EXPECT_EQ(Rest(slow.get()), "");
  EXPECT_GE(Clock::now() - begun, options.call_max);
  EXPECT_LT(Clock::now() - begun, seconds(10));  // Before they lost their patience.
  EXPECT_THAT(Say(1, kStatus), StartsWith("0\n"));
}

TEST_F(NodeSocketsTest, ANodeThatTakesAllItsPlacesKeepsNobodyElseWaiting) {
  Start();
  Open(1);
  Open(2);
  std::vector<UniqueFd> idle;
  for (size_t i = 0; i < NodeSocketsOptions().calls_at_once; ++i) idle.push_back(Connect(1));
  const UniqueFd next = Connect(1);
  ASSERT_GT(::send(next.get(), kStatus, sizeof(kStatus) - 1, 0), 0);
  EXPECT_THAT(Say(2, kStatus), HasSubstr("of 7-2"));
  // Its own next call waits for the end of an earlier one.
  EXPECT_EQ(desk_->asked(), 1);
  idle.clear();
  EXPECT_THAT(Rest(next.get()), HasSubstr("of 7-1"));
}

TEST_F(NodeSocketsTest, AFloodIsServedAtItsRateAndOthersAreNot) {
  NodeSocketsOptions options;
  options.calls_burst = 5;
  options.calls_per_s = 10;
  Start(options);
  Open(1);
  Open(2);
  const auto begun = Clock::now();
  for (int i = 0; i < 10; ++i) EXPECT_THAT(Say(1, kStatus), StartsWith("0\n"));
  // Five at once, and a tenth of a second for each of the others.
  EXPECT_GE(Clock::now() - begun, milliseconds(400));
  std::vector<UniqueFd> waiting;
  for (int i = 0; i < 8; ++i) waiting.push_back(Connect(1));
  const auto calm = Clock::now();
  EXPECT_THAT(Say(2, kStatus), HasSubstr("of 7-2"));
  EXPECT_LT(Clock::now() - calm, seconds(5));
}

TEST_F(NodeSocketsTest, EndsWhileNodesAsk) {
  Start();
  Open(1);
  std::vector<UniqueFd> open;
  for (int i = 0; i < 5; ++i) open.push_back(Connect(1));
  sockets_->SetDesk(nullptr);
  sockets_.reset();
  EXPECT_EQ(Rest(open[0].get()), "");
}

}  // namespace
}  // namespace strata::vcluster
