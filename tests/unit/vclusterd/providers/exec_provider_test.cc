// Programs as providers: what they are given, and whatever they may do.
#include "vclusterd/providers/exec_provider.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "common/file_io.h"

namespace strata::vcluster {
namespace {

class ExecProviderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::make_unique<TemporaryDirectory>(
        TemporaryDirectory::Create("/tmp", "strata-providers.").value());
  }
  ExecProvider Program(const std::string& script, std::chrono::seconds timeout = {}) {
    ExecProvider::Options options;
    options.command = {"/bin/sh", "-c", script, "provider", dir_->path()};
    if (timeout.count() != 0) options.timeout = timeout;
    return ExecProvider(options);
  }
  std::unique_ptr<TemporaryDirectory> dir_;
  CancelToken cancel_;
};

TEST_F(ExecProviderTest, AProgramIsToldWhatToDoOnItsInputAlone) {
  ExecProvider provider = Program("cat >$1/request; echo '{\"id\": \"i-7\"}'");
  StartOrder order;
  order.offer = "small";
  order.tag = "strata-a-1";
  order.host = "cloud-1";
  order.token = "strata1-secret";
  order.masters = "lab-1=10.0.0.1:7445";
  order.labels = {"gpu"};
  const auto id = provider.Start(order, cancel_);
  ASSERT_TRUE(id.ok()) << id.error().message();
  EXPECT_EQ(*id, "i-7");
  const auto request = nlohmann::json::parse(ReadFile(dir_->path() + "/request").value());
  EXPECT_EQ(request, nlohmann::json::object({{"version", 1},
                                             {"call", "start"},
                                             {"offer", "small"},
                                             {"tag", "strata-a-1"},
                                             {"host", "cloud-1"},
                                             {"token", "strata1-secret"},
                                             {"masters", "lab-1=10.0.0.1:7445"},
                                             {"labels", {"gpu"}}}));
}

TEST_F(ExecProviderTest, EveryCallHasItsFields) {
  ExecProvider provider = Program(R"(read -r request; echo "$request" >>$1/requests
    case $request in
      *'"offers"'*) echo '{"offers": []}' ;;
      *'"machines"'*) echo '{"machines": [{"id": "1", "tag": "t-1"}]}' ;;
      *) echo '{}' ;;
    esac)");
  EXPECT_TRUE(provider.Offers(cancel_)->empty());
  EXPECT_EQ(provider.Machines("t-", cancel_)->size(), 1u);
  EXPECT_TRUE(provider.Stop("i-1", cancel_).ok());
  const std::string requests = ReadFile(dir_->path() + "/requests").value();
  EXPECT_NE(requests.find("\"tag_prefix\":\"t-\""), std::string::npos);
  EXPECT_NE(requests.find("\"id\":\"i-1\""), std::string::npos);
}

TEST_F(ExecProviderTest, AProgramThatFailsSaysWhy) {
  const auto offers =
      Program("echo first >&2; printf 'no credentials\\033[31m\\n\\n' >&2; exit 3").Offers(cancel_);
  ASSERT_FALSE(offers.ok());
  EXPECT_EQ(offers.error().code(), Code::kUnavailable);
  EXPECT_NE(offers.error().message().find("exit code 3: no credentials"), std::string::npos)
      << offers.error().message();
  EXPECT_EQ(offers.error().message().find('\x1b'), std::string::npos);
  ExecProvider none(ExecProvider::Options{{"/nowhere/provider"}, std::chrono::seconds(5)});
  EXPECT_FALSE(none.Offers(cancel_).ok());
}

TEST_F(ExecProviderTest, AProgramThatHangsFloodsOrTalksNonsenseIsAnError) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(
      Program("read -r x; exec sleep 600", std::chrono::seconds(1)).Offers(cancel_).error().code(),
      Code::kDeadlineExceeded);
  EXPECT_FALSE(Program("head -c 50000000 /dev/zero").Offers(cancel_).ok());
  EXPECT_FALSE(Program("head -c 5000000 /dev/zero | tr '\\0' '['").Offers(cancel_).ok());
  EXPECT_FALSE(Program("echo '<html>'").Offers(cancel_).ok());
  EXPECT_FALSE(Program("exit 0").Offers(cancel_).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

TEST_F(ExecProviderTest, ACallEndsWhenItIsCancelled) {
  std::jthread canceller([&] {
    while (!PathExists(dir_->path() + "/begun")) std::this_thread::yield();
    cancel_.Cancel();
  });
  const auto offers = Program("touch $1/begun; exec sleep 600").Offers(cancel_);
  ASSERT_FALSE(offers.ok());
  EXPECT_EQ(offers.error().code(), Code::kCancelled);
}

}  // namespace
}  // namespace strata::vcluster
