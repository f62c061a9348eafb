#include "imaged/store/object_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <thread>
#include <vector>

#include "tests/unit/store/store_fixture.h"

namespace strata::imaged {
namespace {

using testing::HasSubstr;

std::string Content(size_t size, char seed) {
  std::string content(size, seed);
  for (size_t i = 0; i < size; i += 97) content[i] = static_cast<char>(i * 31 + seed);
  return content;
}

TEST_F(StoreTest, AnObjectIsVisibleAfterCommitAndNotBefore) {
  auto ingest = Start();
  const std::string content = Content(100'000, 'a');
  const Result<Digest> digest = ingest->Add(content);
  ASSERT_TRUE(digest.ok());
  EXPECT_EQ(*digest, Hasher::Of(content));
  EXPECT_FALSE(store_->Has(*digest));
  EXPECT_EQ(store_->OpenObject(*digest).error().code(), Code::kNotFound);
  ASSERT_TRUE(ingest->Commit().ok());
  EXPECT_TRUE(store_->Has(*digest));
  EXPECT_TRUE(store_->Verify(*digest).ok());
  EXPECT_EQ(*ReadFile(store_->PathOf(*digest)), content);
}

TEST_F(StoreTest, ObjectsAreReadOnlyWhateverTheUmaskIs) {
  const mode_t before = ::umask(077);
  auto ingest = Start();
  const Digest digest = *ingest->Add(Content(5000, 'm'));
  auto writer = std::move(*ingest->NewWriter());
  ASSERT_TRUE(writer->Write("streamed").ok());
  const Digest streamed = *writer->Finish();
  ASSERT_TRUE(ingest->Commit().ok());
  ::umask(before);
  for (const Digest& each : {digest, streamed}) {
    struct stat st;
    ASSERT_EQ(::stat(store_->PathOf(each).c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0444u);
  }
}

TEST_F(StoreTest, AnIngestWithoutCommitLeavesNothing) {
  {
    auto ingest = Start();
    ASSERT_TRUE(ingest->Add(Content(5000, 'x')).ok());
    auto unfinished = std::move(*ingest->NewWriter());
    ASSERT_TRUE(unfinished->Write("half").ok());
    EXPECT_EQ(StagedCount(), 2u);
    unfinished.reset();
    EXPECT_EQ(StagedCount(), 1u);
  }
  EXPECT_TRUE(std::filesystem::is_empty(root() + "/staging"));
  EXPECT_EQ(ObjectCount(), 0u);
}

TEST_F(StoreTest, WhatIsNotKeptNeverComesIntoTheStore) {
  auto first = Start();
  const Digest present = *first->Add(Content(7000, 'p'));
  ASSERT_TRUE(first->Commit().ok());
  auto second = Start();
  const Digest kept = *second->Add(Content(5000, 'k'));
  const Digest dropped = *second->Add(Content(6000, 'd'));
  ASSERT_TRUE(second->Add(Content(7000, 'p')).ok());
  ASSERT_TRUE(second->KeepOnly({kept}).ok());
  EXPECT_EQ(StagedCount(), 1u);
  EXPECT_EQ(second->stats().new_objects, 1u);
  EXPECT_EQ(second->stats().new_bytes, 5000u);
  ASSERT_TRUE(second->Commit().ok());
  EXPECT_TRUE(store_->Has(kept));
  EXPECT_FALSE(store_->Has(dropped));
  EXPECT_TRUE(store_->Has(present));
}

TEST_F(StoreTest, StagedAndStoredContentCanBeReadWhileTheOperationRuns) {
  auto first = Start();
  const Digest stored = *first->Add(Content(7000, 'p'));
  ASSERT_TRUE(first->Commit().ok());
  auto second = Start();
  const Digest staged = *second->Add(Content(5000, 'k'));
  for (const auto& [digest, content] :
       {std::pair(stored, Content(7000, 'p')), std::pair(staged, Content(5000, 'k'))}) {
    const auto fd = second->OpenContent(digest);
    ASSERT_TRUE(fd.ok());
    EXPECT_EQ(*ReadAll(fd->get(), 10'000), content);
  }
  EXPECT_EQ(second->OpenContent(Hasher::Of("other")).error().code(), Code::kNotFound);
}

TEST_F(StoreTest, EqualContentIsStagedAndStoredOnce) {
  const std::string content = Content(5000, 'd');
  auto first = Start();
  ASSERT_TRUE(first->Add(content).ok());
  ASSERT_TRUE(first->Add(content).ok());
  auto writer = std::move(*first->NewWriter());
  ASSERT_TRUE(writer->Write(content).ok());
  ASSERT_TRUE(writer->Finish().ok());
  EXPECT_EQ(FilesBelow(root() + "/staging"), 2u);  // The writer's copy goes with the writer.
  writer.reset();
  EXPECT_EQ(StagedCount(), 1u);
  EXPECT_EQ(first->stats().objects, 1u);
  EXPECT_EQ(first->stats().new_objects, 1u);
  EXPECT_EQ(first->stats().bytes, 3 * content.size());
  EXPECT_EQ(first->stats().new_bytes, content.size());
  ASSERT_TRUE(first->Commit().ok());
  first.reset();

  auto second = Start();
  ASSERT_TRUE(second->Add(content).ok());
  ASSERT_TRUE(second->Add(content).ok());
  EXPECT_EQ(StagedCount(), 0u);
  EXPECT_EQ(second->stats().objects, 1u);
  EXPECT_EQ(second->stats().new_objects, 0u);
  EXPECT_EQ(second->stats().new_bytes, 0u);
  ASSERT_TRUE(second->Commit().ok());
  EXPECT_EQ(ObjectCount(), 1u);
}

TEST_F(StoreTest, TwoOperationsMayCommitTheSameObject) {
  auto first = Start();
  auto second = Start();
  const Digest digest = *first->Add(Content(9000, 's'));
  ASSERT_EQ(*second->Add(Content(9000, 's')), digest);
  ASSERT_TRUE(first->Commit().ok());
  struct stat before, after;
  ASSERT_EQ(::stat(store_->PathOf(digest).c_str(), &before), 0);
  ASSERT_TRUE(second->Commit().ok());
  ASSERT_EQ(::stat(store_->PathOf(digest).c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino) << "a mounted object must stay the same file";
  EXPECT_EQ(ObjectCount(), 1u);
}

TEST_F(StoreTest, ManyThreadsAddTheSameAndDifferentContents) {
  auto ingest = Start();
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        EXPECT_TRUE(ingest->Add(Content(600 + static_cast<size_t>(i), 't')).ok());
      }
    });
  }
  threads.clear();
  EXPECT_EQ(ingest->stats().objects, 200u);
  EXPECT_EQ(StagedCount(), 200u);
  ASSERT_TRUE(ingest->Commit().ok());
  EXPECT_EQ(ObjectCount(), 200u);
}

TEST_F(StoreTest, HolesArePartOfTheContentAndNotOfTheDisk) {
  constexpr uint64_t kHole = 64u << 20;
  auto ingest = Start();
  auto writer = std::move(*ingest->NewWriter());
  ASSERT_TRUE(writer->Write("head").ok());
  ASSERT_TRUE(writer->WriteHole(kHole).ok());
  ASSERT_TRUE(writer->Write("middle").ok());
  ASSERT_TRUE(writer->WriteHole(kHole).ok());
  const Digest digest = *writer->Finish();
  std::string whole = "head" + std::string(kHole, '\0') + "middle" + std::string(kHole, '\0');
  EXPECT_EQ(digest, Hasher::Of(whole));
  ASSERT_TRUE(ingest->Commit().ok());
  struct stat st;
  ASSERT_EQ(::stat(store_->PathOf(digest).c_str(), &st), 0);
  EXPECT_EQ(static_cast<uint64_t>(st.st_size), whole.size());
  EXPECT_LT(st.st_blocks * 512, 1 << 20);
  EXPECT_TRUE(store_->Verify(digest).ok());
}

TEST_F(StoreTest, AnImpossibleHoleFailsAtOnce) {
  auto ingest = Start();
  auto writer = std::move(*ingest->NewWriter());
  const Status status = writer->WriteHole(1ull << 62);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message(), HasSubstr(root()));
}

TEST_F(StoreTest, AFileIsCopiedWithItsHoles) {
  const std::string path = dir() + "/sparse";
  UniqueFd fd = std::move(*Open(path, O_RDWR | O_CREAT, 0644));
  ASSERT_TRUE(PWriteAll(fd.get(), "far", 32u << 20).ok());
  ASSERT_EQ(::ftruncate(fd.get(), 48 << 20), 0);
  auto ingest = Start();
  uint64_t size = 0;
  const Digest digest = *ingest->AddFile(fd.get(), &size);
  EXPECT_EQ(size, 48u << 20);
  EXPECT_EQ(digest, *HashFile(fd.get()));
  ASSERT_TRUE(ingest->Commit().ok());
  struct stat st;
  ASSERT_EQ(::stat(store_->PathOf(digest).c_str(), &st), 0);
  EXPECT_EQ(st.st_size, 48 << 20);
  EXPECT_LT(st.st_blocks * 512, 1 << 20);
}

TEST_F(StoreTest, AStoreIsOpenOnlyOnce) {
  const auto again = ObjectStore::Open(root());
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(again.error().message(), HasSubstr(root()));
  OpenStore();  // Closed first: it opens.
}

TEST_F(StoreTest, VerifyNamesAnObjectThatWasChangedOrIsGone) {
  auto ingest = Start();
  const Digest digest = *ingest->Add(Content(5000, 'v'));
  ASSERT_TRUE(ingest->Commit().ok());
  {
    UniqueFd fd = std::move(*Open(store_->PathOf(digest), O_RDWR));  // Root may.
    ASSERT_TRUE(PWriteAll(fd.get(), "!", 4000).ok());
  }
  const Status changed = store_->Verify(digest);
  EXPECT_EQ(changed.error().code(), Code::kCorrupt);
  EXPECT_THAT(changed.error().message(), HasSubstr(digest.ToString()));
  const Status missing = store_->Verify(Hasher::Of("never"));
  EXPECT_EQ(missing.error().code(), Code::kNotFound);
  EXPECT_THAT(missing.error().message(), HasSubstr(Hasher::Of("never").ToString()));
}

TEST_F(StoreTest, ASweepTakesWhatIsNeitherLiveNorClaimed) {
  auto ingest = Start();
  const Digest keep = *ingest->Add(Content(5000, 'k'));
  const Digest drop = *ingest->Add(Content(7000, 'd'));
  ASSERT_TRUE(ingest->Commit().ok());
  const auto sweep = [&](bool remove) {
    const ObjectStore::ClaimEpoch epoch = store_->KeepClaims();
    return *store_->Sweep(drop.bytes()[0], {keep}, remove);
  };
  EXPECT_EQ(sweep(true).objects, 0u) << "the operation that brought it has not ended";
  // Another thread may end the operation than the one that started it.
  std::jthread([&] { ingest.reset(); }).join();
  EXPECT_EQ(sweep(false).objects, 1u);
  EXPECT_TRUE(store_->Has(drop)) << "it was only counted";
  const ObjectStore::Collected swept = sweep(true);
  EXPECT_EQ(swept.objects, 1u);
  EXPECT_EQ(swept.bytes, 7000u);
  EXPECT_TRUE(store_->Has(keep));
  EXPECT_FALSE(store_->Has(drop));
}

TEST_F(StoreTest, WhatAnOperationFindsPresentStaysUntilTheEpochEnds) {
  const std::string content = Content(6000, 'p');
  {
    auto ingest = Start();
    ASSERT_TRUE(ingest->Add(content).ok());
    ASSERT_TRUE(ingest->Commit().ok());
  }
  const Digest digest = Hasher::Of(content);
  {
    const ObjectStore::ClaimEpoch epoch = store_->KeepClaims();
    {
      auto ingest = Start();
      ASSERT_TRUE(ingest->Add(content).ok());  // Finds it; publishes it under a name now.
      ASSERT_TRUE(ingest->Commit().ok());
    }
    EXPECT_EQ(store_->Sweep(digest.bytes()[0], {}, true)->objects, 0u);
  }
  const ObjectStore::ClaimEpoch epoch = store_->KeepClaims();
  EXPECT_EQ(store_->Sweep(digest.bytes()[0], {}, true)->objects, 1u);
}

TEST_F(StoreTest, AnOperationPastItsLimitStagesNoMore) {
  auto ingest = Start();
  ingest->LimitNewBytes(10'000);
  ASSERT_TRUE(ingest->Add(Content(6000, 'a')).ok());
  ASSERT_TRUE(ingest->Add(Content(6000, 'a')).ok()) << "the same once more is not more";
  EXPECT_EQ(ingest->Add(Content(6000, 'b')).error().code(), Code::kResourceExhausted);
  auto writer = ingest->NewWriter();
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ((*writer)->Write(Content(10'001, 'c')).error().code(), Code::kResourceExhausted);
}

TEST_F(StoreTest, AHugeHoleIsMeasuredAndCanBeCancelled) {
  const uint64_t huge = uint64_t{8} << 40;  // Hashing that takes an hour.
  auto limited = Start();
  limited->LimitNewBytes(10'000);
  auto writer = limited->NewWriter();
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Write(Content(6000, 'a')).ok());
  EXPECT_EQ((*writer)->WriteHole(4001).error().code(), Code::kResourceExhausted);
  EXPECT_EQ((*writer)->WriteHole(huge).error().code(), Code::kResourceExhausted);

  CancelToken cancel;
  auto cancelled = Start();
  cancelled->CancelWith(&cancel);
  const UniqueFd sparse(::open(directory_->path().c_str(), O_TMPFILE | O_RDWR, 0600));
  ASSERT_EQ(::ftruncate(sparse.get(), static_cast<off_t>(huge)), 0);
  const std::jthread canceller([&] { cancel.Cancel(); });
  EXPECT_EQ(cancelled->AddFile(sparse.get()).error().code(), Code::kCancelled);
}

// Stages and commits until it is killed; tells of each commit through the pipe.
[[noreturn]] void IngestForever(const std::string& root, int pipe) {
  auto store = ObjectStore::Open(root);
  if (!store.ok()) ::_exit(1);
  for (int round = 0;; ++round) {
    auto ingest = (*store)->StartIngest();
    for (int i = 0; i < 40; ++i) {
      const std::string salt = std::to_string(round * 1000 + i);
      if (!(*ingest)->Add(salt + Content(3000 + static_cast<size_t>(i) * 500, 'k')).ok())
        ::_exit(1);
    }
    if (!(*ingest)->Commit().ok() || ::write(pipe, "c", 1) != 1) ::_exit(1);
  }
}

TEST_F(StoreTest, AfterKillNothingIsStagedAndEveryObjectIsWhole) {
  store_.reset();
  for (int round = 0; round < 8; ++round) {
    int pipe[2];
    ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
    UniqueFd read_end(pipe[0]), write_end(pipe[1]);
    const pid_t child = ::fork();
    if (child == 0) IngestForever(root(), write_end.get());
    write_end.reset();
    char commit;
    ASSERT_EQ(::read(read_end.get(), &commit, 1), 1);
    // At another point of the next operation each time.
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(round * 700);
    while (std::chrono::steady_clock::now() < until) {
    }
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));

    OpenStore();
    EXPECT_TRUE(std::filesystem::is_empty(root() + "/staging"));
    EXPECT_GE(ObjectCount(), 40u);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(store_->objects_dir())) {
      if (!entry.is_regular_file()) continue;
      const auto digest = Digest::FromHex(entry.path().parent_path().filename().string() +
                                          entry.path().filename().string());
      ASSERT_TRUE(digest.ok());
      EXPECT_TRUE(store_->Verify(*digest).ok());
    }
    store_.reset();
  }
}

}  // namespace
}  // namespace strata::imaged
