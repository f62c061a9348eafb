#include "imaged/build/cache_age.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::imaged::build {
namespace {

using testing::ElementsAre;

const std::vector<CacheEntry> kEntries = {
    {300, {{"c", 10}}}, {100, {{"a", 10}, {"shared", 5}}}, {200, {{"b", 10}, {"shared", 5}}}};

TEST(CacheAge, TheOldGoAndThenTheLeastRecentlyUsed) {
  EXPECT_THAT(EntriesToForget(kEntries, {}, {}), ElementsAre(1, 2, 0));
  EXPECT_THAT(EntriesToForget(kEntries, 200, {}), ElementsAre(1));
  EXPECT_THAT(EntriesToForget(kEntries, 0, {}), ElementsAre());
  EXPECT_THAT(EntriesToForget(kEntries, {}, 35), ElementsAre());
  EXPECT_THAT(EntriesToForget(kEntries, {}, 25), ElementsAre(1));
  EXPECT_THAT(EntriesToForget(kEntries, {}, 24), ElementsAre(1, 2));  // "shared" stays with 2.
  EXPECT_THAT(EntriesToForget(kEntries, 201, 35), ElementsAre(1, 2));
}

}  // namespace
}  // namespace strata::imaged::build
