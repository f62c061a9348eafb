// Nothing live is ever collected, whatever runs meanwhile; everything else goes.
#include <atomic>
#include <random>
#include <thread>

#include "tests/unit/imaged/repository_fixture.h"

namespace strata::imaged {
namespace {

using CollectorTest = RepositoryTest;

TEST_F(CollectorTest, PassesOverAFewFoldersTakeTheSame) {
  std::vector<File> files;
  for (int i = 0; i < 300; ++i) {
    files.push_back({"f" + std::to_string(i), std::string(600, 'f') + std::to_string(i)});
  }
  const std::string keep = MakeTar(directory_->path() + "/scratch", files);
  for (File& file : files) file.content += "x";
  const std::string drop = MakeTar(directory_->path() + "/scratch", files);
  ASSERT_OK(Import(kAlice, "keep", keep));
  ASSERT_OK(Import(kAlice, "drop", drop));
  ASSERT_OK(repository_->images().Remove(kAlice, "drop"));
  repository_->collector().SetPassBytes(32 * 5);  // A few folders at a time.
  const auto collected = repository_->collector().Collect();
  ASSERT_OK(collected);
  EXPECT_EQ(collected->objects, 300u);
  EXPECT_EQ(CountFiles(Store("objects")), 300u);
  EXPECT_EQ(CountFiles(Store("manifests")), 1u);
  EXPECT_EQ(CountFiles(Store("lists")), 1u);
  EXPECT_EQ(Fsck().result.problems(), 0u);
}

TEST_F(CollectorTest, ADryRunRemovesNothingAndCountsRight) {
  ASSERT_OK(Import(kAlice, "x", tar_));
  const std::string other =
      MakeTar(directory_->path() + "/scratch", {{"else", std::string(8000, 'e')}});
  ASSERT_OK(Import(kAlice, "x", other, [](v1::ImportOptions* o) { o->set_replace(true); }));
  for (const uid_t caller : {uid_t{0}, kAlice}) {
    v1::PruneRequest request;
    request.set_dry_run(true);
    request.set_all_owners(caller == 0);
    const auto would = repository_->Prune(caller, request);
    ASSERT_OK(would);
    EXPECT_EQ(would->images_size(), 1);
    EXPECT_EQ(would->freed_objects(), 2u);
    EXPECT_EQ(CountFiles(Store("objects")), 3u);
  }
  const auto pruned = repository_->Prune(kAlice, {});
  ASSERT_OK(pruned);
  EXPECT_EQ(pruned->freed_objects(), 2u);
  EXPECT_EQ(CountFiles(Store("objects")), 1u);
  EXPECT_EQ(Fsck().result.problems(), 0u);
}

TEST_F(CollectorTest, AForcedDeletionTakesTheNameAndLeavesWhatRuns) {
  ASSERT_OK(Import(kAlice, "x", tar_));
  ASSERT_OK(Acquire(kAlice, "x", "node/1"));
  const auto deleted = Delete(kAlice, "x", /*force=*/true);
  ASSERT_OK(deleted);
  EXPECT_THAT(deleted->kept_by(), testing::ElementsAre("node/1"));
  EXPECT_FALSE(repository_->images().Find(kAlice, "x").ok());
  EXPECT_TRUE(repository_->objects().Has(Hasher::Of(std::string(70'000, 'b'))));
  ASSERT_OK(repository_->ReleaseRoot("node/1"));
  ASSERT_OK(repository_->collector().Collect());
  EXPECT_EQ(CountFiles(Store("objects")), 0u);
}

TEST_F(CollectorTest, WhatIsHeldWhileACollectionRunsStaysUntilItsEnd) {
  ASSERT_OK(Import(kAlice, "x", tar_));
  auto held = repository_->HoldImage(kAlice, "x");
  ASSERT_OK(held);
  ASSERT_OK(repository_->images().Remove(kAlice, "x"));
  ASSERT_OK(repository_->collector().Collect());
  EXPECT_TRUE(repository_->layers().VerifyManifest(held->hold.stack()[0]).ok());
  EXPECT_TRUE(repository_->objects().Has(Hasher::Of(std::string(70'000, 'b'))));
  { const auto gone = std::move(*held); }
  ASSERT_OK(repository_->collector().Collect());
  EXPECT_EQ(CountFiles(Store("objects")), 0u);
  EXPECT_EQ(CountFiles(Store("manifests")), 0u);
}

TEST_F(CollectorTest, WhatWasHeldDuringAnEpochCountsUntilItsEnd) {
  ASSERT_OK(Import(kAlice, "x", tar_));
  const Digest layer = *Digest::Parse(repository_->images().Find(kAlice, "x")->layers(0).digest());
  Liveness& liveness = repository_->liveness();
  {
    const auto epoch = liveness.BeginEpoch();
    ASSERT_OK(epoch);
    EXPECT_EQ(liveness.BeginEpoch().error().code(), Code::kFailedPrecondition);
    { const auto held = repository_->HoldImage(kAlice, "x"); }
    ASSERT_OK(repository_->images().Remove(kAlice, "x"));
    EXPECT_TRUE(liveness.Mark()->layers.contains(layer))
        << "a name may have been given to it before the hold ended";
  }
  EXPECT_FALSE(liveness.Mark()->layers.contains(layer));
}

TEST_F(CollectorTest, ACommittedLayerStaysUntilItsImageIsNamed) {
  auto ingest = repository_->objects().StartIngest();
  ASSERT_OK(ingest);
  Tree tree;
  Inode inode;
  inode.mode = S_IFREG | 0644;
  inode.size = 5000;
  inode.object = *(*ingest)->Add(std::string(5000, 'u'));
  ASSERT_OK(tree.Link(Tree::kRoot, "f", *tree.AddInode(std::move(inode))));
  {
    const auto committed = repository_->CommitLayer({tree, 5000, ingest->get()});
    ASSERT_OK(committed);
    ingest->reset();
    ASSERT_OK(repository_->collector().Collect());
    EXPECT_EQ(CountFiles(Store("manifests")), 1u);
    EXPECT_EQ(CountFiles(Store("objects")), 1u);
  }
  ASSERT_OK(repository_->collector().Collect());
  EXPECT_EQ(CountFiles(Store("manifests")), 0u);
  EXPECT_EQ(CountFiles(Store("objects")), 0u);
}

TEST_F(CollectorTest, ALayerThatIsAboutToBeCommittedStopsNoCollection) {
  ASSERT_OK(Import(kAlice, "x", tar_));
  const auto hold = repository_->liveness().HoldStack({Hasher::Of("no manifest yet")});
  ASSERT_OK(repository_->collector().Collect());
  // But a layer that is named and has no manifest does: its objects would be taken for garbage.
  ASSERT_OK(RemoveTree(Store("lists")));
  ASSERT_OK(RemoveTree(Store("manifests")));
  EXPECT_FALSE(repository_->collector().Collect().ok());
  EXPECT_EQ(CountFiles(Store("objects")), 2u);
}

TEST_F(CollectorTest, WhatIsBeingWrittenIsNotSwept) {
  ASSERT_OK(Import(kAlice, "x", tar_));
  for (const std::string path : {"trees/.7", "profiles/.half.abcdef"}) {
    ASSERT_OK(WriteFileAtomically(Store(path), "half"));
  }
  ASSERT_OK(repository_->collector().Collect());
  EXPECT_TRUE(PathExists(Store("trees/.7")));
  EXPECT_TRUE(PathExists(Store("profiles/.half.abcdef")));
  Reopen();
  EXPECT_FALSE(PathExists(Store("trees/.7"))) << "nobody writes it any more";
  EXPECT_FALSE(PathExists(Store("profiles/.half.abcdef")));
}

TEST_F(CollectorTest, APendingLayerThatCannotBeReadStopsNoCollection) {
  ASSERT_OK(Import(kAlice, "x", tar_));
  const Digest layer = Hasher::Of("no manifest");
  const std::string path = repository_->layers().PendingPath(layer);
  ASSERT_OK(WriteFileAtomically(path, "no manifest"));
  ASSERT_OK(repository_->collector().Collect());
  EXPECT_FALSE(PathExists(path));
}

TEST_F(CollectorTest, ACancelledCollectionLeavesTheRestToTheNext) {
  ASSERT_OK(Import(kAlice, "x", tar_));
  CancelToken cancel;
  cancel.Cancel();
  EXPECT_EQ(repository_->collector().Collect(cancel).error().code(), Code::kCancelled);
  ASSERT_OK(repository_->collector().Collect());
}

// Imports with and without a base, roots taken and let go, listings, exports, replaced and deleted
// names, and collections, all at once. What is named or leased must be whole at every moment.
TEST_F(CollectorTest, NothingLiveIsCollectedUnderLoad) {
  repository_->collector().SetPassBytes(32 * 40);
  std::vector<std::string> tars;
  for (int t = 0; t < 4; ++t) {
    std::vector<File> files;
    for (int i = 0; i < 20; ++i) {  // Half of the contents are in two of the archives.
      files.push_back({"f" + std::to_string(i), std::string(700, 'c') + std::to_string(i) +
                                                    (i % 2 == 0 ? "" : std::to_string(t / 2))});
    }
    tars.push_back(MakeTar(directory_->path() + "/scratch" + std::to_string(t), files));
  }
  std::atomic<bool> stop = false;
  std::atomic<int> published = 0, collections = 0, roots = 0;
  // Done, or one of the races that users see as clear errors.
  const auto fine = [](const auto& result) {
    if (result.ok()) return true;
    const Code code = result.error().code();
    EXPECT_TRUE(code == Code::kNotFound || code == Code::kFailedPrecondition)
        << result.error().message();
    return false;
  };
  const auto work = [&](unsigned seed) {
    std::mt19937 random(seed);
    for (int step = 0; !stop; ++step) {
      const std::string name = "n" + std::to_string(random() % 3);
      switch (random() % 5) {
        case 0:
        case 1: {
          const auto imported =
              Import(kAlice, name, tars[random() % tars.size()], [&](v1::ImportOptions* options) {
                options->set_replace(true);
                if (random() % 2 == 0) options->set_base("n" + std::to_string(random() % 3));
              });
          published += fine(imported);
          break;
        }
        case 2: {
          const std::string lease = "node/" + std::to_string(seed) + "-" + std::to_string(step);
          const auto root = Acquire(kAlice, name, lease);
          if (!fine(root)) break;
          ++roots;
          EXPECT_TRUE(PathExists(root->tree_path()));
          const auto held = repository_->HoldLeased(lease);
          EXPECT_TRUE(held.ok());
          for (const Digest& layer : held->hold.stack()) {
            const auto objects = repository_->layers().Objects(layer);
            ASSERT_OK(objects);
            for (const ObjectEntry& entry : (*objects)->entries()) {
              EXPECT_TRUE(repository_->objects().Verify(entry.digest).ok());
            }
          }
          ASSERT_OK(repository_->ReleaseRoot(lease));
          break;
        }
        case 3: {
          fine(Delete(kAlice, name));
          break;
        }
        case 4: {
          fine(repository_->Export(
              kAlice, name, [](std::string_view) { return Ok(); }, cancel_));
          break;
        }
      }
    }
  };
  {
    std::jthread one(work, 1), two(work, 2), three(work, 3);
    std::jthread collector([&] {
      while (!stop) collections += repository_->collector().Collect().ok();
    });
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(6);
    while (std::chrono::steady_clock::now() < end && !HasFailure()) {
      EXPECT_TRUE(repository_->images().Names(kAlice).ok());
    }
    stop = true;
  }
  EXPECT_GT(published, 10);
  EXPECT_GT(roots, 10);
  EXPECT_GT(collections, 10);
  EXPECT_EQ(Fsck().result.problems(), 0u);
}

}  // namespace
}  // namespace strata::imaged
