// Hosts of a test with nodes that come, go and move, whatever joins them: for what every driver of
// networks has to do.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/file_io.h"
#include "net/host_network.h"
#include "tests/unit/net/ovs/ovs_host.h"

namespace strata::net {

// kSecure: as kFastPath, over an encrypted network of the hosts.
enum class Means { kLinux, kFastPath, kSecure, kOvsVxlan, kOvsGre };
std::string NameOf(Means means);

class World {
 public:
  static constexpr char kInstance[] = "ab123";
  using Node = std::pair<uint32_t, uint32_t>;  // Its network, and its index there.

  World(Means means, int hosts);
  ~World();
  World(const World&) = delete;

  // Its addresses are 10.90.NUMBER.0/24, and what Pool6For gives.
  void AddNetwork(uint32_t number);
  Bridge& BridgeOf(uint32_t number) {
    return networks_.at(number);
  }  // Without what is of one host.
  // Settle makes it so, then its link is there.
  void AddNode(Node node, int host);
  // As a live migration does it: another link with the same MAC and address, on another host; what
  // is in the node stays. In between everybody is told.
  void MoveNode(Node node, int host);
  // The same in two steps. The node has the other link already, with the same MAC and address…
  void PrepareMove(Node node, int host);
  // …and loses its old one; then everybody is told, the new host first, the old one last. (Not at
  // once: all share one kernel, where each would wait for the others' locks.)
  struct Moved {
    std::chrono::steady_clock::time_point link_ended;
    std::vector<std::chrono::steady_clock::duration> took;  // In that order.
  };
  Moved FinishMove(Node node);
  void RemoveNode(Node node);
  // It stays at its host, wherever the node goes, which `forward` need not name.
  void AddForward(int host, Node node, Forward forward);
  void EndForwards();  // They take no new connections.
  void RemoveForwards() { forwards_.clear(); }
  // What should be on `host` follows from what was added.
  DesiredNetwork DesiredOf(int host) const;
  Result<HostNetwork::Made> Make(int host);
  Result<PlannedChanges> Plan(int host);
  // All hosts.
  void Settle();
  void ExpectAllAreDone();  // Plans of all hosts are empty.

  const NetNamespace& SpaceOf(Node node) const { return *nodes_.at(node).space; }
  const NetNamespace& HostSpace(int host) const { return *hosts_[static_cast<size_t>(host)].space; }
  const NetNamespace& fabric() const { return fabric_; }
  // The hosts' network carries so much from each of them, and holds little back.
  void Shape(const std::string& rate);
  // One packet of twenty between hosts is lost; with STRATA_TEST_NETEM (tests/vm/run), for kernels
  // that have netem, the others are late and out of order.
  void Disturb();
  void Cut(int host) { fabric_.Ip({"link", "set", PortOf(host), "down"}); }
  void Mend(int host) { fabric_.Ip({"link", "set", PortOf(host), "up"}); }
  static std::string AddressOf(Node node);
  static std::string Address6Of(Node node);
  static Mac MacOf(Node node);
  static std::string HostAddress(int host) { return "192.0.2." + std::to_string(host + 1); }
  static std::string HostAddress6(int host) { return "2001:db8::" + std::to_string(host + 1); }
  // Of a host's names: with kSecure each has its own, as programs of all are in one place.
  std::string InstanceOf(int host) const;
  // Of what nodes send.
  uint32_t mtu() const;
  bool is_ovs() const { return means_ == Means::kOvsVxlan || means_ == Means::kOvsGre; }

 private:
  struct Host {
    std::unique_ptr<OvsHost> ovs;
    std::unique_ptr<NetNamespace> own;
    const NetNamespace* space = nullptr;
    std::unique_ptr<HostNetwork> network;
    PublicKey key;  // …this.
  };
  struct Placed {
    std::unique_ptr<NetNamespace> space;
    int host = 0;
    bool linked = false;
    std::string link = "eth0";  // In the node.
    int next_host = 0;          // Of PrepareMove.
    int metric = 0;             // Of routes by the link: it gives way to an older one.
  };
  struct PlacedForward {
    int host = 0;
    Node node;
    Forward forward;
  };
  static std::string PortOf(int host) { return "host" + std::to_string(host); }
  // Where the others reach it: in the fabric, if there is one.
  Ipv4 AddressAmongHosts(int host) const;
  DesiredFabric FabricOf(int host) const;
  void AddHost();
  bool HasNames() const;
  void Link(Node node, int host);

  const Means means_;
  // Of each host a directory.
  TemporaryDirectory run_dirs_ =
      std::move(*TemporaryDirectory::Create("/var/tmp", "strata-world."));
  NetNamespace fabric_;  // A bridge, "br0".
  std::vector<Host> hosts_;
  std::map<uint32_t, Bridge> networks_;  // Without what is of one host.
  std::map<Node, Placed> nodes_;
  std::vector<PlacedForward> forwards_;
};

}  // namespace strata::net
