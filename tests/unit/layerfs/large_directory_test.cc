// A directory of a million names: listed whole, once each, in bounded memory of the server.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <memory>
#include <sstream>
#include <vector>

#include "common/file_io.h"
#include "tests/unit/layerfs/fuse_fixture.h"

namespace strata::layerfs {
namespace {

constexpr int kNames = 1'000'000;
constexpr int64_t kListingKibMax = 40 * 1024;
constexpr int kMoreListings = 6;

std::string Name(int i) { return "name-" + std::to_string(i); }

// A line of /proc/PID/status.
int64_t MemoryKib(pid_t pid, const std::string& what) {
  auto status = ReadFile("/proc/" + std::to_string(pid) + "/status");
  EXPECT_TRUE(status.ok()) << status.error().message();
  std::istringstream lines(status.ok() ? *status : "");
  std::string word;
  int64_t kib = 0;
  while (lines >> word) {
    if (word == what + ":") lines >> kib;
  }
  return kib;
}

TEST(LargeDirectory, AMillionNamesAreListedOnceEachInBoundedMemory) {
  std::unique_ptr<FuseRoot> root;
  {
    testing::TestImage image;
    image.Directory("many");
    for (int i = 0; i < kNames; ++i) image.File("many/" + Name(i), "");
    root = FuseRoot::Create(image);
  }
  ::malloc_trim(0);  // The server is a fork of this process.
  root->Mount(Driver::kFuse);
  ASSERT_EQ(::unlink(root->path("many/" + Name(7)).c_str()), 0);
  WriteText(root->path("many/" + Name(8)), "changed");
  WriteText(root->path("many/fresh"), "new");

  // The server may also have given memory back meanwhile, then it is less than nothing.
  const int64_t before_kib = MemoryKib(root->server(), "RssAnon");
  const auto listing_kib = [&] { return MemoryKib(root->server(), "RssAnon") - before_kib; };
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(root->path("many").c_str()),
                                                   ::closedir);
  ASSERT_NE(stream, nullptr);
  std::vector<bool> seen(kNames);
  bool fresh = false;
  long place = 0;
  std::string at_place;
  int count = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (count++ == kNames / 2) {
      place = ::telldir(stream.get());
      const dirent* next = ::readdir(stream.get());
      ASSERT_NE(next, nullptr);
      at_place = next->d_name;
      ::seekdir(stream.get(), place);
      RecordProperty("listing_kib", std::to_string(listing_kib()));
      EXPECT_LT(listing_kib(), kListingKibMax) << "before it had " << before_kib;
    }
    if (name == "fresh") {
      EXPECT_FALSE(std::exchange(fresh, true));
      continue;
    }
    const size_t number = std::stoul(name.substr(5));
    EXPECT_FALSE(seen[number]) << name << " is listed twice";
    seen[number] = true;
  }
  EXPECT_EQ(count, kNames);
  EXPECT_TRUE(fresh);
  EXPECT_FALSE(seen[7]);
  ::seekdir(stream.get(), place);
  const dirent* again = ::readdir(stream.get());
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->d_name, at_place);

  // Whichever of the server's threads makes the next listings: none keeps their memory.
  for (int turn = 0; turn < kMoreListings; ++turn) {
    WriteText(root->path("many/turn" + std::to_string(turn)), "The kernel drops its listing.");
    ::rewinddir(stream.get());
    count = 0;
    while (::readdir(stream.get()) != nullptr) ++count;
    EXPECT_EQ(count, kNames + turn + 3) << "with . and ..";
    EXPECT_LT(listing_kib(), kListingKibMax) << "turn " << turn;
  }
}

}  // namespace
}  // namespace strata::layerfs
