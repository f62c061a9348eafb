// What the repository promises its users: rights, names, nothing half-published, nothing lost.
#include "imaged/repository/repository.h"

#include <future>

#include "tests/unit/imaged/repository_fixture.h"

namespace strata::imaged {
namespace {

using testing::HasSubstr;

TEST_F(RepositoryTest, AnImportedImageIsThereAfterARestart) {
  const auto imported = Import(kAlice, "spark:v1", tar_);
  ASSERT_OK(imported);
  EXPECT_EQ(imported->summary().new_objects(), 2u);
  EXPECT_EQ(imported->summary().new_bytes(), 79'000u + imported->summary().manifest_bytes());
  Reopen();
  const auto found = repository_->images().Find(kAlice, "spark:v1");
  ASSERT_OK(found);
  EXPECT_EQ(found->digest(), imported->image().digest());
  EXPECT_EQ(Fsck().result.problems(), 0u);
}

TEST_F(RepositoryTest, TheSameContentIsStoredOnceAndHasOneLayer) {
  const auto first = Import(kAlice, "a", tar_);
  const auto second = Import(kBob, "b", tar_);
  ASSERT_OK(first);
  ASSERT_OK(second);
  EXPECT_EQ(second->summary().new_objects(), 2u) << "what alice has is nothing that bob can tell";
  EXPECT_EQ(CountFiles(Store("objects")), 2u);
  EXPECT_EQ(first->image().layers(0).digest(), second->image().layers(0).digest());
}

TEST_F(RepositoryTest, APrivateImageDoesNotExistForOthers) {
  ASSERT_OK(Import(kAlice, "secret", tar_));
  const std::string reference = std::to_string(kAlice) + "/secret";
  EXPECT_EQ(repository_->images().Find(kBob, reference).error().code(), Code::kNotFound);
  // What is hidden and what is not there look the same.
  std::string hidden = repository_->images().Find(kBob, reference).error().message();
  const std::string absent =
      repository_->images().Find(kBob, std::to_string(kAlice) + "/absent").error().message();
  hidden.replace(hidden.find("secret"), 6, "absent");
  EXPECT_EQ(hidden, absent);
  EXPECT_TRUE(Names(kBob, true).empty());
  EXPECT_EQ(Names(0, false).size(), 1u) << "root sees all";
}

TEST_F(RepositoryTest, APublicImageMayBeUsedAndNotChangedByOthers) {
  ASSERT_OK(Import(kAlice, "shared", tar_));
  ASSERT_OK(Share(kAlice, "shared", v1::PUBLIC));
  const std::string reference = std::to_string(kAlice) + "/shared";
  EXPECT_THAT(Names(kBob, true), testing::ElementsAre(reference + ":latest"));
  EXPECT_TRUE(Names(kBob, false).empty());
  EXPECT_TRUE(Acquire(kBob, reference, "node/b").ok());
  EXPECT_EQ(Share(kBob, reference, v1::PRIVATE).error().code(), Code::kPermissionDenied);
  EXPECT_EQ(Delete(kBob, reference).error().code(), Code::kPermissionDenied);
  EXPECT_EQ(Import(kBob, reference, tar_).error().code(), Code::kPermissionDenied);
  ASSERT_OK(Share(kAlice, "shared", v1::PRIVATE));
  EXPECT_EQ(Acquire(kBob, reference, "node/c").error().code(), Code::kNotFound);
}

TEST_F(RepositoryTest, ATakenNameIsRefusedAndReplacedOnlyOnRequest) {
  ASSERT_OK(Import(kAlice, "x", tar_));
  const std::string other = MakeTar(directory_->path() + "/scratch", {{"else", "e"}});
  const auto refused = Import(kAlice, "x", other);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kAlreadyExists);
  EXPECT_THAT(refused.error().message(), HasSubstr("x:latest"));
  EXPECT_EQ(repository_->Show(kAlice, "x")->entries(), 3u);
  ASSERT_OK(Import(kAlice, "x", other, [](v1::ImportOptions* o) { o->set_replace(true); }));
  EXPECT_EQ(repository_->Show(kAlice, "x")->entries(), 1u);
}

TEST_F(RepositoryTest, BadReferencesAreRefusedWithTheirReason) {
  for (const char* bad :
       {"", "a b", "a/b/c", "-x", "x:", ":y", "x:y:z", "../x", "no-such-user-here/x"}) {
    const auto refused = Import(kAlice, bad, tar_);
    ASSERT_FALSE(refused.ok()) << bad;
    EXPECT_TRUE(refused.error().code() == Code::kInvalidArgument ||
                refused.error().code() == Code::kNotFound)
        << bad << ": " << refused.error().message();
  }
  EXPECT_TRUE(Names(0, true).empty());
}

TEST_F(RepositoryTest, ATruncatedArchivePublishesNothingAndLeavesNothing) {
  for (const size_t size : {size_t{0}, size_t{100}, size_t{3000}, tar_.size() - 2000}) {
    const std::string cut = tar_.substr(0, size);
    EXPECT_FALSE(Import(kAlice, "cut", cut).ok()) << size;
  }
  EXPECT_TRUE(Names(0, true).empty());
  EXPECT_EQ(CountFiles(Store("objects")), 0u);
  EXPECT_EQ(CountFiles(Store("manifests")), 0u);
  EXPECT_EQ(CountFiles(Store("staging")), 0u);
}

TEST_F(RepositoryTest, ACancelledImportPublishesNothing) {
  CancelToken cancel;
  v1::ImportOptions options;
  options.set_reference("x");
  int pieces = 0;
  ByteSource inner = SourceOf(tar_, 512);
  const auto result = repository_->Import(kAlice, options,
                                          [&]() -> Result<std::string_view> {
                                            if (++pieces == 20) cancel.Cancel();
                                            return inner();
                                          },
                                          cancel, {});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), Code::kCancelled);
  EXPECT_EQ(CountFiles(Store("objects")), 0u);
}

