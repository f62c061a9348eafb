#include "tests/bench/network/worlds.h"

#include "net/fastpath/fast_path.h"
#include "tests/unit/net/frames.h"

namespace strata::net {
namespace {

constexpr uint32_t kVni = 7;
constexpr uint32_t kNetwork = 1;
constexpr int kNodes = 4;
constexpr std::array<int, kNodes> kHostOf = {0, 0, 1, 2};  // C0a, C0b, C1, C2.

std::string HostAddress(int host) { return "192.0.2." + std::to_string(host + 1); }
std::string NodeAddress(int node) { return "10.90.1." + std::to_string(node + 2); }
std::string NodeMac(int node) { return "02:00:00:00:00:0" + std::to_string(node + 1); }

void AddPlainBridge(const NetNamespace& where, const std::string& name, const std::string& mtu) {
  where.Ip({"link", "add", name, "type", "bridge"});
  where.Ip({"link", "set", name, "mtu", mtu, "up"});
}

void FilterBridged(const NetNamespace& where, bool on) {
  where.Set("net/bridge/bridge-nf-call-iptables", on ? "1" : "0");
}

// What joins the hosts.
class Fabric {
 public:
  Fabric() {
    FilterBridged(space_, false);
    AddPlainBridge(space_, "br0", "1500");
  }
  void Add(const NetNamespace& host, int number) {
    const std::string port = "h" + std::to_string(number);
    Join(host, "up0", HostAddress(number) + "/24", space_, port, "");
    space_.Ip({"link", "set", port, "master", "br0"});
  }
  void Add(OvsHost* host, int number) {
    const std::string port = "h" + std::to_string(number);
    host->JoinUnderlay(space_, port, HostAddress(number) + "/24");
    space_.Ip({"link", "set", port, "master", "br0"});
  }

 private:
  NetNamespace space_;
};

void AddNodeWays(const std::array<const NetNamespace*, kNodes>& nodes, bool across, World* world) {
  const auto way = [&](int from, int to) { return Way{nodes[from], nodes[to], NodeAddress(to)}; };
  world->ways[kSameHost] = way(0, 1);
  if (!across) return;
  world->ways[kCrossHost] = way(0, 2);
  world->ways[kCrossHost2] = way(2, 3);
}

class FlatHosts : public World {
 public:
  FlatHosts() {
    for (int host = 0; host < kHosts; ++host) fabric_.Add(hosts_[host], host);
    ways[kSelf] = {&hosts_[0], &hosts_[0], HostAddress(0)};
    ways[kHostToHost] = {&hosts_[0], &hosts_[1], HostAddress(1)};
  }

 private:
  Fabric fabric_;
  std::array<NetNamespace, kHosts> hosts_;
};

// Nodes on bridges that `ip` makes, without any rules.
class HandMade : public World {
 public:
  HandMade(bool bridge_filter, const std::string& mtu) : mtu_(mtu) {
    for (int host = 0; host < kHosts; ++host) {
      fabric_.Add(hosts_[host], host);
      FilterBridged(hosts_[host], bridge_filter);
      AddPlainBridge(hosts_[host], "br0", mtu);
    }
    hosts_[0].Ip({"addr", "add", "10.90.1.1/24", "dev", "br0"});
    for (int node = 0; node < kNodes; ++node) {
      const NetNamespace& host = hosts_[kHostOf[node]];
      const std::string port = "n" + std::to_string(node);
      Join(host, port, "", nodes_[node], "eth0", NodeAddress(node) + "/24");
      nodes_[node].Ip({"link", "set", "eth0", "address", NodeMac(node), "mtu", mtu});
      host.Ip({"link", "set", port, "mtu", mtu, "master", "br0"});
    }
    AddNodeWays({&nodes_[0], &nodes_[1], &nodes_[2], &nodes_[3]}, false, this);
    ways[kHostToNode] = {&hosts_[0], &nodes_[0], NodeAddress(0)};
    ways[kNodeToSelf] = {&nodes_[0], &nodes_[0], NodeAddress(0)};
  }

