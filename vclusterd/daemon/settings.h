// What vclusterd is started with, and what follows from it on this host.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/paths.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "vclusterd/host/host_config.h"

namespace strata::vcluster {

struct Settings {
  std::string state_dir = DefaultStateDir();
  std::string run_dir = DefaultRunDir();
  std::string imaged_socket;  // Empty: in run_dir; as the next.
  std::string vnetd_socket;
  std::string subnet_pool = "10.90.0.0/16";
  std::string subnet_pool6 = "auto";          // A /40 of fd00::/8, "auto" or "none".
  std::vector<std::string> subnets_reserved;  // Of the pool, for others.
  uint32_t id_base = 1'000'000;
  std::string driver;   // Empty: the better one.
  std::string volumes;  // Empty: the best kind that works.
  std::string volume_pool;
  uint64_t volume_size = 0;
  // For what nodes share; empty: of a single host, one below state_dir.
  std::string shared_dir;
  uint32_t record_starts_s = 20;
  bool pam = false;
  std::string credit_prices;  // As ParsePrices reads them; empty: hours are not charged.
  std::string credit_initial = "0";
  std::string credit_warn;  // "20,5"; empty: a fifth of the initial balance.
  std::string metrics;      // "127.0.0.1:9641"; empty: nobody is told.
  bool down = false;
  // Of a cluster of hosts.
  std::string listen;   // "10.0.0.1:7445"
  std::string masters;  // "lab-1=10.0.0.1:7445,…"
  std::string etcd;     // "etcd://…"; empty: the records are this host's own.
  std::string etcd_ca;
  std::string etcd_certificate;
  std::string etcd_key;
  bool etcd_insecure = false;
  uint32_t takeover_ms = 6000;
  uint32_t host_lost_ms = 15'000;
  uint32_t recreate_ms = 60'000;
  uint32_t rebalance_every_s = 0;
  std::string providers;  // File; empty: nothing is rented.
  uint32_t fence_ms = 30'000;
  double overcommit_cpus = 16;
  double overcommit_memory = 2;
  std::vector<std::string> labels;
  // Of REST.
  std::string rest;  // "10.0.0.1:7480"; empty: none.
  std::string rest_cert;
  std::string rest_key;
  bool rest_plain = false;
  bool rest_registration = false;
  std::string openid_issuer;
  std::string openid_client;
  std::string openid_secret_file;
  std::string openid_redirect;
  uint32_t underlay_mtu = 0;  // 0: of the link to other hosts.
  std::string fabric = "off";
  std::string fabric_subnet = "10.89.0.0/16";
  std::string fabric_endpoint;  // "192.0.2.1[:51820]", "none"; empty: where `listen` is.
  uint16_t fabric_port = 51820;
  uint16_t vxlan_port = 4789;
};

// Where our other programs lie: beside this one.
Result<std::string> ProgramDirectory();

// Directories that exist, by paths that stay the same whatever the working directory is.
Status MakePathsCanonical(Settings* settings);
// One process of this kind ("vclusterd", "master") per state directory, held until it ends.
Result<UniqueFd> LockState(const std::string& state_dir, const std::string& kind);
Result<std::vector<net::Ipv4Prefix>> ReservedSubnets(const Settings& settings);
// Of IPv6; none: this host has no IPv6, or should not use it. "auto": it depends on `seed`, which
// all hosts of a cluster have; when this host has an address in it, there is none.
// kFailedPrecondition: it has one in the pool that was asked for.
Result<std::optional<net::Ipv6Prefix>> ChoosePool6(const Settings& settings,
                                                   const std::string& seed);
// For a process that runs nodes.
Result<HostConfig> MakeHostConfig(const Settings& settings);

}  // namespace strata::vcluster
