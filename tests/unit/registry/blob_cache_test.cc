// The cache of layers' blobs: made once for all who ask, bounded, and never half a blob.
#include "imaged/registry/blob_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <latch>
#include <optional>
#include <thread>
#include <vector>

#include "common/file_io.h"

namespace strata::imaged {
namespace {

class BlobCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_.emplace(*TemporaryDirectory::Create("/var/tmp", "strata-blobs."));
    Reopen(10'000'000);
  }
  void Reopen(uint64_t bytes_max) {
    cache_.reset();
    auto cache = BlobCache::Open(directory_->path() + "/cache", bytes_max);
    ASSERT_TRUE(cache.ok()) << cache.error().message();
    cache_ = std::move(*cache);
  }
  size_t Files() const {
    const auto entries = std::filesystem::directory_iterator(directory_->path() + "/cache");
    return static_cast<size_t>(std::distance(begin(entries), end(entries)));
  }
  static BlobCache::Key KeyOf(const std::string& content) {
    return {Hasher::Of(content), Sha256Hasher::Of(content)};
  }
  BlobCache::Maker MakerOf(const std::string& content) {
    return [this, content](const BlobCache::Sink& sink, const CancelToken&) -> Status {
      ++made_;
      for (size_t at = 0; at < content.size(); at += 1000) {
        RETURN_IF_ERROR(sink(std::string_view(content).substr(at, 1000)));
      }
      return Ok();
    };
  }
  static Result<std::string> ReadAllOf(http::BodySource& body) {
    std::string text;
    char buffer[4096];
    while (true) {
      ASSIGN_OR_RETURN(const size_t n, body.Read(buffer, sizeof(buffer)));
      if (n == 0) return text;
      text.append(buffer, n);
    }
  }
  // "(none)": it is not cached.
  std::string Get(const std::string& content, uint64_t first = 0) {
    const auto body = cache_->Read(KeyOf(content), content.size(), first, content.size() - first,
                                   MakerOf(content));
    if (body == nullptr) return "(none)";
    const auto read = ReadAllOf(*body);
    return read.ok() ? *read : "(" + read.error().message() + ")";
  }

  std::optional<TemporaryDirectory> directory_;
  std::unique_ptr<BlobCache> cache_;
  std::atomic<int> made_{0};
};