 protected:
  void AddTunnels(HandMadeVxlan kind) {
    for (int host = 0; host < kHosts; ++host) {
      const bool learns = kind == HandMadeVxlan::kLearning;
      hosts_[host].Ip({"link", "add", "vx0", "type", "vxlan", "id", std::to_string(kVni), "local",
                       HostAddress(host), "dstport", "4789", learns ? "learning" : "nolearning"});
      hosts_[host].Ip({"link", "set", "vx0", "mtu", mtu_, "master", "br0", "up"});
      for (int other = 0; other < kHosts; ++other) {
        if (other != host) AddEntry(host, "00:00:00:00:00:00", other, "self");
      }
      for (int node = 0; !learns && node < kNodes; ++node) {
        if (kHostOf[node] == host) continue;
        AddEntry(host, NodeMac(node), kHostOf[node], "self");
        const auto done = hosts_[host].In([&] {
          return RunChecked(
              {"bridge", "fdb", "replace", NodeMac(node), "dev", "vx0", "master", "static"});
        });
        CHECK(done.ok());
      }
    }
    AddNodeWays({&nodes_[0], &nodes_[1], &nodes_[2], &nodes_[3]}, true, this);
  }

 private:
  void AddEntry(int host, const std::string& mac, int other, const std::string& table) {
    const auto done = hosts_[host].In([&] {
      return RunChecked(
          {"bridge", "fdb", "append", mac, "dev", "vx0", "dst", HostAddress(other), table});
    });
    CHECK(done.ok());
  }

  const std::string mtu_;
  Fabric fabric_;
  std::array<NetNamespace, kHosts> hosts_;
  std::array<NetNamespace, kNodes> nodes_;
};

class Vxlan : public HandMade {
 public:
  explicit Vxlan(HandMadeVxlan kind) : HandMade(false, "1450") { AddTunnels(kind); }
};

// What net/ makes.
class LinuxDriver : public World {
 public:
  LinuxDriver(bool bridge_filter, bool fast) {
    for (int host = 0; host < kHosts; ++host) {
      fabric_.Add(hosts_[host].space, host);
      FilterBridged(hosts_[host].space, bridge_filter);
      Bridge& bridge = hosts_[host].AddBridge(kNetwork);
      bridge.overlay = {.vni = kVni, .local = Ipv4::Parse(HostAddress(host)).value()};
      for (int node = 0; node < kNodes; ++node) {
        if (kHostOf[node] == host) continue;
        const Ipv4 address = Ipv4::Parse(NodeAddress(node)).value();
        bridge.overlay->remotes.push_back(
            {address, MacForNode(kVni, address), Ipv4::Parse(HostAddress(kHostOf[node])).value()});
      }
      hosts_[host].Apply();
    }
    for (int node = 0; node < kNodes; ++node) {
      nodes_.push_back(hosts_[kHostOf[node]].AddNode(kNetwork, static_cast<uint32_t>(node)));
    }
    for (TestHost& host : hosts_) host.Apply();  // Rules know only nodes that were announced.
    AddNodeWays({&nodes_[0].space, &nodes_[1].space, &nodes_[2].space, &nodes_[3].space}, true,
                this);
    ways[kHostToNode] = {&hosts_[0].space, &nodes_[0].space, NodeAddress(0)};
    ways[kNodeToSelf] = {&nodes_[0].space, &nodes_[0].space, NodeAddress(0)};
    for (const TestHost& host : hosts_) {
      if (fast) fast_paths_.push_back(OpenFastPath(host));
    }
  }

 private:
  static std::unique_ptr<FastPath> OpenFastPath(const TestHost& host) {
    return host.space.In([&] {
      auto path = FastPath::Open();
      if (!path.ok()) LOG_ERROR(path.error().message());
      CHECK(path.ok() && (*path)->Keep(host.desired, ObserveLinks().value()).ok());
      return std::move(*path);
    });
  }

