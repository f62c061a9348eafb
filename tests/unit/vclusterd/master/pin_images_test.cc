// Names of images become the versions that the nodes have.
#include "vclusterd/master/pin_images.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::vcluster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class PinImagesTest : public ::testing::Test {
 protected:
  PinImagesTest() {
    vcluster_.record.set_name("lab");
    vcluster_.definition.name = "lab";
    vcluster_.definition.roles.resize(1);
    role().name = "web";
    role().image = "site:v1";
  }
  Role& role() { return vcluster_.definition.roles[0]; }
  // A node of the role; without `digest`: nobody says anything of it.
  void Add(uint32_t ordinal, const std::string& digest) {
    master::v1::Node* node = vcluster_.record.add_nodes();
    node->set_index(static_cast<uint32_t>(vcluster_.record.nodes_size()) + 10);
    node->set_role("web");
    node->set_ordinal(ordinal);
    role().count = static_cast<uint32_t>(vcluster_.record.nodes_size());
    if (digest.empty()) return;
    host::v1::NodeStatus& status = states_[node->index()];
    status.set_image("alice/site:v1");
    status.set_image_digest(digest);
  }
  Role Pinned() {
    const auto pinned = PinImages(vcluster_, states_);
    EXPECT_TRUE(pinned.ok()) << pinned.error().message();
    if (!pinned.ok()) return {};
    const Status good = CheckDefinition(*pinned);
    EXPECT_TRUE(good.ok()) << good.error().message();
    return pinned->roles[0];
  }

  static std::string Digest(char digit) { return "blake3:" + std::string(64, digit); }

  Vcluster vcluster_;
  NodeStates states_;
};

TEST_F(PinImagesTest, NodesThatAreAlikeHaveOneImage) {
  Add(0, Digest('a'));
  Add(1, Digest('a'));
  EXPECT_EQ(Pinned().image, "site@" + Digest('a'));
  EXPECT_THAT(Pinned().images, IsEmpty());
}

TEST_F(PinImagesTest, ATagThatMovedMeanwhileKeepsEachNodesOwnVersion) {
  Add(1, Digest('b'));
  Add(0, Digest('a'));
  Add(2, Digest('b'));
  EXPECT_EQ(Pinned().image, "site@" + Digest('b'));
  EXPECT_THAT(Pinned().images, ElementsAre("site@" + Digest('a')));
}

TEST_F(PinImagesTest, ImagesOfSingleNodesAreTheirs) {
  role().images = {"bob/first:v3"};
  Add(0, Digest('a'));
  Add(1, Digest('b'));
  EXPECT_EQ(Pinned().image, "site@" + Digest('b'));
  EXPECT_THAT(Pinned().images, ElementsAre("bob/first@" + Digest('a')));
}

TEST_F(PinImagesTest, AnImageThatNoNodeHasStaysAName) {
  role().images = {"bob/first@" + Digest('c')};
  Add(0, Digest('c'));
  EXPECT_EQ(Pinned().image, "site:v1");
  EXPECT_THAT(Pinned().images, ElementsAre("bob/first@" + Digest('c')));
}

TEST_F(PinImagesTest, NodesThatLeaveDoNotCount) {
  Add(0, Digest('a'));
  Add(1, Digest('b'));
  vcluster_.record.mutable_nodes(1)->set_leaving(true);
  EXPECT_EQ(Pinned().image, "site@" + Digest('a'));
}

TEST_F(PinImagesTest, ANodeOfWhichNothingIsKnownIsNamed) {
  Add(0, Digest('a'));
  Add(1, "");
  const auto pinned = PinImages(vcluster_, states_);
  ASSERT_FALSE(pinned.ok());
  EXPECT_EQ(pinned.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(pinned.error().message(), HasSubstr("lab/web-1"));
}

}  // namespace
}  // namespace strata::vcluster
