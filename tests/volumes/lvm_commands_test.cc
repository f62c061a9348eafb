// What LVM is told, where there is no device-mapper to obey.
#include <gtest/gtest.h>

#include <deque>

#include "common/file_io.h"
#include "common/mount.h"
#include "layerfs/volume/volume_store.h"

namespace strata::layerfs {
namespace {

// Answers `lvs` with a report that follows what was created, renamed and removed.
class FakeLvm {
 public:
  Result<std::string> Run(const std::vector<std::string>& argv) {
    std::string line;
    for (const std::string& word : argv) line += (line.empty() ? "" : " ") + word;
    if (argv.at(1) == "lvs") return Report();
    lines.push_back(line);
    if (argv[1] == fail_on) return Error(Code::kInternal, "lvm says no");
    if (argv[1] == "lvcreate") lvs.push_back(argv[argv.size() - 4]);
    if (argv[1] == "lvremove") std::erase(lvs, argv.back().substr(argv.back().find('/') + 1));
    return std::string();
  }
  std::string Report() const {
    std::string rows;
    for (const std::string& name : lvs) {
      rows += R"(,{"lv_name":")" + name +
              R"(","lv_size":"1073741824","segtype":"thin","pool_lv":"pool0"})";
    }
    return R"({"report":[{"lv":[)"
           R"({"lv_name":"pool0","lv_size":"4294967296","segtype":")" +
           pool_type +
           R"(","pool_lv":""},)"
           R"({"lv_name":"root","lv_size":"8589934592","segtype":"linear","pool_lv":""})" +
           rows + "]}]}";
  }
  std::vector<std::string> lvs;
  std::vector<std::string> lines;
  std::string fail_on;
  std::string pool_type = "thin-pool";
};

class LvmCommands : public ::testing::Test {
 protected:
  void SetUp() override {
    auto base = TemporaryDirectory::Create("/var/tmp", "strata-lvm.");
    ASSERT_TRUE(base.ok());
    base_ = std::make_unique<TemporaryDirectory>(std::move(*base));
  }
  Result<std::unique_ptr<VolumeStore>> Open(const std::string& pool = "vg-1/pool0") {
    return OpenVolumeStore(
        VolumeKind::kLvmThin,
        {.directory = base_->path(),
         .mount_dir = base_->path() + "/mounts",
         .lvm_pool = pool,
         .lvm_prefix = "s12ab",
         .run_command = [this](const std::vector<std::string>& argv) { return lvm_.Run(argv); }});
  }
  FakeLvm lvm_;
  std::unique_ptr<TemporaryDirectory> base_;
};

TEST_F(LvmCommands, OnlyOwnVolumesOfThePoolAreListed) {
  lvm_.lvs = {"s12ab-1-0", "s12ab.new-2-0", "s12abc", "other-3-0", "s12ab-BAD"};
  const auto store = Open();
  ASSERT_TRUE(store.ok()) << store.error().message();
  EXPECT_EQ((*store)->List().value(), std::vector<std::string>{"1-0"});
}

TEST_F(LvmCommands, APoolMustBeAThinPool) {
  for (const char* pool : {"", "vg", "vg/", "/pool0", "v g/pool0", "-v/pool0"}) {
    EXPECT_EQ(Open(pool).error().code(), Code::kInvalidArgument) << pool;
  }
  EXPECT_EQ(Open("vg-1/other").error().code(), Code::kFailedPrecondition);
  lvm_.pool_type = "linear";
  EXPECT_EQ(Open().error().code(), Code::kFailedPrecondition);
}

TEST_F(LvmCommands, AVolumeThatCannotBeFormattedIsTakenBack) {
  const auto store = Open();
  ASSERT_TRUE(store.ok());
  const Status created = (*store)->Create("1-0", 1u << 30);  // There is no such device here.
  ASSERT_FALSE(created.ok());
  ASSERT_EQ(lvm_.lines.size(), 2u);
  EXPECT_TRUE(lvm_.lines[0].starts_with("lvm lvcreate --yes --type thin --virtualsize "));
  EXPECT_NE(lvm_.lines[0].find("b --thinpool pool0 --name s12ab.new-1-0 --wipesignatures n vg-1"),
            std::string::npos)
      << lvm_.lines[0];
  EXPECT_EQ(lvm_.lines[1], "lvm lvremove --yes --force vg-1/s12ab.new-1-0");
  EXPECT_TRUE(lvm_.lvs.empty());
}

TEST_F(LvmCommands, ANameThatExistsIsNotMadeAgain) {
  lvm_.lvs = {"s12ab-1-0"};
  EXPECT_EQ((*Open())->Create("1-0", 1u << 30).error().code(), Code::kAlreadyExists);
  EXPECT_TRUE(lvm_.lines.empty());
}

TEST_F(LvmCommands, RecoveryRemovesWhatIsHalfMade) {
  lvm_.lvs = {"s12ab-1-0", "s12ab.new-2-0", "s12ab.snapshot-1-0", "other"};
  const auto recovered = (*Open())->Recover();
  ASSERT_TRUE(recovered.ok()) << recovered.error().message();
  EXPECT_EQ(recovered->removed, (std::vector<std::string>{".new-2-0", ".snapshot-1-0"}));
  EXPECT_EQ(lvm_.lvs, (std::vector<std::string>{"s12ab-1-0", "other"}));
}

TEST_F(LvmCommands, AVolumeIsActivatedAndWhatLvmSaysIsPassedOn) {
  lvm_.lvs = {"s12ab-1-0"};
  const auto store = Open();
  lvm_.fail_on = "lvchange";
  const auto failed = (*store)->Activate("1-0");
  ASSERT_FALSE(failed.ok());
  EXPECT_NE(failed.error().message().find("lvm says no"), std::string::npos);
  EXPECT_EQ(lvm_.lines.back(), "lvm lvchange --activate y --ignoreactivationskip vg-1/s12ab-1-0");
  EXPECT_EQ((*store)->Activate("2-0").error().code(), Code::kNotFound);
}

TEST_F(LvmCommands, AReportThatIsNoneIsAnError) {
  const auto store = OpenVolumeStore(
      VolumeKind::kLvmThin,
      {.directory = base_->path(),
       .mount_dir = base_->path() + "/mounts",
       .lvm_pool = "vg/pool",
       .run_command = [](const auto&) { return std::string("  WARNING: not json"); }});
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().code(), Code::kInternal);
}

}  // namespace
}  // namespace strata::layerfs
