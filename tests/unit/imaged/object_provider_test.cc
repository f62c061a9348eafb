// Objects from elsewhere: from a directory and from another imaged, verified, repaired, refused.
#include "imaged/repository/object_provider.h"

#include <filesystem>

#include "common/rpc/local_server.h"
#include "imaged/fetch/fetchers.h"
#include "imaged/manifest/tree_objects.h"
#include "imaged/service/image_service.h"
#include "tests/unit/imaged/repository_fixture.h"

namespace strata::imaged {
namespace {

using testing::HasSubstr;

const std::string kBig(70'000, 'b');

class ProviderTest : public RepositoryTest {
 protected:
  void SetUp() override {
    RepositoryTest::SetUp();
    ASSERT_OK(Import(kAlice, "x", tar_));
    ASSERT_OK(Acquire(kAlice, "x", "node/1"));
  }

  // A copy of the store as it is now, and our own repository with it as its source.
  void UseCopy() {
    std::filesystem::copy(Store(""), Copy(), std::filesystem::copy_options::recursive);
    OpenWith({Copy()});
  }
  void OpenWith(const std::vector<std::string>& sources) {
    repository_.reset();
    auto fetchers = OpenFetchers(sources);
    ASSERT_OK(fetchers);
    auto opened = Repository::Open(State(), std::move(*fetchers));
    ASSERT_OK(opened);
    repository_ = std::move(*opened);
  }
  std::string Copy() const { return directory_->path() + "/copy"; }
  std::string InCopy() const { return Copy() + "/objects/" + big_.ObjectPath(); }
  Status Provide(bool verify = false) {
    return repository_->provider().Provide(big_, verify, cancel_);
  }
  std::string Tree() { return Acquire(kAlice, "x", "node/1")->tree_path(); }
  // What a mount would find.
  size_t Defects() {
    auto defects = EnsureTreeObjects(Tree(), Store("objects"), {});
    EXPECT_TRUE(defects.ok()) << defects.error().message();
    return defects.ok() ? defects->size() : 1000;
  }

  const Digest big_ = Hasher::Of(kBig);
};

TEST_F(ProviderTest, AMissingObjectIsFetchedAndKept) {
  UseCopy();
  ASSERT_EQ(::unlink(AnObject(big_).c_str()), 0);
  EXPECT_EQ(*repository_->provider().SizeOf(big_, /*local_only=*/false), kBig.size());
  EXPECT_EQ(repository_->provider().SizeOf(big_, /*local_only=*/true).error().code(),
            Code::kNotFound);
  ASSERT_OK(Provide());
  EXPECT_EQ(*ReadFile(AnObject(big_)), kBig);
  struct stat st = {};
  ASSERT_EQ(::stat(AnObject(big_).c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0444u);
  Reopen();
  EXPECT_EQ(Fsck().result.problems(), 0u);
}

TEST_F(ProviderTest, WrongBytesAreRefusedAndTheNextSourceIsAsked) {
  UseCopy();
  const std::string good = directory_->path() + "/good";
  std::filesystem::copy(Copy(), good, std::filesystem::copy_options::recursive);
  Overwrite(InCopy());
  ASSERT_EQ(::unlink(AnObject(big_).c_str()), 0);
  const Status refused = Provide();
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr(Copy()));
  EXPECT_THAT(refused.error().message(), HasSubstr(big_.ToString()));
  EXPECT_FALSE(PathExists(AnObject(big_)));
  EXPECT_EQ(CountFiles(Store("staging")), 0u);
  OpenWith({Copy(), good});
  ASSERT_OK(Provide());
  EXPECT_EQ(*ReadFile(AnObject(big_)), kBig);
}

TEST_F(ProviderTest, ACheckReplacesADamagedObjectAndLeavesASoundOneAlone) {
  UseCopy();
  struct stat before = {};
  struct stat after = {};
  ASSERT_EQ(::stat(AnObject(big_).c_str(), &before), 0);
  ASSERT_OK(Provide(/*verify=*/true));
  ASSERT_EQ(::stat(AnObject(big_).c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  Overwrite(AnObject(big_));
  ASSERT_OK(Provide(/*verify=*/true));
  EXPECT_EQ(*ReadFile(AnObject(big_)), kBig);
  EXPECT_EQ(CountFiles(Store("damaged")), 0u);
}

TEST_F(ProviderTest, ADamagedObjectThatNobodyHasIsMovedAwayAndKept) {
  Overwrite(AnObject(big_));
  const Status failed = Provide(/*verify=*/true);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code(), Code::kCorrupt);
  EXPECT_THAT(failed.error().message(), HasSubstr(big_.ToString()));
  EXPECT_FALSE(PathExists(AnObject(big_)));
  EXPECT_TRUE(PathExists(Store("damaged/") + big_.Hex()));
}

TEST_F(ProviderTest, ACancelledFetchLeavesNothing) {
  UseCopy();
  ASSERT_EQ(::unlink(AnObject(big_).c_str()), 0);
  CancelToken cancel;
  const Status cancelled =
      repository_->provider().Provide(big_, false, cancel, [&](uint64_t) { cancel.Cancel(); });
  EXPECT_EQ(cancelled.error().code(), Code::kCancelled);
  EXPECT_FALSE(PathExists(AnObject(big_)));
}

TEST_F(ProviderTest, AnotherImagedServesWhatItHasItself) {
  UseCopy();
  const std::string socket = directory_->path() + "/peer.sock";
  auto server = rpc::LocalServer::Start(
      socket, [&](const rpc::Caller& caller) { return MakeServices(repository_.get(), caller); });
  ASSERT_OK(server);
  const std::string second = directory_->path() + "/second";
  auto fetchers = OpenFetchers({socket});
  ASSERT_OK(fetchers);
  auto opened = Repository::Open(second, std::move(*fetchers));
  ASSERT_OK(opened);
  EXPECT_EQ(*(*opened)->provider().SizeOf(big_, false), kBig.size());
  ASSERT_OK((*opened)->provider().Provide(big_, false, cancel_));
  EXPECT_EQ(*ReadFile(second + "/store/objects/" + big_.ObjectPath()), kBig);
  // Not what it could fetch: two that ask each other would never end.
  const Digest other = Hasher::Of(std::string(9000, 'o'));
  ASSERT_EQ(::unlink(AnObject(other).c_str()), 0);
  EXPECT_EQ((*opened)->provider().Provide(other, false, cancel_).error().code(), Code::kNotFound);
  (*server)->Shutdown(std::chrono::seconds(1));
  EXPECT_EQ((*opened)->provider().SizeOf(other, false).error().code(), Code::kUnavailable);
}

TEST_F(ProviderTest, SourcesThatAreNeitherSocketNorStoreAreRefused) {
  EXPECT_EQ(OpenFetchers({"/no/such/thing"}).error().code(), Code::kNotFound);
  EXPECT_FALSE(OpenFetchers({directory_->path()}).ok());  // No objects/ in it.
}

TEST_F(ProviderTest, FsckRepairsWhatASourceHasAndSaysSo) {
  UseCopy();
  Overwrite(AnObject(big_));
  ASSERT_EQ(::unlink(AnObject(Hasher::Of(std::string(9000, 'o'))).c_str()), 0);
  const Report report = Fsck();
  EXPECT_EQ(report.result.problems(), 2u);
  EXPECT_THAT(report.problems, testing::Each(HasSubstr("repaired")));
  EXPECT_EQ(Fsck().result.problems(), 0u);
}

TEST_F(ProviderTest, ACompleteTreeIsRecordedUntilTheStoreIsOpenedAnewOrDamageIsFound) {
  const std::string record = CompletenessRecord(Tree());
  EXPECT_EQ(Defects(), 0u);
  EXPECT_TRUE(PathExists(record));
  ASSERT_EQ(::unlink(AnObject(big_).c_str()), 0);
  EXPECT_EQ(Defects(), 0u) << "nobody looks again while the record is there";
  Fsck();
  EXPECT_FALSE(PathExists(record));
  EXPECT_EQ(Defects(), 1u);
  ASSERT_OK(WriteFileAtomically(AnObject(big_), kBig, 0444));
  EXPECT_EQ(Defects(), 0u);
  EXPECT_TRUE(PathExists(record));
  Reopen();
  EXPECT_FALSE(PathExists(record));
}

TEST_F(ProviderTest, ARecordOfAnotherTreeOrAnotherFolderDoesNotCount) {
  EXPECT_EQ(Defects(), 0u);
  const std::string tree = Tree();
  ASSERT_TRUE(MakeDirectories(directory_->path() + "/empty").ok());
  EXPECT_EQ(EnsureTreeObjects(tree, directory_->path() + "/empty", {})->size(), 2u);
  // The same bytes under the same path, but another file.
  const auto bytes = ReadFile(tree);
  ASSERT_OK(bytes);
  ASSERT_EQ(::unlink(AnObject(big_).c_str()), 0);
  ASSERT_OK(WriteFileAtomically(tree, *bytes, 0444));
  EXPECT_EQ(Defects(), 1u);
}

TEST_F(ProviderTest, CollectionsKeepObjectsAndRecordsOfLeasedTreesAndTakeTheOthers) {
  EXPECT_EQ(Defects(), 0u);
  const std::string record = CompletenessRecord(Tree());
  ASSERT_OK(Import(kAlice, "y", MakeTar(directory_->path() + "/scratch", {{"else", "e"}})));
  ASSERT_OK(Import(kAlice, "x", MakeTar(directory_->path() + "/scratch", {{"new", "n"}}),
                   [](v1::ImportOptions* o) { o->set_replace(true); }));
  ASSERT_OK(Delete(kAlice, "y"));  // Collects; the lease still holds the old "x".
  EXPECT_TRUE(PathExists(record));
  EXPECT_TRUE(PathExists(AnObject(big_)));
  ASSERT_OK(repository_->ReleaseRoot("node/1"));
  ASSERT_OK(Delete(kAlice, "x"));
  EXPECT_FALSE(PathExists(record));
  EXPECT_FALSE(PathExists(AnObject(big_)));
}

}  // namespace
}  // namespace strata::imaged
