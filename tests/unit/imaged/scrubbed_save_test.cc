// Saves of an upper directory with secrets in it: who may see the image decides whether they are
// taken out, and what is taken out must be nowhere in the store.
#include <gmock/gmock.h>

#include "imaged/repository/save_operation.h"
#include "tests/unit/imaged/repository_fixture.h"

namespace strata::imaged {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::UnorderedElementsAre;

const std::string kSmallSecret = "machine m password small-secret\n";
const std::string kLargeSecret =
    "-----BEGIN " + std::string("PRIVATE KEY-----\n") + std::string(2000, 'M');
const std::string kLargeHistory = std::string(3000, 'h');
const std::string kKept = std::string(4000, 'k');

class ScrubbedSaveTest : public RepositoryTest {
 protected:
  void SetUp() override {
    RepositoryTest::SetUp();
    ASSERT_OK(Import(kAlice, "base", tar_));
    ASSERT_OK(Acquire(kAlice, "base", "node/1"));
    for (const char* name : {"/upper/root", "/upper/srv", "/work"}) {
      ASSERT_OK(MakeDirectories(directory_->path() + name));
    }
    Write("root/.netrc", kSmallSecret);
    Write("root/.bash_history", kLargeHistory);
    Write("srv/server.key", kLargeSecret);
    Write("srv/data", kKept);
  }

  void Write(const std::string& path, const std::string& content) {
    ASSERT_OK(WriteFileAtomically(directory_->path() + "/upper/" + path, content, 0600));
  }

  v1::SaveStart StartMessage(v1::Visibility visibility, v1::ScrubMode mode) {
    v1::SaveStart start;
    start.set_lease("node/1");
    start.set_upper_dir(directory_->path() + "/upper");
    start.set_work_dir(directory_->path() + "/work");
    start.set_on_behalf_of_uid(kAlice);
    start.set_reference("saved");
    start.set_replace(true);
    start.set_visibility(visibility);
    start.set_scrub(mode);
    return start;
  }

  Result<v1::ImportResult> Save(v1::Visibility visibility, v1::ScrubMode mode,
                                const std::function<void()>& between = {}) {
    ASSIGN_OR_RETURN(
        const auto operation,
        SaveOperation::Start(repository_.get(), StartMessage(visibility, mode), &cancel_, {}));
    RETURN_IF_ERROR(operation->FirstRound());
    if (between) between();
    RETURN_IF_ERROR(operation->SecondRound());
    return operation->Finish();
  }

  bool Stored(const std::string& content) const {
    return PathExists(AnObject(Hasher::Of(content)));
  }

