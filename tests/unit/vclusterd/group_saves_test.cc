// Saves of several nodes of this host as of one moment, with real containers.
#include <future>

#include "tests/unit/vclusterd/clusters_fixture.h"

namespace strata::vcluster {
namespace {

class GroupSavesTest : public ClustersTest {
 protected:
  std::string StateOf(uint32_t node) {
    return ReadFile("/sys/fs/cgroup/freezer/lxc.payload.s" + config_.host.instance + "-1-" +
                    std::to_string(node) + "/freezer.state")
        .value();
  }
  Result<std::unique_ptr<PartSave>> Start(uint32_t nodes) {
    std::vector<PartSaveNode> wanted;
    for (uint32_t i = 0; i < nodes; ++i) {
      wanted.push_back({i, {}});
      wanted.back().parameters.reference = "saved-" + std::to_string(i);
    }
    return host_->nodes().StartSave(1, wanted);
  }
  // Both nodes count in files of theirs, without a pause.
  void Count() {
    for (const char* node : {"w/0", "w/1"}) {
      ASSERT_EQ(Run(kAlice, node,
                    {"sh", "-c",
                     "(i=0; while true; do i=$((i+1)); echo $i >/root/n; done) >/dev/null 2>&1 "
                     "</dev/null & echo up"}),
                "up\n");
    }
  }
  std::string Read(size_t node) {
    const auto text = ReadFile(images_->saved_uppers.at(node) + "/root/n");
    return text.ok() ? *text : "";
  }
};

TEST_F(GroupSavesTest, AllStandStillTogetherAndRunAgainWhenTheirOwnIsTaken) {
  ASSERT_TRUE(Create(kAlice, "w", 2).ok());
  Count();
  auto save = Start(2);
  ASSERT_TRUE(save.ok()) << save.error().message();
  ASSERT_EQ(images_->saved_uppers.size(), 2u);
  ASSERT_TRUE((*save)->Copy().ok());
  EXPECT_EQ(StateOf(0) + StateOf(1), "THAWED\nTHAWED\n");
  ASSERT_TRUE((*save)->Freeze().ok());
  EXPECT_EQ(StateOf(0) + StateOf(1), "FROZEN\nFROZEN\n");
  const std::string before = Read(0) + Read(1);
  const auto until = std::chrono::steady_clock::now() + milliseconds(100);
  while (std::chrono::steady_clock::now() < until) EXPECT_EQ(Read(0) + Read(1), before);
  ASSERT_TRUE((*save)->Take().ok());
  EXPECT_EQ(StateOf(0) + StateOf(1), "THAWED\nTHAWED\n");
  const auto images = (*save)->Finish();
  ASSERT_TRUE(images.ok()) << images.error().message();
  EXPECT_EQ(images->size(), 2u);
  EXPECT_GT((*images)[0].stall.count(), 0);
}

TEST_F(GroupSavesTest, WhateverEndsItBeforeTheNodesRunOn) {
  ASSERT_TRUE(Create(kAlice, "w", 2).ok());
  {
    auto save = Start(2);
    ASSERT_TRUE(save.ok() && (*save)->Copy().ok() && (*save)->Freeze().ok());
  }  // Whoever led it is gone.
  EXPECT_EQ(StateOf(0) + StateOf(1), "THAWED\nTHAWED\n");
  images_->second_round_fails = true;
  {
    auto save = Start(2);
    ASSERT_TRUE(save.ok() && (*save)->Copy().ok() && (*save)->Freeze().ok());
    EXPECT_FALSE((*save)->Take().ok());
    (*save)->Release();
    EXPECT_EQ(StateOf(0) + StateOf(1), "THAWED\nTHAWED\n");
  }
  EXPECT_EQ(Run(kAlice, "w/1", {"hostname"}), "w-1\n");
}

TEST_F(GroupSavesTest, OneThatIsForgottenThawsByItselfAndIsNotTakenThen) {
  ASSERT_TRUE(Create(kAlice, "w", 2).ok());
  auto save = Start(2);
  ASSERT_TRUE(save.ok() && (*save)->Copy().ok() && (*save)->Freeze().ok());
  const auto until = std::chrono::steady_clock::now() + kFrozenMax + seconds(15);
  while (StateOf(0) + StateOf(1) != "THAWED\nTHAWED\n") {
    ASSERT_LT(std::chrono::steady_clock::now(), until);
    std::this_thread::yield();
  }
  const Status taken = (*save)->Take();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code(), Code::kDeadlineExceeded);
}

TEST_F(GroupSavesTest, OneOfManyNodesLeavesTheOthersOfItsHostTheirThreads) {
  constexpr uint32_t kNodes = 9;  // More than there are threads that start nodes.
  ASSERT_TRUE(Create(kAlice, "w", kNodes).ok());
  auto save = Start(kNodes);
  ASSERT_TRUE(save.ok()) << save.error().message();
  const uint64_t revision = host_->nodes().StatusOf(1, false).revision();
  auto stopped = std::async(std::launch::async,
                            [&] { return clusters_->Stop(kAlice, "w", milliseconds(100)).ok(); });
  while (host_->nodes().StatusOf(1, false).revision() == revision) std::this_thread::yield();
  auto other = std::async(std::launch::async, [&] { return Create(kAlice, "other", 1).ok(); });
  EXPECT_EQ(other.wait_for(seconds(20)), std::future_status::ready);
  EXPECT_NE(stopped.wait_for(seconds(0)), std::future_status::ready) << "saved and stopped at once";
  save->reset();
  EXPECT_TRUE(other.get());
  EXPECT_TRUE(stopped.get());
}

TEST_F(GroupSavesTest, ANodeTwiceOrNotThereIsRefused) {
  ASSERT_TRUE(Create(kAlice, "w", 2).ok());
  EXPECT_EQ(host_->nodes().StartSave(1, {{0, {}}, {0, {}}}).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(host_->nodes().StartSave(1, {{7, {}}}).error().code(), Code::kNotFound);
  EXPECT_TRUE(Start(2).ok());  // Nothing is held.
}

}  // namespace
}  // namespace strata::vcluster
