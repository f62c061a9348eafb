// Uploads: they come in pieces, belong to one user and repository, and go away.
#include "imaged/registry/uploads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>

#include "common/file_io.h"
#include "imaged/store/object_store.h"

namespace strata::imaged {
namespace {

const UploadPlace kPlace{1001, "alice/spark"};

class UploadsTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_.emplace(*TemporaryDirectory::Create("/var/tmp", "strata-uploads."));
    store_ = std::move(*ObjectStore::Open(directory_->path() + "/store"));
    auto uploads = Uploads::Create(
        store_->root(), [this](uid_t) -> Result<std::optional<uint64_t>> { return room_; },
        [this] { return now_; });
    ASSERT_TRUE(uploads.ok()) << uploads.error().message();
    uploads_ = std::move(*uploads);
  }
  // What lies in the spool.
  size_t Files() const {
    size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(Staging())) {
      count += entry.is_regular_file() ? 1 : 0;
    }
    return count;
  }
  std::string Staging() const { return store_->root() + "/staging"; }
  Status Append(const std::string& id, std::string_view data, const UploadPlace& place = kPlace) {
    auto writer = uploads_->Write(place, id);
    if (!writer.ok()) return writer.error();
    return (*writer)->Append(data);
  }
  Status Finish(const std::string& id, std::string_view content) {
    auto writer = uploads_->Write(kPlace, id);
    if (!writer.ok()) return writer.error();
    return (*writer)->Finish(Sha256Hasher::Of(content));
  }
  void Upload(std::string_view content) {
    const std::string id = *uploads_->Start(kPlace);
    ASSERT_TRUE(Append(id, content).ok());
    ASSERT_TRUE(Finish(id, content).ok());
  }
  std::string ContentOf(const UploadPlace& place, std::string_view content) {
    const auto blob = uploads_->Find(place, Sha256Hasher::Of(content));
    if (blob == nullptr) return "(none)";
    std::string read;
    EXPECT_TRUE(blob->Read([&](std::string_view data) {
                      read += data;
                      return Ok();
                    })
                    .ok());
    return read;
  }

  std::optional<TemporaryDirectory> directory_;
  std::unique_ptr<ObjectStore> store_;
  std::unique_ptr<Uploads> uploads_;
  std::optional<uint64_t> room_;
  Uploads::Clock::time_point now_ = Uploads::Clock::now();
};

TEST_F(UploadsTest, PiecesBecomeABlobThatOnlyItsUserFinds) {
  const std::string id = *uploads_->Start(kPlace);
  ASSERT_TRUE(Append(id, "hello ").ok());
  EXPECT_EQ(*uploads_->SizeOf(kPlace, id), 6u);
  ASSERT_TRUE(Append(id, "world").ok());
  EXPECT_EQ(ContentOf(kPlace, "hello world"), "(none)") << "not before it is finished";
  ASSERT_TRUE(Finish(id, "hello world").ok());
  EXPECT_EQ(ContentOf(kPlace, "hello world"), "hello world");
  EXPECT_EQ(ContentOf({1002, "alice/spark"}, "hello world"), "(none)");
  EXPECT_EQ(ContentOf({1001, "alice/other"}, "hello world"), "(none)");
  EXPECT_EQ(uploads_->SizeOf(kPlace, id).error().code(), Code::kNotFound);
}

TEST_F(UploadsTest, AWrongDigestLeavesNothing) {
  const std::string id = *uploads_->Start(kPlace);
  ASSERT_TRUE(Append(id, "hello").ok());
  EXPECT_EQ(Finish(id, "other").error().code(), Code::kCorrupt);
  EXPECT_EQ(Finish(id, "hello").error().code(), Code::kNotFound);
  EXPECT_EQ(Files(), 0u);
}

TEST_F(UploadsTest, NobodyGoesOnWithTheUploadOfAnother) {
  const std::string id = *uploads_->Start(kPlace);
  EXPECT_EQ(Append(id, "x", {1002, "alice/spark"}).error().code(), Code::kNotFound);
  EXPECT_EQ(Append(id, "x", {1001, "alice/other"}).error().code(), Code::kNotFound);
  EXPECT_EQ(uploads_->Cancel({1002, "alice/spark"}, id).error().code(), Code::kNotFound);
  EXPECT_EQ(Append("../" + id, "x").error().code(), Code::kNotFound);
  EXPECT_EQ(*uploads_->SizeOf(kPlace, id), 0u);
}