TEST_F(RepositoryTest, TwoWritersOfOneNameTheSecondIsRefused) {
  std::promise<void> started;
  std::promise<void> go_on;
  std::future<void> may_go_on = go_on.get_future();
  ByteSource inner = SourceOf(tar_);
  bool first_call = true;
  auto first = std::async(std::launch::async, [&] {
    v1::ImportOptions options;
    options.set_reference("x");
    return repository_->Import(kAlice, options,
                               [&]() -> Result<std::string_view> {
                                 if (first_call) {
                                   started.set_value();
                                   may_go_on.wait();
                                   first_call = false;
                                 }
                                 return inner();
                               },
                               cancel_, {});
  });
  started.get_future().wait();
  EXPECT_EQ(Import(kAlice, "x", tar_).error().code(), Code::kFailedPrecondition);
  // A collection meanwhile takes nothing that the running one brings.
  ASSERT_OK(Import(kAlice, "y", tar_));
  const auto deleted = Delete(kAlice, "y");
  ASSERT_OK(deleted);
  EXPECT_FALSE(deleted->collection_deferred());
  go_on.set_value();
  ASSERT_OK(first.get());
  EXPECT_EQ(Fsck().result.problems(), 0u);
}

TEST_F(RepositoryTest, DeletingFreesWhatNobodyElseNeeds) {
  ASSERT_OK(Import(kAlice, "one", tar_));
  const std::string other =
      MakeTar(directory_->path() + "/scratch",
              {{"big", std::string(70'000, 'b')}, {"own", std::string(5000, 'p')}});
  ASSERT_OK(Import(kBob, "two", other));
  const auto deleted = Delete(0, std::to_string(kAlice) + "/one");
  ASSERT_OK(deleted);
  EXPECT_FALSE(deleted->collection_deferred());
  EXPECT_EQ(deleted->freed_objects(), 1u) << "'big' belongs to the other image too";
  EXPECT_EQ(deleted->freed_bytes(), 9000u);
  EXPECT_EQ(CountFiles(Store("manifests")), 1u);
  EXPECT_EQ(Fsck().result.problems(), 0u);
}

TEST_F(RepositoryTest, AnImageInUseIsNotDeleted) {
  ASSERT_OK(Import(kAlice, "x", tar_));
  const auto root = Acquire(kAlice, "x", "node/hpc-0");
  ASSERT_OK(root);
  EXPECT_TRUE(PathExists(root->tree_path()));
  Reopen();  // Leases survive a restart.
  const auto refused = Delete(kAlice, "x");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(refused.error().message(), HasSubstr("node/hpc-0"));
  EXPECT_EQ(repository_->Show(kAlice, "x")->leases(), 1u);
  ASSERT_OK(repository_->ReleaseRoot("node/hpc-0"));
  ASSERT_OK(repository_->ReleaseRoot("node/hpc-0"));
  ASSERT_OK(Delete(kAlice, "x"));
  EXPECT_FALSE(PathExists(root->tree_path()));
}

TEST_F(RepositoryTest, AReplacedImageLivesOnWhereItIsUsed) {
  ASSERT_OK(Import(kAlice, "x", tar_));
  ASSERT_OK(Acquire(kAlice, "x", "node/1"));
  const std::string other = MakeTar(directory_->path() + "/scratch", {{"else", "e"}});
  ASSERT_OK(Import(kAlice, "x", other, [](v1::ImportOptions* o) { o->set_replace(true); }));
  ASSERT_OK(Delete(kAlice, "x"));
  const auto leased = repository_->HoldLeased("node/1");
  ASSERT_OK(leased);
  EXPECT_TRUE(repository_->layers().VerifyManifest(leased->hold.stack()[0]).ok());
  EXPECT_TRUE(repository_->objects().Has(Hasher::Of(std::string(70'000, 'b'))));
}

TEST_F(RepositoryTest, ALayerOnABaseShowsBoth) {
  ASSERT_OK(Import(kAlice, "base", tar_));
  const std::string more =
      MakeTar(directory_->path() + "/scratch", {{"more", "m"}, {"small", "new"}});
  ASSERT_OK(Import(kAlice, "top", more, [](v1::ImportOptions* o) { o->set_base("base"); }));
  v1::ListFilesRequest request;
  request.set_reference("top");
  const auto files = repository_->ListFiles(kAlice, request);
  ASSERT_OK(files);
  std::vector<std::string> names;
  for (const v1::FileInfo& file : files->files()) names.push_back(file.name());
  EXPECT_THAT(names, testing::ElementsAre("big", "more", "other", "small"));
  EXPECT_EQ(files->files(3).size(), 3u);
  EXPECT_EQ(repository_->images().Find(kAlice, "top")->lineage().parent_reference(),
            std::to_string(kAlice) + "/base:latest");
}

TEST_F(RepositoryTest, AFileCalledLikeAWhiteoutIsOneOnlyInALayer) {
  const std::string tar =
      MakeTar(directory_->path() + "/scratch", {{".wh.big", "w"}, {"keep", "k"}});
  const auto on_base = [](v1::ImportOptions* o) { o->set_base("base"); };
  ASSERT_OK(Import(kAlice, "base", tar_));
  ASSERT_OK(Import(kAlice, "layer", tar, on_base));
  ASSERT_OK(Import(kAlice, "plain", tar, [&](v1::ImportOptions* o) {
    on_base(o);
    o->set_literal_names(true);
  }));
  const auto has = [&](const char* image, const char* path) {
    v1::ListFilesRequest request;
    request.set_reference(image);
    request.set_path(path);
    return repository_->ListFiles(kAlice, request).ok();
  };
  EXPECT_FALSE(has("layer", "big"));
  EXPECT_FALSE(has("layer", ".wh.big"));
  EXPECT_TRUE(has("plain", "big"));
  EXPECT_TRUE(has("plain", ".wh.big"));
}

TEST_F(RepositoryTest, AnExportImportsToTheSameLayer) {
  const auto first = Import(kAlice, "x", tar_);
  ASSERT_OK(first);
  std::string exported;
  ASSERT_OK(repository_->Export(
      kAlice, "x",
      [&](std::string_view data) -> Status {
        exported += data;
        return Ok();
      },
      cancel_));
  const auto second = Import(kAlice, "y", exported);
  ASSERT_OK(second);
  EXPECT_EQ(first->image().layers(0).digest(), second->image().layers(0).digest());
}

TEST_F(RepositoryTest, FsckNamesEveryDamage) {
  const auto imported = Import(kAlice, "x", tar_);
  ASSERT_OK(imported);
  ASSERT_OK(Acquire(kAlice, "x", "node/1"));
  const Digest big = Hasher::Of(std::string(70'000, 'b'));
  const Digest other = Hasher::Of(std::string(9000, 'o'));
  Overwrite(AnObject(big));
  ASSERT_EQ(::unlink(AnObject(other).c_str()), 0);
  Overwrite(Acquire(kAlice, "x", "node/1")->tree_path());
  Report report = Fsck();
  EXPECT_EQ(report.result.problems(), 3u);
  EXPECT_THAT(report.problems,
              testing::Contains(testing::AllOf(HasSubstr("/big"), HasSubstr(big.Hex()))));
  EXPECT_THAT(report.problems,
              testing::Contains(testing::AllOf(HasSubstr("/other"), HasSubstr(other.Hex()))));
  EXPECT_THAT(report.problems, testing::Contains(HasSubstr("cached tree")));
  // The tree was only a cache: it is gone and built anew.
  ASSERT_OK(Acquire(kAlice, "x", "node/1"));

  Overwrite(
      repository_->layers().ManifestPath(*Digest::Parse(imported->image().layers(0).digest())));
  report = Fsck();
  EXPECT_THAT(report.problems, testing::Contains(HasSubstr("manifest")));
}

TEST_F(RepositoryTest, AnExportOfADamagedImageFailsAndNamesThePath) {
  ASSERT_OK(Import(kAlice, "x", tar_));
  Overwrite(AnObject(Hasher::Of(std::string(70'000, 'b'))));
  const Status exported = repository_->Export(
      kAlice, "x", [](std::string_view) -> Status { return Ok(); }, cancel_);
  ASSERT_FALSE(exported.ok());
  EXPECT_EQ(exported.error().code(), Code::kCorrupt);
  EXPECT_THAT(exported.error().message(), HasSubstr("big"));
}

TEST_F(RepositoryTest, StrangersCannotReadTheStoreOnDisk) {
  struct stat st;
  ASSERT_EQ(::stat(State().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 077, 0u);
}

TEST_F(RepositoryTest, AStoreWhoseCatalogIsGoneIsNotTakenForEmpty) {
  ASSERT_OK(Import(kAlice, "x", tar_));
  repository_.reset();
  ASSERT_OK(RemoveTree(State() + "/catalog"));
  ASSERT_OK(RemoveTree(State() + "/records"));
  const auto opened = Repository::Open(State());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), Code::kCorrupt);
  EXPECT_THAT(opened.error().message(), HasSubstr("imaged rebuild-catalog --adopt-unnamed"));
  EXPECT_EQ(CountFiles(Store("objects")), 2u);
}

TEST_F(RepositoryTest, ASecondProcessIsRefusedTheStore) {
  const auto second = Repository::Open(State());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), Code::kFailedPrecondition);
}

}  // namespace
}  // namespace strata::imaged
