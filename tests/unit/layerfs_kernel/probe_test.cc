#include "layerfs/probe.h"

#include <nlohmann/json.hpp>

#include "tests/unit/layerfs_kernel/root_fixture.h"

namespace strata::layerfs {
namespace {

TEST_F(RootTest, AProbeFindsWhatThisMachineHasAndLeavesNothingBehind) {
  const auto report = Probe(base());
  ASSERT_TRUE(report.ok()) << report.error().message();
  const auto has = [&](const char* name) {
    for (const Finding& finding : report->findings) {
      if (finding.name == name) return finding.present;
    }
    ADD_FAILURE() << "no finding is called " << name;
    return false;
  };
  EXPECT_TRUE(has("fuse"));
  EXPECT_TRUE(has("erofs"));
  has("fuse.passthrough");
  has("quota.project");
  has("cgroup.memory");
  const bool kernel = has("overlay.data_only_lowers") && has("overlay.metacopy") &&
                      has("overlay.index") && has("mount.idmapped");
  EXPECT_EQ(report->driver, kernel ? Driver::kKernel : Driver::kFuse);
}

TEST(ProbeReports, SayWhatAMissingPieceMeans) {
  ProbeReport report{.kernel = "5.10", .state_dir = "/s", .file_system = "ext4"};
  report.findings.push_back({"erofs", false, "no \"such\" device", "no kernel driver"});
  report.no_driver_reason = "none works";
  EXPECT_NE(ProbeText(report).find("so: no kernel driver"), std::string::npos);
  const auto json = nlohmann::json::parse(ProbeJson(report));
  EXPECT_EQ(json["findings"][0]["detail"], "no \"such\" device");
  EXPECT_TRUE(json["driver"].is_null());
}

TEST_F(RootTest, TheKernelDriverIsPickedWhereItsMountsWork) {
  const auto picked = PickDriver(base());
  ASSERT_TRUE(picked.ok()) << picked.error().message();
  const auto root = MountRoot(Driver::kKernel, PreparedSpec());
  EXPECT_EQ(*picked, root.ok() ? Driver::kKernel : Driver::kFuse);
}

}  // namespace
}  // namespace strata::layerfs