  std::string Manifest(const v1::Image& image) {
    const Digest layer = *Digest::Parse(image.layers().rbegin()->digest());
    return *ReadFile(repository_->layers().ManifestPath(layer));
  }
};

TEST_F(ScrubbedSaveTest, APublicImageHasNoSecretsAndNeitherHasTheStore) {
  const auto saved = Save(v1::PUBLIC, v1::SCRUB_DEFAULT);
  ASSERT_OK(saved);
  std::vector<std::string> report;
  for (const v1::ScrubbedSecret& secret : saved->summary().scrubbed()) {
    report.push_back(secret.path() + ": " + secret.category() + " " + secret.action());
  }
  EXPECT_THAT(report, UnorderedElementsAre("root/.bash_history: history removed",
                                           "root/.netrc: credential removed",
                                           "srv/server.key: private key removed"));
  EXPECT_EQ(saved->summary().scrubbed_count(), 3u);
  EXPECT_EQ(saved->summary().bytes(), kKept.size());
  EXPECT_EQ(saved->summary().new_bytes(), kKept.size() + saved->summary().manifest_bytes());
  EXPECT_TRUE(Stored(kKept));
  EXPECT_FALSE(Stored(kLargeSecret));
  EXPECT_FALSE(Stored(kLargeHistory));
  EXPECT_THAT(Manifest(saved->image()), Not(HasSubstr("small-secret")));
  EXPECT_EQ(*ReadFile(directory_->path() + "/upper/root/.netrc"), kSmallSecret)
      << "the container keeps its files";
  EXPECT_EQ(Fsck().result.problems(), 0u);
}

TEST_F(ScrubbedSaveTest, APrivateImageIsSavedAsItIs) {
  const auto saved = Save(v1::PRIVATE, v1::SCRUB_DEFAULT);
  ASSERT_OK(saved);
  EXPECT_EQ(saved->summary().scrubbed_count(), 0u);
  EXPECT_TRUE(Stored(kLargeSecret));
  EXPECT_THAT(Manifest(saved->image()), HasSubstr("small-secret"));
}

TEST_F(ScrubbedSaveTest, TheCallerMayOrderOtherwise) {
  const auto scrubbed = Save(v1::PRIVATE, v1::SCRUB_ALWAYS);
  ASSERT_OK(scrubbed);
  EXPECT_EQ(scrubbed->summary().scrubbed_count(), 3u);
  EXPECT_FALSE(Stored(kLargeSecret));
  const auto kept = Save(v1::PUBLIC, v1::SCRUB_NEVER);
  ASSERT_OK(kept);
  EXPECT_EQ(kept->summary().scrubbed_count(), 0u);
  EXPECT_TRUE(Stored(kLargeSecret));
}

TEST_F(ScrubbedSaveTest, WhatOnlyTheFirstRoundSawIsNotStored) {
  const std::string later(5000, 'l');
  const auto saved = Save(v1::PRIVATE, v1::SCRUB_DEFAULT, [&] { Write("srv/data", later); });
  ASSERT_OK(saved);
  EXPECT_TRUE(Stored(later));
  EXPECT_FALSE(Stored(kKept));
}

TEST_F(ScrubbedSaveTest, TheReportNamesAtMostAThousandAndCountsAll) {
  for (int i = 0; i < 1003; ++i) Write("srv/" + std::to_string(i) + ".p12", "key");
  const auto saved = Save(v1::PUBLIC, v1::SCRUB_DEFAULT);
  ASSERT_OK(saved);
  EXPECT_EQ(saved->summary().scrubbed_size(), 1000);
  EXPECT_EQ(saved->summary().scrubbed_count(), 1006u);
}

TEST_F(ScrubbedSaveTest, ANameThatIsSharedWithSomebodyGetsNoSecrets) {
  ASSERT_OK(Save(v1::VISIBILITY_UNSPECIFIED, v1::SCRUB_DEFAULT));
  v1::ShareRequest share;
  share.set_reference("saved");
  v1::Grant* grant = share.add_add();
  grant->set_kind(v1::GRANT_USER);
  grant->set_name(std::to_string(kBob));
  const auto refused = repository_->Share(kAlice, share);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(refused.error().message(), HasSubstr("3 secrets"));
  share.set_keep_secrets(true);
  ASSERT_OK(repository_->Share(kAlice, share));
  const auto again = Save(v1::VISIBILITY_UNSPECIFIED, v1::SCRUB_DEFAULT);
  ASSERT_OK(again);
  EXPECT_EQ(again->summary().scrubbed_count(), 3u);
  EXPECT_TRUE(repository_->images().Find(kBob, std::to_string(kAlice) + "/saved").ok());
}

TEST_F(ScrubbedSaveTest, ASharedNameIsNotPointedToSecretsUnseen) {
  ASSERT_OK(Import(kAlice, "open", tar_));
  ASSERT_OK(Share(kAlice, "open", v1::PUBLIC));
  ASSERT_OK(Save(v1::PRIVATE, v1::SCRUB_DEFAULT));
  v1::TagRequest tag;
  tag.set_reference("saved");
  tag.set_new_reference("open");
  tag.set_replace(true);
  EXPECT_EQ(repository_->Tag(kAlice, tag).error().code(), Code::kFailedPrecondition);
  v1::RebaseRequest rebase;
  rebase.set_reference("saved");
  rebase.set_onto("base");
  rebase.set_new_reference("open");
  rebase.set_replace(true);
  EXPECT_EQ(repository_->Rebase(kAlice, rebase).error().code(), Code::kFailedPrecondition);
  tag.set_new_reference("closed");
  ASSERT_OK(repository_->Tag(kAlice, tag));
  tag.set_new_reference("open");
  tag.set_keep_secrets(true);
  ASSERT_OK(repository_->Tag(kAlice, tag));
}

TEST_F(ScrubbedSaveTest, ACheckedImageOnABaseWithSecretsIsNoCheckedOne) {
  ASSERT_OK(Save(v1::PRIVATE, v1::SCRUB_DEFAULT));
  ASSERT_OK(Import(kAlice, "open", tar_));
  ASSERT_OK(
      Import(kAlice, "clean", tar_, [](v1::ImportOptions* options) { options->set_base("open"); }));
  v1::ScrubRequest scrub;
  scrub.set_reference("clean");
  scrub.set_replace(true);
  ASSERT_TRUE(repository_->Scrub(kAlice, scrub)->image().secrets_checked());
  ASSERT_OK(Share(kAlice, "open", v1::PUBLIC));
  v1::RebaseRequest rebase;
  rebase.set_reference("clean");
  rebase.set_onto("saved");
  rebase.set_new_reference("open");
  rebase.set_replace(true);
  rebase.set_prefer(v1::REBASE_IMAGE);
  EXPECT_EQ(repository_->Rebase(kAlice, rebase).error().code(), Code::kFailedPrecondition);
  rebase.set_new_reference("mixed");
  const auto mixed = repository_->Rebase(kAlice, rebase);
  ASSERT_OK(mixed);
  EXPECT_FALSE(mixed->image().secrets_checked());
  v1::ShareRequest share;
  share.set_reference("mixed");
  share.set_visibility(v1::PUBLIC);
  EXPECT_EQ(repository_->Share(kAlice, share).error().code(), Code::kFailedPrecondition);
  rebase.set_onto("base");
  rebase.set_new_reference("open");
  const auto sound = repository_->Rebase(kAlice, rebase);
  ASSERT_OK(sound);
  EXPECT_TRUE(sound->image().secrets_checked());
}

TEST_F(ScrubbedSaveTest, AnImportForOthersDoesNotLieOnSecrets) {
  ASSERT_OK(Save(v1::PRIVATE, v1::SCRUB_DEFAULT));
  ASSERT_OK(Import(kAlice, "open", tar_));
  ASSERT_OK(Share(kAlice, "open", v1::PUBLIC));
  const auto on_saved = [this](const std::string& name, v1::Visibility visibility) {
    return Import(kAlice, name, tar_, [&](v1::ImportOptions* options) {
      options->set_base("saved");
      options->set_visibility(visibility);
      options->set_replace(true);
    });
  };
  EXPECT_EQ(on_saved("open", v1::VISIBILITY_UNSPECIFIED).error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(on_saved("new", v1::PUBLIC).error().code(), Code::kFailedPrecondition);
  ASSERT_OK(on_saved("new", v1::PRIVATE));
  ASSERT_OK(on_saved("open", v1::PRIVATE));
  ASSERT_OK(Save(v1::PUBLIC, v1::SCRUB_DEFAULT));
  ASSERT_OK(on_saved("new", v1::PUBLIC));
}

// As after a move: what the node wrote before it is a layer of its base.
TEST_F(ScrubbedSaveTest, WhatContainersLeftInTheBaseOfAPublicSaveGoesToo) {
  ASSERT_OK(Save(v1::PRIVATE, v1::SCRUB_DEFAULT));
  ASSERT_OK(repository_->ReleaseRoot("node/1"));
  ASSERT_OK(Acquire(kAlice, "saved", "node/1"));
  for (const char* name : {"root/.netrc", "root/.bash_history", "srv/data"}) {
    ASSERT_EQ(::unlink((directory_->path() + "/upper/" + name).c_str()), 0);
  }
  Write("srv/more", kKept);  // And srv/server.key, as the base has it.
  v1::SaveStart start = StartMessage(v1::PUBLIC, v1::SCRUB_DEFAULT);
  start.set_reference("second");
  const auto save = [&] {
    const auto operation = SaveOperation::Start(repository_.get(), start, &cancel_, {});
    EXPECT_TRUE(operation.ok());
    EXPECT_TRUE((*operation)->FirstRound().ok() && (*operation)->SecondRound().ok());
    return (*operation)->Finish();
  };
  const auto saved = save();
  ASSERT_OK(saved);
  std::vector<std::string> report;
  for (const v1::ScrubbedSecret& secret : saved->summary().scrubbed()) {
    report.push_back(secret.path() + " " + secret.action());
  }
  EXPECT_THAT(report, UnorderedElementsAre("root/.bash_history removed", "root/.netrc removed",
                                           "srv/server.key removed"));
  EXPECT_TRUE(saved->image().secrets_checked());
  v1::ListFilesRequest files;
  files.set_reference("second");
  for (const char* path : {"root/.netrc", "root/.bash_history", "srv/server.key"}) {
    files.set_path(path);
    EXPECT_EQ(repository_->ListFiles(kAlice, files).error().code(), Code::kNotFound) << path;
  }
  for (const char* path : {"srv/data", "srv/more"}) {
    files.set_path(path);
    EXPECT_TRUE(repository_->ListFiles(kAlice, files).ok()) << path;
  }
  start.set_reference("private");
  start.set_visibility(v1::PRIVATE);
  EXPECT_EQ(save()->summary().scrubbed_count(), 0u) << "and nobody else asked for that";
  ASSERT_OK(repository_->ReleaseRoot("node/1"));
  for (const char* name : {"saved", "private"}) ASSERT_OK(Delete(kAlice, name));
  EXPECT_FALSE(Stored(kLargeSecret));
  EXPECT_EQ(Fsck().result.problems(), 0u);
}

TEST_F(ScrubbedSaveTest, AnImageIsCleanedInAllItsLayersAndMayBeSharedThen) {
  ASSERT_OK(Save(v1::PRIVATE, v1::SCRUB_DEFAULT));
  ASSERT_OK(repository_->ReleaseRoot("node/1"));
  ASSERT_OK(Acquire(kAlice, "saved", "node/1"));  // A clone of it goes on in the same upper.
  Write("root/.netrc", "another-secret");
  v1::SaveStart start = StartMessage(v1::PRIVATE, v1::SCRUB_DEFAULT);
  start.set_reference("second");
  {
    const auto operation = SaveOperation::Start(repository_.get(), start, &cancel_, {});
    ASSERT_OK(operation);
    ASSERT_OK((*operation)->FirstRound());
    ASSERT_OK((*operation)->SecondRound());
    ASSERT_OK((*operation)->Finish());
  }
  v1::ScrubRequest request;
  request.set_reference("second");
  request.set_new_reference("clean");
  request.set_dry_run(true);
  EXPECT_EQ(repository_->Scrub(kAlice, request)->scrubbed_count(), 3u) << "each path once";
  EXPECT_FALSE(repository_->images().Find(kAlice, "clean").ok());
  request.set_dry_run(false);
  const auto clean = repository_->Scrub(kAlice, request);
  ASSERT_OK(clean);
  EXPECT_EQ(clean->image().layers_size(), 3);
  v1::ListFilesRequest files;
  files.set_reference("clean");
  for (const char* path : {"root/.netrc", "root/.bash_history", "srv/server.key"}) {
    files.set_path(path);
    EXPECT_EQ(repository_->ListFiles(kAlice, files).error().code(), Code::kNotFound) << path;
  }
  files.set_path("srv/data");
  EXPECT_TRUE(repository_->ListFiles(kAlice, files).ok());
  v1::ShareRequest share;
  share.set_reference("clean");
  share.set_visibility(v1::PUBLIC);
  ASSERT_OK(repository_->Share(kAlice, share));
  ASSERT_OK(repository_->ReleaseRoot("node/1"));
  for (const char* name : {"saved", "second"}) ASSERT_OK(Delete(kAlice, name));
  EXPECT_FALSE(Stored(kLargeSecret));
  EXPECT_EQ(Fsck().result.problems(), 0u);
}

}  // namespace
}  // namespace strata::imaged
