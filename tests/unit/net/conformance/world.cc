#include "tests/unit/net/conformance/world.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

#include "net/ovs/datapath.h"

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
  fabric_.Ip({"link", "set", "br0", "up"});
  for (int i = 0; i < hosts; ++i) AddHost();
}

World::~World() {
  if (means_ != Means::kSecure) return;
  for (int host = 0; host < static_cast<int>(hosts_.size()); ++host) {
    DesiredNetwork nothing;
    nothing.instance = InstanceOf(host);
    Host& one = hosts_[static_cast<size_t>(host)];
    const auto made = one.space->In([&] { return one.network->Make(nothing, [] {}); });
    EXPECT_TRUE(made.ok()) << made.error().message();
  }
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
    options.driver = Driver::kOvs;
    options.ovs.run_dir = host.ovs->dir();
    options.ovs.tunnel = means_ == Means::kOvsGre ? TunnelKind::kGre : TunnelKind::kVxlan;
  } else {
    host.own = std::make_unique<NetNamespace>();
    host.space = host.own.get();
    Join(*host.space, "up0", address, fabric_, port, "");
    options.fast_path = means_ != Means::kLinux;
  }
  fabric_.Ip({"link", "set", port, "master", "br0"});
  // Forwarding is on: nothing has to be undone in files.
  host.space->Set("net/ipv4/ip_forward", "1");
  options.run_dir = "/nonexistent";
  if (means_ == Means::kSecure) {
    host.files.emplace(std::move(*TemporaryDirectory::Create("/var/tmp", "strata-world.")));
    options.run_dir = options.state_dir = host.files->path();
  }
  auto network = host.space->In([&] { return HostNetwork::Open(options); });
  CHECK(network.ok());
  host.network = std::move(*network);
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

std::string World::AddressOf(Node node) {
  return "10.90." + std::to_string(node.first) + "." + std::to_string(kFirstNodeHost + node.second);
}

Mac World::MacOf(Node node) { return MacForNode(node.first, Ipv4::Parse(AddressOf(node)).value()); }

void World::AddNetwork(uint32_t number) {
  const std::string prefix = "10.90." + std::to_string(number) + ".0/24";
  networks_.emplace(number, MakeBridge(kInstance, number, Ipv4Prefix::Parse(prefix).value()));
}

void World::AddNode(Node node, int host) {
  Placed& placed = nodes_[node];
  placed.space = std::make_unique<NetNamespace>();
  placed.host = host;
}

void World::MoveNode(Node node, int host) {
  Placed& placed = nodes_.at(node);
  placed.space->Ip({"link", "del", "eth0"});
  placed.linked = false;
  placed.host = host;
  Settle();
}

void World::RemoveNode(Node node) {
  nodes_.at(node).space->Ip({"link", "del", "eth0"});
  nodes_.erase(node);
}

DesiredNetwork World::DesiredOf(int host) const {
  const std::string instance = InstanceOf(host);
  DesiredNetwork desired{instance, Ipv4Prefix::Parse(kPool).value(), {}, {}};
  if (means_ == Means::kSecure) desired.fabric = FabricOf(host);
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
    // Forwards are of the host that has the node.
    std::erase_if(bridge.forwards, [&](const Forward& forward) {
      const auto node =
          nodes_.find({number, forward.address.value - bridge.prefix.base.value - kFirstNodeHost});
      return node == nodes_.end() || node->second.host != host;
    });
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
    Link(node);
    placed.linked = true;
    any = true;
  }
  if (any) make_all();  // Of links that have come.
}

// As liblxc makes it.
void World::Link(Node node) {
  const Placed& placed = nodes_.at(node);
  const NetNamespace& host = HostSpace(placed.host);
  const NetNamespace& space = *placed.space;
  const std::string veth = VethName(InstanceOf(placed.host), node.first, node.second);
  const std::string bytes = std::to_string(mtu());
  host.Ip({"link", "add", veth, "mtu", bytes, "type", "veth", "peer", "name", "eth0", "address",
           ToString(MacOf(node)), "mtu", bytes, "netns", space.path()});
  if (is_ovs()) {
    const Status filled = space.In([] { return FillInChecksums("eth0"); });
    ASSERT_TRUE(filled.ok()) << filled.error().message();
  } else {
    host.Ip({"link", "set", veth, "master", BridgeName(InstanceOf(placed.host), node.first)});
  }
  space.Ip({"address", "add", AddressOf(node) + "/24", "dev", "eth0"});
  host.Ip({"link", "set", veth, "up"});
  space.Ip({"link", "set", "eth0", "up"});
  space.Ip({"route", "add", "default", "via",
            "10.90." + std::to_string(node.first) + "." + std::to_string(kGatewayHost)});
}

}  // namespace strata::net
