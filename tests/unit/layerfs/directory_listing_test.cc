// Listings of directories and how they are kept, without a mount.
#include "layerfs/fuse/directory_listing.h"

#include <dirent.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "layerfs/fuse/listing_cache.h"

namespace strata::layerfs {
namespace {

constexpr uint64_t kSeed = 7;

DirectoryListing ListingOf(const std::set<std::string>& names, uint64_t seed = kSeed) {
  DirectoryListing listing(seed);
  for (const std::string& name : names) listing.Append({name, DT_REG, name.size()});
  listing.Sort();
  return listing;
}

std::set<std::string> ManyNames(int count) {
  std::set<std::string> names;
  for (int i = 0; i < count; ++i) names.insert("name" + std::to_string(i * 7919 % count));
  return names;
}

std::vector<std::string> NamesFrom(const DirectoryListing& listing, size_t first, size_t end) {
  std::vector<std::string> names;
  for (size_t i = first; i < end; ++i) names.emplace_back(listing[i].name);
  return names;
}

TEST(DirectoryListing, HoldsWhatWasAppendedInTheOrderOfPlaces) {
  const std::set<std::string> names = ManyNames(200'000);
  const DirectoryListing listing = ListingOf(names);
  ASSERT_EQ(listing.size(), names.size());
  const std::vector<std::string> listed = NamesFrom(listing, 0, listing.size());
  EXPECT_EQ(std::set<std::string>(listed.begin(), listed.end()), names);
  for (size_t i = 0; i < listing.size(); ++i) {
    EXPECT_EQ(listing[i].lower_ino, listing[i].name.size());
    EXPECT_EQ(listing[i].type, uint32_t{DT_REG});
    EXPECT_GE(listing[i].place, DirectoryListing::kFirstPlace);
    EXPECT_LE(listing[i].place, INT32_MAX);  // What a program with a 32-bit off_t can take.
    if (i > 0) {
      EXPECT_LT(listing[i - 1].place, listing[i].place);
    }
  }
}

TEST(DirectoryListing, NamesOfAnyLengthFit) {
  const DirectoryListing listing = ListingOf({"a", std::string(255, 'x'), std::string(254, 'y')});
  EXPECT_THAT(NamesFrom(listing, 0, 3),
              ::testing::UnorderedElementsAre("a", std::string(255, 'x'), std::string(254, 'y')));
}

TEST(DirectoryListing, AnEmptyOneHasNothingAfterAnyPlace) {
  const DirectoryListing listing = ListingOf({});
  EXPECT_EQ(listing.size(), 0u);
  EXPECT_EQ(listing.After(0), 0u);
  EXPECT_EQ(listing.After(INT64_MAX), 0u);
}

// What POSIX asks of readdir, for a reader that stops anywhere while the directory changes.
TEST(DirectoryListing, AReaderThatGoesOnInALaterListingSeesEachLastingNameOnce) {
  std::set<std::string> names = ManyNames(2000);
  const DirectoryListing before = ListingOf(names);
  const size_t read = 777;
  std::vector<std::string> seen = NamesFrom(before, 0, read);
  std::set<std::string> lasting = names;
  for (int i = 0; i < 300; ++i) {
    const std::string removed = "name" + std::to_string(i * 3);
    names.erase(removed);
    lasting.erase(removed);
    names.insert("fresh" + std::to_string(i));
  }
  const DirectoryListing after = ListingOf(names);
  const std::vector<std::string> rest =
      NamesFrom(after, after.After(before[read - 1].place), after.size());
  seen.insert(seen.end(), rest.begin(), rest.end());
  for (const std::string& name : lasting) {
    EXPECT_EQ(std::count(seen.begin(), seen.end(), name), 1) << name;
  }
  EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), seen.size()) << "seen twice";
}

TEST(DirectoryListing, TheSeedDecidesTheOrder) {
  const std::set<std::string> names = ManyNames(100);
  const DirectoryListing one = ListingOf(names, 1);
  const DirectoryListing other = ListingOf(names, 2);
  EXPECT_EQ(NamesFrom(one, 0, 100), NamesFrom(ListingOf(names, 1), 0, 100));
  EXPECT_NE(NamesFrom(one, 0, 100), NamesFrom(other, 0, 100));
}

InodePtr Directory() { return std::make_shared<Inode>(1, S_IFDIR, std::nullopt); }

ListingCache::ListingPtr SomeListing() {
  return std::make_shared<const DirectoryListing>(ListingOf({"a"}));
}

TEST(ListingCache, FindsTheLastListingOfADirectory) {
  ListingCache cache;
  const InodePtr dir = Directory();
  EXPECT_EQ(cache.Find(dir), nullptr);
  const auto first = SomeListing();
  cache.Put(dir, first);
  EXPECT_EQ(cache.Find(dir), first);
  const auto second = SomeListing();
  cache.Put(dir, second);
  EXPECT_EQ(cache.Find(dir), second);
  EXPECT_EQ(cache.Find(Directory()), nullptr);
  cache.Drop(dir);
  EXPECT_EQ(cache.Find(dir), nullptr);
}

TEST(ListingCache, KeepsTheOnesThatWereUsedLast) {
  ListingCache cache;
  std::vector<InodePtr> dirs;
  for (size_t i = 0; i < ListingCache::kListingsMax; ++i) {
    dirs.push_back(Directory());
    cache.Put(dirs.back(), SomeListing());
  }
  ASSERT_NE(cache.Find(dirs[0]), nullptr);  // Used now.
  dirs.push_back(Directory());
  cache.Put(dirs.back(), SomeListing());
  EXPECT_NE(cache.Find(dirs[0]), nullptr);
  EXPECT_EQ(cache.Find(dirs[1]), nullptr);
  EXPECT_NE(cache.Find(dirs.back()), nullptr);
}

TEST(ListingCache, DoesNotKeepDirectoriesAlive) {
  ListingCache cache;
  InodePtr dir = Directory();
  cache.Put(dir, SomeListing());
  const std::weak_ptr<Inode> weak = dir;
  dir.reset();
  EXPECT_TRUE(weak.expired());
}

}  // namespace
}  // namespace strata::layerfs
