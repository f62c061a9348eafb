// Properties that hold for all images, tried on random ones. A failure names its seed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/compare/compare_images.h"
#include "tests/unit/compare/random_layers.h"
#include "tests/unit/compare/rebase_oracle.h"

namespace strata::imaged {
namespace {

using namespace testing;  // NOLINT
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

constexpr uint64_t kSeeds = 500;

// Names by path, each with the set of all names of its inode.
using Partners = std::map<std::string, std::set<std::string>>;

Partners PartnersOf(const Tree& tree) {
  std::map<InodeIndex, std::set<std::string>> groups;
  std::map<std::string, InodeIndex> names;
  Must(tree.Walk([&](const std::string& path, InodeIndex index) -> Status {
    if (tree.inode(index).IsDirectory()) return Ok();
    groups[index].insert(path);
    names[path] = index;
    return Ok();
  }));
  Partners partners;
  for (const auto& [path, index] : names) partners[path] = groups[index];
  return partners;
}

// The lines of a diff, by comparing every path of both.
std::vector<std::string> PlainDiff(const Tree& before, const Tree& after) {
  const Paths left = PathsOf(before);
  const Paths right = PathsOf(after);
  const Partners left_names = PartnersOf(before);
  const Partners right_names = PartnersOf(after);
  Paths both = left;
  both.insert(right.begin(), right.end());
  std::vector<std::string> lines;
  for (const auto& [path, unused] : both) {
    if (!left.contains(path)) lines.push_back("+ " + path);
    if (!right.contains(path)) lines.push_back("- " + path);
    if (!left.contains(path) || !right.contains(path)) continue;
    Entry b = left.at(path);
    Entry a = right.at(path);
    uint32_t differences = 0;
    if (b.time != a.time) differences |= kMtime;
    const auto compare = [&](const char* field, uint32_t bit) {
      if (b.fields[field] != a.fields[field]) differences |= bit;
      b.fields.erase(field);
      a.fields.erase(field);
    };
    if (b.type != a.type) {
      differences |= kType;
      b.fields["content"] = a.fields["content"] = "";
    }
    compare("content", S_ISLNK(b.type) ? kTarget : kContent);
    compare("mode", kMode);
    compare("owner", kOwner);
    if (b.fields != a.fields) differences |= kXattrs;
    if (left_names.contains(path) && right_names.contains(path) &&
        left_names.at(path) != right_names.at(path)) {
      differences |= kLinks;
    }
    if (differences != 0) lines.push_back("~ " + path + " " + PrintDifferences(differences));
  }
  return lines;
}

std::set<std::pair<Digest, uint64_t>> ObjectsOf(const Tree& tree) {
  std::set<std::pair<Digest, uint64_t>> objects;
  Must(tree.Walk([&](const std::string&, InodeIndex index) -> Status {
    const Inode& inode = tree.inode(index);
    if (!inode.object.IsZero()) objects.emplace(inode.object, inode.size);
    return Ok();
  }));
  return objects;
}

// Three images: the second is made from the first, the third nearly always too.
struct Images {
  explicit Images(uint64_t seed) : random(seed) {
    origin = Extend(Extend(Image(), 30), random() % 10);
    image = Extend(origin, 1 + random() % 12);
    if (random() % 2 == 0) image = Extend(image, 1 + random() % 8);
    base = random() % 8 == 0 ? Extend(Image(), 30) : Extend(origin, 1 + random() % 12);
  }
  Image Extend(const Image& image_below, size_t size) {
    return image_below.With(RandomLayer(&random, image_below.LoadTree(), size));
  }
  std::mt19937_64 random;
  Image origin, image, base;
};

void CheckDiff(const Image& before, const Image& after) {
  const DiffResult layered = Diff(before.View(), after.View());
  const DiffResult whole = Diff(before.WholeView(), after.WholeView());
  const Tree left = before.LoadTree();
  const Tree right = after.LoadTree();
  EXPECT_THAT(layered.lines, ElementsAreArray(PlainDiff(left, right)));
  EXPECT_THAT(whole.lines, ElementsAreArray(layered.lines));
  uint64_t new_bytes = 0;
  const auto old_objects = ObjectsOf(left);
  for (const auto& object : ObjectsOf(right)) {
    if (!old_objects.contains(object)) new_bytes += object.second;
  }
  EXPECT_EQ(layered.summary.new_object_bytes, new_bytes);
  EXPECT_EQ(whole.summary.new_object_bytes, new_bytes);
  EXPECT_EQ(layered.summary.added_bytes, whole.summary.added_bytes);
  EXPECT_EQ(layered.summary.changed_bytes, whole.summary.changed_bytes);
}

TEST(RandomImages, DiffSaysWhatAPlainComparisonOfAllPathsSays) {
  for (uint64_t seed = 1; seed <= kSeeds && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Images images(seed);
    CheckDiff(images.origin, images.image);
    CheckDiff(images.image, images.base);
  }
}

Tree Rebased(const Images& images, const RebaseResult& result) {
  Tree tree = images.base.LoadTree();
  Must(ApplyLayer(*result.layer, &tree));
  return tree;
}

TEST(RandomImages, RebaseGivesWhatTheOracleSays) {
  uint64_t conflicts = 0;
  for (uint64_t seed = 1; seed <= kSeeds && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Images images(seed);
    for (const Side side : {Side::kImage, Side::kBase}) {
      SCOPED_TRACE(side == Side::kImage ? "prefers the image" : "prefers the base");
      const Expected expected =
          ExpectRebase(PathsOf(images.origin.LoadTree()), PathsOf(images.image.LoadTree()),
                       PathsOf(images.base.LoadTree()), side);
      const RebaseResult result = Must(RebaseImage(images.origin.View(), images.image.View(),
                                                   images.base.reader(), {side, {}}));
      std::map<std::string, ConflictKind> found;
      for (const RebaseConflict& each : result.conflicts) found[each.path] = each.kind;
      EXPECT_EQ(found, expected.conflicts);
      EXPECT_THAT(Lines(PathsOf(Rebased(images, result))),
                  ElementsAreArray(Lines(expected.paths)));
      conflicts += found.size();
      const RebaseResult whole = Must(RebaseImage(
          images.origin.WholeView(), images.image.WholeView(), images.base.reader(), {side, {}}));
      EXPECT_EQ(Describe(*whole.layer), Describe(*result.layer));
      EXPECT_EQ(whole.split_links, result.split_links);
    }
  }
  EXPECT_GT(conflicts, kSeeds);  // The images are not too tame.
}

TEST(RandomImages, APathInConflictIsOneSidesAsAWhole) {
  for (uint64_t seed = 1; seed <= kSeeds && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Images images(seed);
    const Paths image = PathsOf(images.image.LoadTree());
    const Paths base = PathsOf(images.base.LoadTree());
    const RebasePolicy mixed{Side::kImage, {{"a", Side::kBase}, {"c", Side::kBase}}};
    const RebaseResult result = Must(
        RebaseImage(images.origin.View(), images.image.View(), images.base.reader(), mixed));
    const RebaseResult refused = Must(
        RebaseImage(images.origin.View(), images.image.View(), images.base.reader(), {}));
    EXPECT_EQ(refused.layer.has_value(), result.conflicts.empty());
    const Paths rebased = PathsOf(Rebased(images, result));
    for (const RebaseConflict& each : result.conflicts) {
      const Paths& side = each.side == Side::kImage ? image : base;
      if (side.contains(each.path)) {
        EXPECT_TRUE(rebased.contains(each.path) && rebased.at(each.path) == side.at(each.path))
            << each.path;
      } else {
        EXPECT_FALSE(rebased.contains(each.path)) << each.path;
      }
    }
  }
}

TEST(RandomImages, RebaseOntoTheOriginGivesTheImage) {
  for (uint64_t seed = 1; seed <= kSeeds && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Images images(seed);
    const RebaseResult result = Must(
        RebaseImage(images.origin.View(), images.image.View(), images.origin.reader(), {}));
    EXPECT_THAT(result.conflicts, IsEmpty());
    EXPECT_THAT(result.split_links, IsEmpty());
    Tree tree = images.origin.LoadTree();
    Must(ApplyLayer(*result.layer, &tree));
    EXPECT_THAT(Describe(tree), ElementsAreArray(Describe(images.image.LoadTree())));
  }
}

TEST(RandomImages, RebaseOfTheOriginGivesTheBase) {
  for (uint64_t seed = 1; seed <= kSeeds && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Images images(seed);
    const RebaseResult result = Must(RebaseImage(
        images.origin.WholeView(), images.origin.WholeView(), images.base.reader(), {}));
    EXPECT_THAT(result.conflicts, IsEmpty());
    EXPECT_EQ(result.layer->entry_count(), 0u);
    EXPECT_THAT(Describe(Rebased(images, result)),
                ElementsAreArray(Describe(images.base.LoadTree())));
  }
}

TEST(RandomImages, LinksOfTheImageHoldUnlessTheyAreReportedAsSplit) {
  uint64_t held = 0;
  for (uint64_t seed = 1; seed <= kSeeds && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Images images(seed);
    const RebaseResult result = Must(RebaseImage(images.origin.View(), images.image.View(),
                                                 images.base.reader(), {Side::kImage, {}}));
    const std::set<std::string> split(result.split_links.begin(), result.split_links.end());
    const Tree tree = Rebased(images, result);
    const Partners rebased = PartnersOf(tree);
    const Paths rebased_paths = PathsOf(tree);
    const Paths image_paths = PathsOf(images.image.LoadTree());
    const Partners layer = PartnersOf(*result.layer);
    const Partners image = PartnersOf(images.image.LoadTree());
    const Partners origin = PartnersOf(images.origin.LoadTree());
    for (const auto& [path, names] : layer) {
      if (result.layer->inode(*result.layer->Find(path)).IsWhiteout()) continue;
      // What the layer links, the image linked.
      EXPECT_TRUE(std::includes(image.at(path).begin(), image.at(path).end(),
                                names.begin(), names.end())) << path;
    }
    for (const auto& [path, names] : image) {
      const auto was = origin.find(path);
      const bool is_new = was == origin.end() || was->second != names;
      if (names.size() < 2 || !is_new || split.contains(*names.begin())) continue;
      const auto now = rebased.find(path);
      // Not the image's file at all, or merged with the base's.
      if (now == rebased.end() || rebased_paths.at(path) != image_paths.at(path)) continue;
      EXPECT_TRUE(std::includes(now->second.begin(), now->second.end(),
                                names.begin(), names.end())) << path;
      ++held;
    }
  }
  EXPECT_GT(held, kSeeds / 4);
}

TEST(RandomImages, DamagedManifestsAreSurvived) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Images images(seed);
    std::string bytes = ImageOf(images.image.LoadTree());
    for (int i = 0; i < 3; ++i) {  // Behind the block that the checksum covers.
      if (bytes.size() > 4096) bytes[4096 + images.random() % (bytes.size() - 4096)] ^= 0x41;
    }
    const auto reader = Must(ErofsReader::FromMemory(bytes));
    const ComparedImage damaged{reader.get(), {}};
    const auto diff = DiffImages(images.origin.View(), damaged, {},
                                 [](const DiffEntry&) { return Ok(); });
    if (!diff.ok()) {
      EXPECT_EQ(diff.error().code(), Code::kCorrupt) << diff.error().message();
    }
    for (const ErofsReader& base : {std::cref(images.base.reader()), std::cref(*reader)}) {
      const auto rebased = RebaseImage(images.origin.View(), damaged, base, {Side::kImage, {}});
      if (!rebased.ok()) {
        EXPECT_NE(rebased.error().code(), Code::kInternal);
      }
    }
  }
}

}  // namespace
}  // namespace strata::imaged
