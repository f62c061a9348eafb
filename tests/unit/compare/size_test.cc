// The work of diff and rebase is that of the change, not of the images.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "imaged/compare/rebase.h"
#include "tests/unit/compare/compare_images.h"

namespace strata::imaged {
namespace {

using namespace testing;  // NOLINT
using ::testing::ElementsAre;

std::string NameOf(int directory, int file) {
  return "usr/lib/d" + std::to_string(directory) + "/f" + std::to_string(file);
}

// 200 directories of 500 files each, two in a hundred with a second name.
Tree LargeTree() {
  Tree tree;
  for (int directory = 0; directory < 200; ++directory) {
    for (int file = 0; file < 500; ++file) {
      const std::string path = NameOf(directory, file);
      const InodeIndex index = testing::Put(&tree, path, ObjectFile(path, 1000 + file));
      if (file % 50 != 0) continue;
      const InodeIndex parent = *tree.Find("usr/lib/d" + std::to_string(directory));
      Must(tree.Link(parent, "link" + std::to_string(file), index));
    }
  }
  return tree;
}

// Ten changes in five directories.
Tree TenChanges(const std::string& content) {
  Tree layer;
  for (int directory = 10; directory < 60; directory += 10) {
    testing::Put(&layer, NameOf(directory, 1), ObjectFile(content + NameOf(directory, 1), 5000));
    testing::Put(&layer, NameOf(directory, 3), Whiteout());
  }
  return layer;
}

class LargeImages : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const Tree bottom = LargeTree();
    origin_ = new Image({&bottom});
    image_ = new Image(origin_->With(TenChanges("image")));
  }
  static void TearDownTestSuite() {
    delete origin_;
    delete image_;
    origin_ = image_ = nullptr;
  }
  static Image* origin_;
  static Image* image_;
};
Image* LargeImages::origin_ = nullptr;
Image* LargeImages::image_ = nullptr;

TEST_F(LargeImages, ADiffLooksOnlyAtWhatTheLayersMention) {
  const DiffResult diff = Diff(origin_->View(), image_->View(), {false});
  EXPECT_EQ(diff.lines.size(), 10u);
  EXPECT_LT(diff.summary.looked_at, 250u);
  EXPECT_EQ(diff.summary.new_object_bytes, 25'000u);
  const DiffResult back = Diff(image_->View(), origin_->View(), {false});
  EXPECT_EQ(back.lines.size(), 10u);
  EXPECT_LT(back.summary.looked_at, 250u);
}

TEST_F(LargeImages, OnlyTheSearchForAnObjectElsewhereLooksAtTheFilesOfOneImage) {
  const DiffResult diff = Diff(origin_->View(), image_->View(), {true});
  EXPECT_EQ(diff.summary.new_object_bytes, 25'000u);
  EXPECT_GT(diff.summary.looked_at, 100'000u);
  EXPECT_LT(diff.summary.looked_at, 103'000u);
}

TEST_F(LargeImages, WithoutACommonLayerBothAreReadOnce) {
  const DiffResult layered = Diff(origin_->View(), image_->View(), {false});
  const DiffResult whole = Diff(origin_->WholeView(), image_->WholeView(), {false});
  EXPECT_EQ(whole.lines, layered.lines);
  EXPECT_GT(whole.summary.looked_at, 200'000u);
}

TEST_F(LargeImages, ARemovedDirectoryCostsWhatIsInIt) {
  const Image after = origin_->With(Layer({"usr/", "usr/lib/", "usr/lib/d7?"}));
  const DiffResult diff = Diff(origin_->View(), after.View(), {false});
  EXPECT_EQ(diff.lines.size(), 511u);
  EXPECT_LT(diff.summary.looked_at, 2'500u);
}

TEST_F(LargeImages, OneOfTwoNamesCostsALookAtAllNames) {
  const Image after = origin_->With(Layer({"usr/", "usr/lib/", "usr/lib/d7/", "usr/lib/d7/f50?"}));
  const DiffResult diff = Diff(origin_->View(), after.View(), {false});
  EXPECT_THAT(diff.lines, ElementsAre("- usr/lib/d7/f50", "~ usr/lib/d7/link50 links"));
  EXPECT_LT(diff.summary.looked_at, 2 * 102'300u);
}

TEST_F(LargeImages, TheLayerOfARebaseHoldsTheTenChanges) {
  const Image base = origin_->With(Layer({"usr/:m700", "usr/lib/", "usr/lib/d9?", "etc/x=1"}));
  const RebaseResult result =
      Must(RebaseImage(origin_->View(), image_->View(), base.reader(), {}));
  ASSERT_TRUE(result.layer.has_value());
  EXPECT_EQ(result.layer->entry_count(), 10u + 5u + 2u);
  Tree rebased = base.LoadTree();
  Must(ApplyLayer(*result.layer, &rebased));
  const Image found({&rebased});
  EXPECT_EQ(Diff(base.WholeView(), found.WholeView()).lines,
            Diff(origin_->View(), image_->View()).lines);
}

}  // namespace
}  // namespace strata::imaged
