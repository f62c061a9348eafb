#include "imaged/build/cache_key.h"

#include <gtest/gtest.h>

#include <set>

#include "tools/vimage/build/copy_step.h"

namespace strata::imaged::build {
namespace {

TEST(CacheKey, DiffersWithEveryField) {
  const std::vector<std::string> below = {"l1", "l2"};
  std::set<std::string> keys;
  keys.insert(CacheKey(below, "run").Add("ab").Add("c").Finish());
  keys.insert(CacheKey(below, "run").Add("a").Add("bc").Finish());
  keys.insert(CacheKey(below, "copy").Add("ab").Add("c").Finish());
  keys.insert(CacheKey({"l1"}, "run").Add("ab").Add("c").Finish());
  keys.insert(CacheKey({"l1l2"}, "run").Add("ab").Add("c").Finish());
  keys.insert(CacheKey(below, "run").AddList({"ab", "c"}).Finish());
  keys.insert(CacheKey(below, "run").AddList({"ab"}).AddList({"c"}).Finish());
  EXPECT_EQ(keys.size(), 7u);
  EXPECT_EQ(CacheKey(below, "run").Add("x").Finish(), CacheKey(below, "run").Add("x").Finish());
}

TEST(CacheKey, FilesCountByAllButTheirTime) {
  PaxEntry entry;
  entry.path = "a";
  entry.mode = S_IFREG | 0644;
  const auto print = [](const PaxEntry& of, const std::string& content) {
    tools::EntryFingerprint fingerprint;
    fingerprint.Begin(of);
    fingerprint.Content(content);
    return fingerprint.Finish();
  };
  const Digest before = print(entry, "x");
  entry.mtime_s = 7;
  EXPECT_EQ(print(entry, "x"), before);
  EXPECT_NE(print(entry, "y"), before);
  entry.uid = 1;
  EXPECT_NE(print(entry, "x"), before);
  entry.uid = 0;
  entry.mode |= 0100;
  EXPECT_NE(print(entry, "x"), before);
}

}  // namespace
}  // namespace strata::imaged::build
