#include "tests/unit/net/conformance/world.h"

#include <gtest/gtest.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "net/checksums.h"
#include "tests/unit/net/dns/asking.h"

namespace strata::net {
namespace {

constexpr char kPool[] = "10.90.0.0/16";
constexpr char kFabricPrefix[] = "10.88.0.0/16";

}  // namespace

std::string NameOf(Means means) {
  switch (means) {
    case Means::kLinux:
      return "Linux";
    case Means::kFastPath:
      return "LinuxFastPath";
    case Means::kSecure:
      return "LinuxSecure";
    case Means::kOvsVxlan:
      return "OvsVxlan";
    case Means::kOvsGre:
      return "OvsGre";
  }
  return "";
}

World::World(Means means, int hosts) : means_(means) {
  fabric_.Ip({"link", "add", "br0", "type", "bridge"});
  fabric_.Ip({"address", "add", "192.0.2.254/24", "dev", "br0"});
  fabric_.Ip({"address", "add", "2001:db8::fe/64", "dev", "br0", "nodad"});
  fabric_.Ip({"link", "set", "br0", "up"});
  for (int i = 0; i < hosts; ++i) AddHost();
}

// Processes that answer for names, or keep fabrics, end with what they are for.
World::~World() {
  if (!HasNames() && means_ != Means::kSecure) return;
  for (int host = 0; host < static_cast<int>(hosts_.size()); ++host) {
    DesiredNetwork nothing;
    nothing.instance = InstanceOf(host);
    Host& one = hosts_[static_cast<size_t>(host)];
    const auto made = one.space->In([&] { return one.network->Make(nothing, [] {}); });
    EXPECT_TRUE(made.ok()) << made.error().message();
  }
}

bool World::HasNames() const {
  return std::any_of(networks_.begin(), networks_.end(),
                     [](const auto& network) { return !network.second.names.names.empty(); });
}

std::string World::InstanceOf(int host) const {
  if (means_ != Means::kSecure) return kInstance;
  char text[kInstanceDigits + 1];
  const auto number = static_cast<unsigned>(::getpid()) * 16 + static_cast<unsigned>(host);
  std::snprintf(text, sizeof(text), "%05x", number & 0xfffff);
  return text;
}

uint32_t World::mtu() const {
  return (means_ == Means::kSecure ? FabricMtu(1500, false) : 1500) - kVxlanHeaderBytes;
}

Ipv4 World::AddressAmongHosts(int host) const {
  if (means_ != Means::kSecure) return Ipv4::Parse(HostAddress(host)).value();
  return Ipv4Prefix::Parse(kFabricPrefix).value().Host(static_cast<uint32_t>(host) + 1);
}

DesiredFabric World::FabricOf(int host) const {
  DesiredFabric fabric;
  fabric.prefix = Ipv4Prefix::Parse(kFabricPrefix).value();
  fabric.address = AddressAmongHosts(host);
  for (int other = 0; other < static_cast<int>(hosts_.size()); ++other) {
    if (other == host) continue;
    FabricMember& peer = fabric.peers.emplace_back();
    peer.host = PortOf(other);
    peer.address = AddressAmongHosts(other);
    peer.key = hosts_[static_cast<size_t>(other)].key;
    peer.endpoint = Endpoint::Of(Ipv4::Parse(HostAddress(other)).value(), kFabricPort);
  }
  return fabric;
}

void World::AddHost() {
  const int number = static_cast<int>(hosts_.size());
  Host& host = hosts_.emplace_back();
  const std::string port = PortOf(number);
  const std::string address = HostAddress(number) + "/24";
  HostNetwork::Options options;
  options.instance = InstanceOf(number);
  if (is_ovs()) {
    host.ovs = std::make_unique<OvsHost>();
    host.space = &host.ovs->space;
    host.ovs->JoinUnderlay(fabric_, port, address);
    host.space->Set("net/ipv6/conf/all/disable_ipv6", "0");
    options.driver = Driver::kOvs;
    options.ovs.run_dir = host.ovs->dir();
    options.ovs.datapath = ChosenDatapath();
    options.ovs.tunnel = means_ == Means::kOvsGre ? TunnelKind::kGre : TunnelKind::kVxlan;
  } else {
    host.own = std::make_unique<NetNamespace>();
    host.space = host.own.get();
    Join(*host.space, "up0", address, fabric_, port, "");
    options.fast_path = means_ != Means::kLinux;
  }
  fabric_.Ip({"link", "set", port, "master", "br0"});
  host.space->Ip(
      {"address", "add", HostAddress6(number) + "/64", "dev", is_ovs() ? "phy0" : "up0", "nodad"});
  // Forwarding is on: nothing has to be undone in files.
  host.space->Set("net/ipv4/ip_forward", "1");
  host.space->Set("net/ipv6/conf/all/forwarding", "1");
  options.run_dir = run_dirs_.path() + "/" + port;
  options.names_program = NamesProgram();
  if (means_ == Means::kSecure) options.state_dir = options.run_dir;
  auto network = host.space->In([&] { return HostNetwork::Open(options); });
  CHECK(network.ok());
  host.network = std::move(*network);
  CHECK(host.network->NeedsChecksums() == (is_ovs() && TestDatapath() == Datapath::kNetdev));
  if (means_ != Means::kSecure) return;
  const auto view = host.network->LookAtFabric(std::nullopt);
  CHECK(view.ok());
  host.key = view->key;
}

void World::Shape(const std::string& rate) {
  for (int host = 0; host < static_cast<int>(hosts_.size()); ++host) {
    const auto shaped = fabric_.In([&] {
      return RunChecked({"tc", "qdisc", "replace", "dev", PortOf(host), "root", "tbf", "rate", rate,
                         "burst", "64kb", "latency", "20ms"});
    });
    CHECK(shaped.ok());
  }
}

void World::Disturb() {
  std::vector<std::vector<std::string>> commands;
  if (std::getenv("STRATA_TEST_NETEM") == nullptr) {
    commands = {{"nft", "add table bridge loss"},
                {"nft", "add chain bridge loss forward { type filter hook forward priority 0; }"},
                {"nft", "add rule bridge loss forward numgen random mod 100 < 5 drop"}};
  } else {
    for (int host = 0; host < static_cast<int>(hosts_.size()); ++host) {
      commands.push_back({"tc", "qdisc", "replace", "dev", PortOf(host), "root", "netem", "loss",
                          "5%", "delay", "10ms", "5ms", "limit", "10000"});
    }
  }
  for (const std::vector<std::string>& argv : commands) {
    const auto done = fabric_.In([&] { return RunChecked(argv); });
    if (!done.ok()) LOG_ERROR(done.error().message());
    CHECK(done.ok());
  }
}

std::string World::AddressOf(Node node) {
  return "10.90." + std::to_string(node.first) + "." + std::to_string(kFirstNodeHost + node.second);
}

std::string World::Address6Of(Node node) {
  return net::NetworkOf(Pool6For(kInstance), node.first)
      .Host(kFirstNodeHost + node.second)
      .ToString();
}

Mac World::MacOf(Node node) { return MacForNode(node.first, Ipv4::Parse(AddressOf(node)).value()); }

void World::AddNetwork(uint32_t number) {
  const std::string prefix = "10.90." + std::to_string(number) + ".0/24";
  networks_.emplace(number, MakeBridge(kInstance, number, Ipv4Prefix::Parse(prefix).value(),
                                       Pool6For(kInstance)));
}

void World::AddNode(Node node, int host) {
  Placed& placed = nodes_[node];
  placed.space = std::make_unique<NetNamespace>();
  placed.host = host;
}

void World::MoveNode(Node node, int host) {
  Placed& placed = nodes_.at(node);
  placed.space->Ip({"link", "del", placed.link});
  placed.linked = false;
  placed.host = host;
  Settle();
}

void World::RemoveNode(Node node) {
  nodes_.at(node).space->Ip({"link", "del", nodes_.at(node).link});
  nodes_.erase(node);
}

void World::AddForward(int host, Node node, Forward forward) {
  forward.address = Ipv4::Parse(AddressOf(node)).value();
  forwards_.push_back({host, node, forward});
}

void World::EndForwards() {
  for (PlacedForward& one : forwards_) one.forward.ending = true;
}

DesiredNetwork World::DesiredOf(int host) const {
  const std::string instance = InstanceOf(host);
  DesiredNetwork desired{instance, Ipv4Prefix::Parse(kPool).value(), {}, {}};
  if (means_ == Means::kSecure) desired.fabric = FabricOf(host);
  desired.pool6 = Pool6For(kInstance);
  desired.resolvers = {IpAddress::Parse("127.0.0.1").value()};  // Nobody is there.
  for (const auto& [number, network] : networks_) {
    Bridge bridge = network;
    bridge.name = BridgeName(instance, number);
    Overlay& overlay = bridge.overlay.emplace();
    overlay.vni = number;
    overlay.local = AddressAmongHosts(host);
    overlay.underlay_mtu = mtu() + kVxlanHeaderBytes;
    bool is_here = false;
    for (const auto& [node, placed] : nodes_) {
      if (node.first != number) continue;
      if (placed.host == host) {
        is_here = true;
        desired.veths.push_back(MakeVeth(instance, number, node.second, 0));
      } else {
        overlay.remotes.push_back(
            {Ipv4::Parse(AddressOf(node)).value(), MacOf(node), AddressAmongHosts(placed.host)});
      }
    }
    for (const PlacedForward& one : forwards_) {
      const auto node = nodes_.find(one.node);
      if (one.node.first != number || node == nodes_.end()) continue;
      if (one.host == host) {
        bridge.forwards.push_back(one.forward);
        is_here = true;
      } else if (node->second.host == host) {
        bridge.remote_forwards.push_back({one.forward.protocol, one.forward.address,
                                          one.forward.node_port, AddressAmongHosts(one.host)});
      }
    }
    if (is_here) desired.bridges.push_back(std::move(bridge));
  }
  return desired;
}

Result<HostNetwork::Made> World::Make(int host) {
  Host& one = hosts_[static_cast<size_t>(host)];
  return one.space->In([&] { return one.network->Make(DesiredOf(host), [] {}); });
}

Result<PlannedChanges> World::Plan(int host) {
  Host& one = hosts_[static_cast<size_t>(host)];
  return one.space->In([&] { return one.network->Plan(DesiredOf(host)); });
}

void World::Settle() {
  const auto make_all = [&] {
    for (int host = 0; host < static_cast<int>(hosts_.size()); ++host) {
      const auto made = Make(host);
      ASSERT_TRUE(made.ok()) << made.error().message();
    }
  };
  make_all();
  bool any = false;
  for (auto& [node, placed] : nodes_) {
    if (placed.linked) continue;
    Link(node, placed.host);
    placed.linked = true;
    any = true;
  }
  if (any) make_all();  // Of links that have come.
}

void World::ExpectAllAreDone() {
  for (int host = 0; host < static_cast<int>(hosts_.size()); ++host) {
    const auto plan = Plan(host);
    ASSERT_TRUE(plan.ok()) << plan.error().message();
    EXPECT_TRUE(plan->changes.empty()) << "host " << host << ": " << plan->changes.front();
  }
}

// As liblxc makes it.
void World::Link(Node node, int on) {
  const Placed& placed = nodes_.at(node);
  const NetNamespace& host = HostSpace(on);
  const NetNamespace& space = *placed.space;
  const std::string& link = placed.link;
  const std::string veth = VethName(InstanceOf(on), node.first, node.second);
  const std::string bytes = std::to_string(mtu());
  const std::string metric = std::to_string(placed.metric);
  host.Ip({"link", "add", veth, "mtu", bytes, "type", "veth", "peer", "name", link, "address",
           ToString(MacOf(node)), "mtu", bytes, "netns", space.path()});
  if (hosts_[static_cast<size_t>(on)].network->NeedsChecksums()) {
    const Status filled = space.In([&] { return FillInChecksums(link); });
    ASSERT_TRUE(filled.ok()) << filled.error().message();
  }
  if (!is_ovs()) {
    host.Ip({"link", "set", veth, "master", BridgeName(InstanceOf(on), node.first)});
  }
  space.Ip({"address", "add", AddressOf(node) + "/24", "dev", link, "metric", metric});
  host.Ip({"link", "set", veth, "up"});
  space.Ip({"link", "set", link, "up"});
  const auto no_ipv6 =
      space.In([] { return ReadFile("/proc/sys/net/ipv6/conf/default/disable_ipv6"); });
  if (no_ipv6.value() == "0\n") {
    space.Ip({"address", "add", Address6Of(node) + "/64", "dev", link, "metric", metric, "nodad"});
    space.Ip({"route", "add", "default", "via",
              net::NetworkOf(Pool6For(kInstance), node.first).Host(kGatewayHost).ToString(), "dev",
              link, "metric", metric});
  }
  space.Ip({"route", "add", "default", "via",
            "10.90." + std::to_string(node.first) + "." + std::to_string(kGatewayHost), "dev", link,
            "metric", metric});
}

void World::PrepareMove(Node node, int host) {
  Placed& placed = nodes_.at(node);
  const std::string old = placed.link;
  placed.link = old == "eth0" ? "eth1" : "eth0";
  placed.next_host = host;
  ++placed.metric;
  Link(node, host);
}

World::Moved World::FinishMove(Node node) {
  Placed& placed = nodes_.at(node);
  const std::string old = placed.link == "eth0" ? "eth1" : "eth0";
  // Not by a command: that would take longer than what is measured.
  ifreq request = {};
  old.copy(request.ifr_name, sizeof(request.ifr_name) - 1);
  Moved moved;
  placed.space->In([&] {
    const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    moved.link_ended = std::chrono::steady_clock::now();
    CHECK(::ioctl(fd.get(), SIOCSIFFLAGS, &request) == 0);
  });
  const int old_host = std::exchange(placed.host, placed.next_host);
  std::vector<int> order = {placed.host};
  for (int host = 0; host < static_cast<int>(hosts_.size()); ++host) {
    if (host != placed.host && host != old_host) order.push_back(host);
  }
  order.push_back(old_host);
  for (const int host : order) {
    const auto start = std::chrono::steady_clock::now();
    const auto made = Make(host);
    EXPECT_TRUE(made.ok()) << made.error().message();
    moved.took.push_back(std::chrono::steady_clock::now() - start);
  }
  return moved;  // The old host has removed the old link.
}

}  // namespace strata::net
