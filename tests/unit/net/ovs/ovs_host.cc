#include "tests/unit/net/ovs/ovs_host.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <cstdlib>

#include "net/checksums.h"
#include "net/ovs/flows.h"
#include "net/ovs/unix_stream.h"

namespace strata::net {
namespace {

constexpr char kSchema[] = "/usr/share/openvswitch/vswitch.ovsschema";

std::string Checked(const Result<std::string>& done) {
  if (!done.ok()) LOG_ERROR(done.error().message());
  CHECK(done.ok());
  return *done;
}

}  // namespace

Datapath TestDatapath() {
  const char* const chosen = std::getenv("STRATA_TEST_DATAPATH");
  const std::string name = chosen == nullptr ? "netdev" : chosen;
  CHECK(name == "netdev" || name == "system");
  return name == "system" ? Datapath::kSystem : Datapath::kNetdev;
}

std::optional<Datapath> ChosenDatapath() {
  if (TestDatapath() == Datapath::kSystem) return std::nullopt;
  return Datapath::kNetdev;
}

OvsHost::OvsHost() : dir_(TemporaryDirectory::Create("/tmp", "strata-ovs.").value()) {
  space.Set("net/ipv4/ip_forward", "1");
  space.Set("net/ipv6/conf/default/disable_ipv6", "1");
  desired.instance = kInstance;
  desired.pool = Ipv4Prefix::Parse("10.90.0.0/16").value();
  Checked(RunChecked({"ovsdb-tool", "create", dir() + "/conf.db", kSchema}));
  StartDatabase();
  Vsctl({"--no-wait", "init"});
  StartSwitch();
}

Subprocess OvsHost::Start(const std::vector<std::string>& argv) const {
  SubprocessOptions options;
  options.argv = argv;
  for (const char* name : {"OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"}) {
    options.extra_env.push_back(std::string(name) + "=" + dir());
  }
  return space.In([&] { return Subprocess::Start(options).value(); });
}

void OvsHost::StartDatabase() {
  const std::string socket = dir() + "/db.sock";
  ovsdb_.emplace(Start({"ovsdb-server", dir() + "/conf.db", "--remote=punix:" + socket,
                        "--unixctl=" + dir() + "/ovsdb.ctl", "--log-file=" + dir() + "/ovsdb.log",
                        "-vconsole:off"}));
  const auto until = UnixStream::Clock::now() + std::chrono::seconds(20);
  while (!UnixStream::Connect(socket).ok()) {
    CHECK(UnixStream::Clock::now() < until);
    ::poll(nullptr, 0, 5);
  }
}

void OvsHost::StartSwitch() {
  vswitchd_.emplace(
      Start({"ovs-vswitchd", "unix:" + dir() + "/db.sock", "--unixctl=" + dir() + "/vswitchd.ctl",
             "--log-file=" + dir() + "/vswitchd.log", "-vconsole:off"}));
}

void OvsHost::JoinUnderlay(const NetNamespace& fabric, const std::string& fabric_port,
                           const std::string& address) {
  if (TestDatapath() == Datapath::kSystem) {
    return Join(space, "up0", address, fabric, fabric_port, "");
  }
  Join(space, "up0", "", fabric, fabric_port, "");
  const Status filled = fabric.In([&] { return FillInChecksums(fabric_port); });
  EXPECT_TRUE(filled.ok()) << filled.error().message();
  Vsctl({"--", "add-br", "phy0", "--", "set", "bridge", "phy0", "datapath_type=netdev", "--",
         "add-port", "phy0", "up0"});
  underlay_address_ = address;
  AddressUnderlay();
}

void OvsHost::AddressUnderlay() const {
  if (TestDatapath() == Datapath::kSystem) return;
  space.Ip({"addr", "replace", underlay_address_, "dev", "phy0"});
  space.Ip({"link", "set", "phy0", "up"});
}

void OvsHost::Open(OvsSwitch::Options options) {
  options.instance = kInstance;
  options.run_dir = dir();
  options.datapath = ChosenDatapath();
  auto opened = space.In([&] { return OvsSwitch::Open(options); });
  ASSERT_TRUE(opened.ok()) << opened.error().message();
  ovs.emplace(std::move(*opened));
  ASSERT_EQ(ovs->settings().datapath, TestDatapath()) << "this kernel has no other";
}

OvsPlan OvsHost::PlanSwitch() const {
  const auto plan = space.In([&] { return ovs->Plan(desired, ObserveLinks().value()); });
  EXPECT_TRUE(plan.ok()) << plan.error().message();
  return plan.value_or(OvsPlan());
}

Status OvsHost::TryApply() {
  return space.In([&]() -> Status {
    ASSIGN_OR_RETURN(std::vector<ObservedLink> links, ObserveLinks());
    ASSIGN_OR_RETURN(const OvsPlan plan, ovs->Plan(desired, links));
    RETURN_IF_ERROR(ovs->Apply(plan));
    ASSIGN_OR_RETURN(links, ObserveLinks());
    ASSIGN_OR_RETURN(const NetworkPlan rest, MakePlan(desired, links, Driver::kOvs));
    const auto applied = ApplyPlan(rest, &rules);
    return applied.ok() ? Ok() : Status(applied.error());
  });
}

void OvsHost::Apply() {
  const Status applied = TryApply();
  ASSERT_TRUE(applied.ok()) << applied.error().message();
}

void OvsHost::Settle() const {
  Checked(RunChecked(
      {"ovs-appctl", "--timeout=20", "-t", dir() + "/vswitchd.ctl", "revalidator/wait"}));
}

Bridge& OvsHost::AddBridge(uint32_t number, uint32_t subnet, const std::string& host_address) {
  const std::string prefix = "10.90." + std::to_string(subnet) + ".0/24";
  desired.bridges.push_back(MakeBridge(kInstance, number, Ipv4Prefix::Parse(prefix).value()));
  desired.bridges.back().overlay = {.vni = number, .local = Ipv4::Parse(host_address).value()};
  return desired.bridges.back();
}

void OvsHost::WantNode(uint32_t number, uint32_t index) {
  desired.veths.push_back(MakeVeth(kInstance, number, index, 0));
}

OvsNode OvsHost::StartNode(uint32_t number, uint32_t index) {
  const Bridge& bridge = *std::find_if(desired.bridges.begin(), desired.bridges.end(),
                                       [&](const Bridge& one) { return one.number == number; });
  OvsNode node;
  node.veth = VethName(kInstance, number, index);
  node.address = NodeAddress(bridge, index).ToString();
  node.mac = NodeMac(bridge, index);
  node.space.Set("net/ipv6/conf/default/disable_ipv6", "1");
  const std::string mtu = std::to_string(bridge.mtu());
  space.Ip({"link", "add", node.veth, "mtu", mtu, "type", "veth", "peer", "name", "eth0", "address",
            ToString(node.mac), "mtu", mtu, "netns", node.space.path()});
  if (TestDatapath() == Datapath::kNetdev) {
    const Status filled = node.space.In([] { return FillInChecksums("eth0"); });
    EXPECT_TRUE(filled.ok()) << filled.error().message();
  }
  node.space.Ip({"addr", "add", node.address + "/24", "dev", "eth0"});
  space.Ip({"link", "set", node.veth, "up"});
  node.space.Ip({"link", "set", "eth0", "up"});
  node.space.Ip({"route", "add", "default", "via", bridge.gateway().ToString()});
  return node;
}

std::string OvsHost::Vsctl(const std::vector<std::string>& words) const {
  std::vector<std::string> argv = {"ovs-vsctl", "--timeout=20", "--db=unix:" + dir() + "/db.sock"};
  argv.insert(argv.end(), words.begin(), words.end());
  return Checked(RunChecked(argv));
}

std::string OvsHost::Ofctl(const std::vector<std::string>& words) const {
  std::vector<std::string> argv = {"env", "OVS_RUNDIR=" + dir(), "ovs-ofctl", "-O", "OpenFlow14"};
  argv.insert(argv.end(), words.begin(), words.end());
  return Checked(RunChecked(argv));
}

std::string Words(const OvsPlan& plan) {
  std::string text;
  for (const std::string& line : DescribeOvsChanges(plan)) text += line + "\n";
  return text;
}

}  // namespace strata::net