TEST_F(BlobCacheTest, ABlobIsMadeOnceAndKeptAcrossARestart) {
  const std::string content(100'000, 'x');
  EXPECT_EQ(Get(content), content);
  EXPECT_EQ(Get(content, 99'990), content.substr(99'990));
  Reopen(10'000'000);
  EXPECT_EQ(Get(content), content);
  EXPECT_EQ(made_, 1);
}

TEST_F(BlobCacheTest, ReadersFollowTheOneThatMakesIt) {
  const std::string content(3'000'000, 'y');
  std::latch half(1);
  std::latch go_on(1);
  const auto slow = [&](const BlobCache::Sink& sink, const CancelToken&) -> Status {
    ++made_;
    RETURN_IF_ERROR(sink(std::string_view(content).substr(0, 1'000'000)));
    half.count_down();
    go_on.wait();
    return sink(std::string_view(content).substr(1'000'000));
  };
  const auto first = cache_->Read(KeyOf(content), content.size(), 0, content.size(), slow);
  half.wait();
  const auto second =
      cache_->Read(KeyOf(content), content.size(), 0, content.size(), MakerOf(content));
  std::string got;
  char buffer[4096];
  while (got.size() < 1'000'000) got.append(buffer, *second->Read(buffer, sizeof(buffer)));
  go_on.count_down();
  got += *ReadAllOf(*second);
  EXPECT_EQ(got, content);
  EXPECT_EQ(*ReadAllOf(*first), content);
  EXPECT_EQ(made_, 1);
}

TEST_F(BlobCacheTest, WhatNobodyWaitsForIsGivenUp) {
  const std::string content(1'000'000, 'z');
  std::latch begun(1);
  std::atomic<bool> cancelled{false};
  auto body = cache_->Read(KeyOf(content), content.size(), 0, content.size(),
                           [&](const BlobCache::Sink& sink, const CancelToken& cancel) -> Status {
                             begun.count_down();
                             while (!cancel.cancelled()) RETURN_IF_ERROR(sink(""));
                             cancelled = true;
                             return cancel.Check();
                           });
  begun.wait();
  body.reset();
  EXPECT_EQ(Get(content), content) << "who comes then has it made anew";
  Reopen(10'000'000);
  EXPECT_EQ(Files(), 1u);
}

TEST_F(BlobCacheTest, AFailureIsToldAndNotKept) {
  const std::string content(5000, 'f');
  // One that has failed before there is a reader is not read from the cache at all.
  std::latch read(1);
  const auto failing = [&](const BlobCache::Sink& sink, const CancelToken&) -> Status {
    RETURN_IF_ERROR(sink("part"));
    read.wait();
    return Error(Code::kCorrupt, "damaged");
  };
  const auto body = cache_->Read(KeyOf(content), content.size(), 0, content.size(), failing);
  read.count_down();
  ASSERT_NE(body, nullptr);
  EXPECT_FALSE(ReadAllOf(*body).ok());
  std::latch read_shorter(1);
  const auto shorter = [&](const BlobCache::Sink& sink, const CancelToken&) -> Status {
    read_shorter.wait();
    return sink("part");
  };
  const auto other = cache_->Read(KeyOf("o"), 5000, 0, 5000, shorter);
  read_shorter.count_down();
  ASSERT_NE(other, nullptr);
  EXPECT_FALSE(ReadAllOf(*other).ok());
  EXPECT_EQ(Get(content), content);
}

TEST_F(BlobCacheTest, TheLeastRecentlyUsedGoesFirst) {
  Reopen(250'000);
  const std::string a(100'000, 'a');
  const std::string b(100'000, 'b');
  const std::string c(100'000, 'c');
  Get(a);
  Get(b);
  Get(a);
  Get(c);
  EXPECT_EQ(Files(), 2u);
  Get(a);
  EXPECT_EQ(made_, 3) << "a was kept";
  EXPECT_EQ(Get(std::string(300'000, 'd')), "(none)");
  Reopen(100'000);
  EXPECT_EQ(Files(), 1u) << "a smaller bound holds from the start";
}

TEST_F(BlobCacheTest, OnlySoManyAreMadeAtOnce) {
  std::latch go_on(1);
  std::vector<std::unique_ptr<http::BodySource>> bodies;
  for (size_t i = 0; i < kBlobsMadeAtOnceMax; ++i) {
    bodies.push_back(cache_->Read(KeyOf(std::to_string(i)), 1, 0, 1,
                                  [&](const BlobCache::Sink& sink, const CancelToken&) {
                                    go_on.wait();
                                    return sink("x");
                                  }));
    ASSERT_NE(bodies.back(), nullptr);
  }
  EXPECT_EQ(Get("another"), "(none)");
  go_on.count_down();
  for (auto& body : bodies) EXPECT_EQ(*ReadAllOf(*body), "x");
  EXPECT_EQ(Get("another"), "another");
}

TEST_F(BlobCacheTest, WhatTheStoreHasNoMoreGoes) {
  Get("keep");
  Get("drop");
  ASSERT_TRUE(WriteFileAtomically(directory_->path() + "/cache/strange", "x").ok());
  Reopen(10'000'000);
  cache_->Sweep([](const Digest& layer) { return layer == Hasher::Of("keep"); });
  EXPECT_EQ(Files(), 1u);
  Get("keep");
  EXPECT_EQ(made_, 2);
}

TEST_F(BlobCacheTest, WhatACrashLeftIsRemoved) {
  ASSERT_TRUE(WriteFileAtomically(directory_->path() + "/cache/x.1.part", "x").ok());
  Reopen(10'000'000);
  EXPECT_EQ(Files(), 0u);
}

}  // namespace
}  // namespace strata::imaged
