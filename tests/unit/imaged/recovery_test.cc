// A repository whose catalog, journal or both are lost, and what `imaged fsck` says.
#include <filesystem>

#include "common/file_io.h"
#include "common/records/record_recovery.h"
#include "imaged/catalog/own_records.h"
#include "imaged/catalog/tables.h"
#include "imaged/repository/adopt_layers.h"
#include "imaged/repository/offline_check.h"
#include "tests/unit/imaged/repository_fixture.h"

namespace strata::imaged {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class RecoveryTest : public RepositoryTest {
 protected:
  void SetUp() override {
    RepositoryTest::SetUp();
    ASSERT_OK(
        Import(kAlice, "x:v1", tar_, [](v1::ImportOptions* o) { o->set_description("kept"); }));
    ASSERT_OK(Share(kAlice, "x:v1", v1::PUBLIC));
    const std::string other =
        MakeTar(directory_->path() + "/scratch", {{"leased", std::string(20'000, 'l')}});
    ASSERT_OK(Import(kBob, "y", other));
    ASSERT_OK(Acquire(kBob, "y", "node/1"));
    ASSERT_OK(Delete(kBob, "y", /*force=*/true));
    v1::ChangeClassRequest members;
    members.set_name("everybody");
    members.add_add(std::to_string(kBob));
    ASSERT_OK(repository_->catalog().classes().Change(kAlice, members, 1));
    v1::SetQuotaRequest quota;
    quota.set_subject("user:" + std::to_string(kAlice));
    quota.set_limit_bytes(12'345'678);
    ASSERT_OK(repository_->usage().SetQuota(0, quota));
  }
  // Everything that the catalog says, in one text.
  std::string Seen() {
    std::string text;
    for (const records::Table table : CatalogTables()) {
      EXPECT_TRUE(repository_->catalog()
                      .records()
                      .Scan(table, "",
                            [&](const auto& key, const auto& value) -> Status {
                              text += key + "=" + value + "\n";
                              return Ok();
                            })
                      .ok());
    }
    return text;
  }
  std::vector<std::string> Check() {
    repository_.reset();
    std::vector<std::string> problems;
    const auto checked =
        CheckState(State(), {}, [&](const std::string& problem) { problems.push_back(problem); });
    EXPECT_TRUE(checked.ok()) << checked.error().message();
    EXPECT_EQ(checked.ok() ? checked->problems : 0, problems.size());
    return problems;
  }
};

TEST_F(RecoveryTest, NamesRightsClassesQuotasAndLeasesComeBackWithoutRocksDb) {
  const std::string before = Seen();
  for (const char* part : {"everybody", "user/50001", "node/1", "x:v1", "kept"}) {
    EXPECT_THAT(before, HasSubstr(part));
  }
  repository_.reset();
  ASSERT_OK(RemoveTree(State() + "/catalog"));
  const auto rebuilt = records::RebuildIndex(State(), OwnRecords());
  ASSERT_OK(rebuilt);
  Reopen();
  EXPECT_EQ(Seen(), before);
  EXPECT_THAT(Names(kBob, true), ElementsAre("50001/x:v1"));
  ASSERT_OK(repository_->HoldLeased("node/1"));
  EXPECT_THAT(Check(), ElementsAre());
}

TEST_F(RecoveryTest, LostRecordsAreRefusedWithTheCommandThatBringsThemBack) {
  repository_.reset();
  const auto refusal = [&]() -> std::string {
    const auto opened = Repository::Open(State());
    if (opened.ok()) return "is opened";
    EXPECT_EQ(opened.error().code(), Code::kCorrupt);
    return opened.error().message();
  };
  namespace fs = std::filesystem;
  fs::rename(State() + "/records", State() + "/aside");
  EXPECT_THAT(refusal(), HasSubstr("imaged rebuild-journal"));
  fs::rename(State() + "/aside", State() + "/records");
  for (const auto& file : fs::directory_iterator(State() + "/catalog")) {
    if (file.path().extension() == ".sst") fs::resize_file(file.path(), 10);
  }
  EXPECT_THAT(refusal(), HasSubstr("imaged rebuild-catalog"));
}

TEST_F(RecoveryTest, LayersWithoutAnyRecordBecomePrivateImagesOfRoot) {
  repository_.reset();
  ASSERT_OK(RemoveTree(State() + "/catalog"));
  ASSERT_OK(RemoveTree(State() + "/records"));
  ASSERT_OK(records::OpenRocksRecordStore(State(), OwnRecords()));
  Reopen();
  std::vector<std::string> problems;
  const auto adopted = AdoptUnnamedLayers(
      *repository_, [&](const std::string& problem) { problems.push_back(problem); });
  ASSERT_OK(adopted);
  EXPECT_EQ(adopted->size(), 2u);
  EXPECT_THAT(problems, ElementsAre());
  EXPECT_THAT(Names(kAlice, true), ElementsAre());
  EXPECT_EQ(Names(0, true).size(), 2u);
  ASSERT_OK(repository_->collector().Collect());
  std::string tar;
  for (const std::string& reference : *adopted) {
    ASSERT_OK(repository_->Export(
        0, reference,
        [&](std::string_view data) -> Status {
          tar += data;
          return Ok();
        },
        cancel_));
  }
  EXPECT_THAT(tar, HasSubstr(std::string(70'000, 'b')));
  EXPECT_THAT(tar, HasSubstr(std::string(20'000, 'l')));
  EXPECT_TRUE(AdoptUnnamedLayers(*repository_, [](const std::string&) {})->empty());
}

TEST_F(RecoveryTest, TheOfflineCheckFindsDamageInNamedAndInLeasedLayers) {
  EXPECT_THAT(Check(), ElementsAre());
  Overwrite(AnObject(Hasher::Of(std::string(20'000, 'l'))));
  Overwrite(AnObject(Hasher::Of(std::string(70'000, 'b'))));
  EXPECT_THAT(Check(), testing::UnorderedElementsAre(HasSubstr("holds the content of"),
                                                     HasSubstr("x:v1: /big")));
}

TEST_F(RecoveryTest, TheOfflineCheckFindsATagOfNoImage) {
  ASSERT_OK(repository_->catalog().records().Scan(
      kImages, "", [&](const std::string& key, const std::string&) {
        return repository_->catalog().records().Delete(kImages, key);
      }));
  EXPECT_THAT(Check(), testing::Contains(HasSubstr("is taken away: its image")));
}

TEST_F(RecoveryTest, TheOfflineCheckIsRefusedWhileTheStoreIsOpen) {
  const auto checked = CheckState(State(), {}, [](const std::string&) {});
  ASSERT_FALSE(checked.ok());
  EXPECT_EQ(checked.error().code(), Code::kFailedPrecondition);
}

}  // namespace
}  // namespace strata::imaged
