// What a host's part of vclusterd is started with.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "layerfs/root.h"
#include "layerfs/volume/volume_store.h"
#include "net/ip_address.h"
#include "net/ipv4.h"
#include "net/ports.h"
#include "net/secure/desired_fabric.h"
#include "vclusterd/runtime/node_spec.h"

namespace strata::vcluster {

struct HostConfig {
  std::string state_dir;  // …/vclusterd below it is ours.
  HostLayout host;
  net::Ipv4Prefix pool;
  std::optional<net::Ipv6Prefix> pool6;   // The same on all hosts. None: nodes have IPv4 alone.
  std::vector<net::Ipv4Prefix> reserved;  // Of the pool, where this host's process gives subnets.
  // This host's address in the network of the hosts; absent: it is alone. Then every Vcluster's
  // bridge may reach the other hosts that have nodes of it.
  std::optional<net::Ipv4> underlay;
  uint32_t underlay_mtu = 1500;
  // Where the other hosts call this one in the fabric; absent: it is behind a NAT.
  std::optional<net::Endpoint> fabric_endpoint;
  uint16_t fabric_port = net::kFabricPort;
  uint32_t link_mtu = 1500;  // Of the link that the fabric's packets take.
  uint16_t vxlan_port = net::kVxlanPort;
  // Who makes the networks; empty: this process, and only while it runs they are mended.
  std::string vnetd_socket;
  net::PortRange ports;  // Of this host, for nodes that ask for any.
  uint32_t id_first = 1'000'000;
  layerfs::Driver driver = layerfs::Driver::kKernel;
  std::string layerfs_binary = "layerfs";
  // For nodes with a limit of disk, and the limit of those whose user says none (0: no limit).
  layerfs::VolumeKind volumes = layerfs::VolumeKind::kNone;
  std::string lvm_pool;
  uint64_t disk_bytes_default = 0;
  // With the volumes that nodes share (vclusterd/volumes/shared_dir.h); empty: there are none here.
  std::string shared_dir;
  // How long the first start of an image is watched; 0: not at all.
  std::chrono::milliseconds record_starts{0};
  std::optional<layerfs::ObjectMountSpec>
      object_mount;  // For roots whose objects are not all here.
  // How often it is looked what nodes use; 0: never.
  std::chrono::milliseconds usage_every{10'000};
  // No master has been heard of for too long: nodes that may be made anew elsewhere are paused, and
  // not started, until an order comes for them.
  bool begins_silent = false;
  // Before a node that broke down is started again: doubled each time, up to the second one.
  std::chrono::milliseconds restart_pause{1000};
  std::chrono::milliseconds restart_pause_max{60'000};
};

}  // namespace strata::vcluster