  Fabric fabric_;
  std::array<TestHost, kHosts> hosts_;
  std::vector<std::unique_ptr<FastPath>> fast_paths_;
  std::vector<TestNode> nodes_;
};

// Open vSwitch, with the datapath inside of ovs-vswitchd where the kernel has none.
class OvsDriver : public World {
 public:
  explicit OvsDriver(TunnelKind tunnel) {
    for (int host = 0; host < kHosts; ++host) {
      OvsHost& one = hosts_[host];
      fabric_.Add(&one, host);
      one.Open({.tunnel = tunnel});
      // Its number is its VNI.
      Bridge& bridge = one.AddBridge(kVni, kNetwork, HostAddress(host));
      for (int node = 0; node < kNodes; ++node) {
        if (kHostOf[node] == host) {
          one.WantNode(kVni, static_cast<uint32_t>(node));
          continue;
        }
        const Ipv4 address = Ipv4::Parse(NodeAddress(node)).value();
        bridge.overlay->remotes.push_back(
            {address, MacForNode(kVni, address), Ipv4::Parse(HostAddress(kHostOf[node])).value()});
      }
      one.Apply();
    }
    for (int node = 0; node < kNodes; ++node) {
      nodes_.push_back(hosts_[kHostOf[node]].StartNode(kVni, static_cast<uint32_t>(node)));
    }
    for (OvsHost& host : hosts_) host.Apply();
    AddNodeWays({&nodes_[0].space, &nodes_[1].space, &nodes_[2].space, &nodes_[3].space}, true,
                this);
    ways[kHostToNode] = {&hosts_[0].space, &nodes_[0].space, NodeAddress(0)};
    // The first packet to a host is lost, while its MAC is asked for.
    for (const auto& [name, way] : ways) {
      int tries = 50;
      while (!PingOnce(*way.from, way.address, kSilence)) CHECK(--tries > 0);
    }
  }

 private:
  Fabric fabric_;
  std::array<OvsHost, kHosts> hosts_;
  std::vector<OvsNode> nodes_;
};

}  // namespace

std::unique_ptr<World> MakeFlatHosts() { return std::make_unique<FlatHosts>(); }

std::unique_ptr<World> MakePlainBridge(bool bridge_filter) {
  return std::make_unique<HandMade>(bridge_filter, "1500");
}

std::unique_ptr<World> MakeHandMadeVxlan(HandMadeVxlan kind) {
  return std::make_unique<Vxlan>(kind);
}

std::unique_ptr<World> MakeLinuxDriver(bool bridge_filter, bool fast) {
  return std::make_unique<LinuxDriver>(bridge_filter, fast);
}

std::unique_ptr<World> MakeOvsDriver(TunnelKind tunnel) {
  return std::make_unique<OvsDriver>(tunnel);
}

std::vector<Candidate> MakeCandidates() {
  std::vector<Candidate> candidates;
  candidates.push_back({kFlat, MakeFlatHosts()});
  candidates.push_back({kPlainBridge, MakePlainBridge(false)});
  candidates.push_back({kFilteredBridge, MakePlainBridge(true)});
  candidates.push_back({kLearningVxlan, MakeHandMadeVxlan(HandMadeVxlan::kLearning)});
  candidates.push_back({kStaticVxlan, MakeHandMadeVxlan(HandMadeVxlan::kStatic)});
  candidates.push_back({"Strata linux", MakeLinuxDriver(false, false)});
  candidates.push_back({"Strata linux, filtered", MakeLinuxDriver(true, false)});
  if (FastPath::OpenOrLog() != nullptr) {
    candidates.push_back({"Strata linux, fast path", MakeLinuxDriver(false, true)});
    candidates.push_back({"Strata linux, fast path, filtered", MakeLinuxDriver(true, true)});
  }
  candidates.push_back({"Strata ovs, VXLAN", MakeOvsDriver(TunnelKind::kVxlan)});
  candidates.push_back({"Strata ovs, GRE", MakeOvsDriver(TunnelKind::kGre)});
  return candidates;
}

}  // namespace strata::net