TEST_F(UploadsTest, OneWriterAtATime) {
  const std::string id = *uploads_->Start(kPlace);
  auto writer = uploads_->Write(kPlace, id);
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ(uploads_->Write(kPlace, id).error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(uploads_->Cancel(kPlace, id).error().code(), Code::kFailedPrecondition);
  writer->reset();
  EXPECT_TRUE(uploads_->Write(kPlace, id).ok());
}

TEST_F(UploadsTest, AUserHasNotMoreThanHisImagesMayTake) {
  room_ = 1000;
  const std::string first = *uploads_->Start(kPlace);
  const std::string second = *uploads_->Start({1001, "alice/other"});
  ASSERT_TRUE(Append(first, std::string(600, 'x')).ok());
  EXPECT_EQ(Append(second, std::string(600, 'y'), {1001, "alice/other"}).error().code(),
            Code::kResourceExhausted);
  EXPECT_TRUE(Append(second, std::string(400, 'y'), {1001, "alice/other"}).ok());
  EXPECT_EQ(uploads_->Add(kPlace, Sha256Hasher::Of("z"), "z").error().code(),
            Code::kResourceExhausted);
  const std::string bobs = *uploads_->Start({1002, "bob/spark"});
  EXPECT_TRUE(Append(bobs, std::string(1000, 'b'), {1002, "bob/spark"}).ok());
  ASSERT_TRUE(uploads_->Cancel(kPlace, first).ok());
  EXPECT_TRUE(Append(second, std::string(600, 'y'), {1001, "alice/other"}).ok());
}

TEST_F(UploadsTest, OpenUploadsAndBlobsHaveANumber) {
  std::vector<std::string> ids;
  for (size_t i = 0; i < kUploadsPerUserMax; ++i) ids.push_back(*uploads_->Start(kPlace));
  EXPECT_EQ(uploads_->Start(kPlace).error().code(), Code::kResourceExhausted);
  EXPECT_TRUE(uploads_->Start({1002, "bob/spark"}).ok());
  // What was forgotten makes room, what is gone on with does not.
  now_ += kUploadYieldsAfter;
  ASSERT_TRUE(Append(ids[0], "part").ok());
  const std::string late = *uploads_->Start(kPlace);
  EXPECT_TRUE(uploads_->SizeOf(kPlace, ids[0]).ok());
  ids.push_back(late);
  EXPECT_EQ(std::erase_if(ids, [&](auto& id) { return !uploads_->SizeOf(kPlace, id).ok(); }), 1u);
  EXPECT_EQ(uploads_->Start(kPlace).error().code(), Code::kResourceExhausted);
  for (const std::string& id : ids) ASSERT_TRUE(uploads_->Cancel(kPlace, id).ok());
  for (size_t i = 0; i < kUploadedBlobsPerUserMax; ++i) {
    const std::string content = std::to_string(i);
    ASSERT_TRUE(uploads_->Add(kPlace, Sha256Hasher::Of(content), content).ok());
  }
  EXPECT_EQ(uploads_->Add(kPlace, Sha256Hasher::Of("x"), "x").error().code(),
            Code::kResourceExhausted);
}

TEST_F(UploadsTest, ABlobIsMountedFromOwnRepositoriesWithoutACopy) {
  Upload("content");
  const Sha256Digest digest = Sha256Hasher::Of("content");
  EXPECT_FALSE(uploads_->Mount({1002, "bob/x"}, "alice/spark", digest));
  EXPECT_TRUE(uploads_->Mount({1001, "alice/other"}, "alice/spark", digest));
  EXPECT_EQ(ContentOf({1001, "alice/other"}, "content"), "content");
  EXPECT_EQ(Files(), 1u);
}

TEST_F(UploadsTest, WhatWaitsTooLongIsGone) {
  Upload("blob");
  const std::string id = *uploads_->Start(kPlace);
  ASSERT_TRUE(Append(id, "part").ok());
  now_ += kUploadIdleMax - std::chrono::seconds(1);
  uploads_->DropOld();
  EXPECT_EQ(Files(), 2u);
  EXPECT_EQ(ContentOf(kPlace, "blob"), "blob") << "looking at it is going on";
  now_ += std::chrono::seconds(2);
  uploads_->DropOld();
  EXPECT_EQ(Files(), 2u);
  now_ += kUploadIdleMax;
  {
    auto writer = uploads_->Write(kPlace, id);
    now_ += kUploadIdleMax;
    uploads_->DropOld();
    EXPECT_EQ(Files(), 2u) << "somebody writes";
  }
  now_ += kUploadIdleMax;
  uploads_->DropOld();
  EXPECT_EQ(Files(), 0u);
  EXPECT_EQ(uploads_->SizeOf(kPlace, id).error().code(), Code::kNotFound);
}

TEST_F(UploadsTest, WhatBecameAnImageGoesSooner) {
  Upload("blob");
  uploads_->MarkUsed(kPlace);
  now_ += kUploadUsedMax;
  uploads_->DropOld();
  EXPECT_EQ(Files(), 0u);
}

TEST_F(UploadsTest, TheSpoolGoesWithTheDaemonAndWithTheNextStartAfterACrash) {
  Upload("blob");
  EXPECT_EQ(Files(), 1u);
  uploads_.reset();
  EXPECT_TRUE(std::filesystem::is_empty(Staging()));
  std::filesystem::create_directory(Staging() + "/registry.killed");
  ASSERT_TRUE(WriteFileAtomically(Staging() + "/registry.killed/0", "part").ok());
  store_.reset();
  store_ = std::move(*ObjectStore::Open(directory_->path() + "/store"));
  EXPECT_TRUE(std::filesystem::is_empty(Staging()));
}

}  // namespace
}  // namespace strata::imaged
