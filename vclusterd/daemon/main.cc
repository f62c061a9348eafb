// vclusterd: the Vclusters of one host; or, of several, `vclusterd master` what should be, and
// `vclusterd worker` what is. Parses its flags.
#include <CLI/CLI.hpp>
#include <csignal>

#include "common/log.h"
#include "common/rpc/local_server.h"
#include "common/rpc/tls_server.h"
#include "common/version.h"
#include "vclusterd/daemon/roles.h"
#include "vclusterd/daemon/settings.h"

namespace strata::vcluster {
namespace {

void AddPaths(CLI::App& app, Settings& settings) {
  app.add_option("--state-dir", settings.state_dir, "Durable state")->capture_default_str();
  app.add_option("--run-dir", settings.run_dir, "Sockets and what a reboot may forget")
      ->capture_default_str();
  app.add_option("--metrics", settings.metrics,
                 "ADDRESS:PORT at which Prometheus is told how things are; nobody is asked who he "
                 "is, so only where administrators come");
}

void AddShared(CLI::App& app, Settings& settings, const std::string& otherwise) {
  app.add_option("--shared-dir", settings.shared_dir,
                 "Where volumes and homes of nodes are (" + otherwise + ")");
}

void AddHostOptions(CLI::App& app, Settings& settings) {
  app.add_option("--imaged", settings.imaged_socket, "imaged's socket (RUN_DIR/imaged.sock)");
  app.add_option("--vnetd", settings.vnetd_socket, "vnetd's socket (RUN_DIR/vnetd.sock)");
  app.add_option("--id-base", settings.id_base, "First user id for containers")
      ->capture_default_str();
  app.add_option("--driver", settings.driver, "kernel or fuse (the better one that works here)");
  app.add_option("--volumes", settings.volumes,
                 "none, project, btrfs, lvm-thin or loop, for nodes with a limit of disk (the best "
                 "one that works here)");
  app.add_option("--volume-pool", settings.volume_pool, "lvm-thin: GROUP/POOL, a thin pool");
  app.add_option("--volume-size", settings.volume_size,
                 "Limit of disk of nodes whose user says none, such as 10GiB (0: no limit)")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false));
  app.add_option("--record-starts", settings.record_starts_s,
                 "Seconds for which the first start of an image is watched, so that lazy copies of "
                 "it get first what a start needs (0: never)")
      ->capture_default_str();
}

void AddPool(CLI::App& app, Settings& settings) {
  app.add_option("--subnet-pool", settings.subnet_pool,
                 "Each Vcluster gets a /24 to /28 of it, as it has nodes at most; the same for all "
                 "hosts of a cluster")
      ->capture_default_str();
}

void AddPool6(CLI::App& app, Settings& settings) {
  app.add_option("--subnet-pool6", settings.subnet_pool6,
                 "A /40 of fd00::/8 in which each Vcluster has a /64, the same for all hosts of a "
                 "cluster; auto: one of this cluster's own; none: nodes have IPv4 alone")
      ->capture_default_str();
}

void AddReserved(CLI::App& app, Settings& settings) {
  app.add_option("--subnet-reserve", settings.subnets_reserved,
                 "A prefix of the pool that no Vcluster gets; may be repeated");
}

void AddUsers(CLI::App& app, Settings& settings) {
  app.add_flag("--pam", settings.pam,
               "Users of this host sign in with the passwords that they have here (PAM, service "
               "\"strata\")");
  CLI::Option* prices = app.add_option(
      "--credit-prices", settings.credit_prices,
      "Charge each hour of use: cpu-hour=AMOUNT,gib-hour=AMOUNT,node-hour=AMOUNT, or some of "
      "them, in credits (docs/users.md); the same for all masters");
  app.add_option("--credit-initial", settings.credit_initial, "Credits that every user begins with")
      ->needs(prices)
      ->capture_default_str();
  app.add_option("--credit-warn", settings.credit_warn,
                 "AMOUNT[,AMOUNT…]: who has less is warned (a fifth of --credit-initial)")
      ->needs(prices);
}

void AddRest(CLI::App& app, Settings& settings) {
  app.add_option("--rest", settings.rest, "ADDRESS:PORT for the REST interface (none)");
  app.add_option("--rest-cert", settings.rest_cert,
                 "PEM file: its certificate (this host's of its cluster)");
  app.add_option("--rest-key", settings.rest_key, "PEM file: the certificate's key");
  app.add_flag("--rest-plain", settings.rest_plain,
               "REST without TLS, at a loopback address alone");
  app.add_flag("--rest-registration", settings.rest_registration,
               "Strangers may ask for accounts, which wait for an admin");
  app.add_option("--openid-issuer", settings.openid_issuer,
                 "https://ISSUER of OpenID Connect by which users sign in (none)");
  app.add_option("--openid-client", settings.openid_client, "What the issuer calls this Strata");
  app.add_option("--openid-secret-file", settings.openid_secret_file,
                 "File with the secret that the issuer gave (none: a public client)");
  app.add_option("--openid-redirect", settings.openid_redirect,
                 "https://HOST/v1/openid/callback, as browsers reach it");
}

void AddPlacement(CLI::App& app, Settings& settings) {
  app.add_option("--overcommit-cpus", settings.overcommit_cpus,
                 "How many times the CPUs of a host may be promised to nodes")
      ->check(CLI::Range(1.0, 64.0))
      ->capture_default_str();
  app.add_option("--overcommit-memory", settings.overcommit_memory,
                 "How many times the memory of a host may be promised to nodes")
      ->check(CLI::Range(1.0, 64.0))
      ->capture_default_str();
}

void AddMaster(CLI::App& app, Settings& settings) {
  AddPaths(app, settings);
  AddPool(app, settings);
  AddReserved(app, settings);
  AddShared(app, settings, "nowhere; a file system that masters and all workers have mounted");
  app.add_option("--listen", settings.listen, "ADDRESS:PORT for workers")->required();
  app.add_option("--etcd", settings.etcd,
                 "etcd://HOST:PORT[,…][/PREFIX]: several masters, of which one leads; without it "
                 "this one keeps the records itself");
  app.add_option("--etcd-ca", settings.etcd_ca, "PEM file: whom to trust as etcd");
  app.add_option("--etcd-cert", settings.etcd_certificate, "PEM file: who we are to etcd");
  app.add_option("--etcd-key", settings.etcd_key, "PEM file: its key");
  app.add_flag("--etcd-insecure", settings.etcd_insecure,
               "Call members on other machines without TLS: who is on the way can do anything");
  app.add_option("--takeover-ms", settings.takeover_ms,
                 "Another master leads when nothing is heard of the leader for so long")
      ->check(CLI::Range(500, 600'000))
      ->capture_default_str();
  app.add_option("--host-lost-ms", settings.host_lost_ms,
                 "A worker is lost when nothing is heard of it for so long")
      ->check(CLI::Range(500, 600'000))
      ->capture_default_str();
  app.add_option("--recreate-ms", settings.recreate_ms,
                 "Nodes of a host that is lost for so long are made anew elsewhere, if their file "
                 "says so; longer than the workers' --fence-ms")
      ->check(CLI::Range(500, 86'400'000))
      ->capture_default_str();
  app.add_option(
         "--rebalance-every", settings.rebalance_every_s,
         "Seconds after which nodes that disturb each other are moved apart; each is stopped "
         "for it (0: only by `vcluster rebalance`)")
      ->check(CLI::Range(0, 604'800))
      ->capture_default_str();
  app.add_option("--fabric", settings.fabric,
                 "Hosts talk with each other encrypted: wireguard, esp or off; the same for all "
                 "masters (docs/network.md)")
      ->check(CLI::IsMember({"wireguard", "esp", "off"}))
      ->capture_default_str();
  app.add_option("--fabric-subnet", settings.fabric_subnet,
                 "Each host gets an address of it, which nothing else may use")
      ->capture_default_str();
  app.add_option("--providers", settings.providers,
                 "File that says who lends machines when room is short (docs/providers.md)");
  app.add_option("--imaged", settings.imaged_socket,
                 "imaged's socket (RUN_DIR/imaged.sock), which lets rented machines join");
  AddPlacement(app, settings);
  AddUsers(app, settings);
  AddRest(app, settings);
}

void AddWorker(CLI::App& app, Settings& settings) {
  AddPaths(app, settings);
  AddPool(app, settings);
  AddPool6(app, settings);
  AddShared(app, settings, "nowhere; what the masters have");
  AddHostOptions(app, settings);
  app.add_option("--listen", settings.listen, "ADDRESS:PORT for masters")->required();
  app.add_option("--masters", settings.masters,
                 "HOST=ADDRESS:PORT[,…]: where masters listen; nobody else is obeyed")
      ->required();
  app.add_option("--fence-ms", settings.fence_ms,
                 "Nodes that masters may make anew elsewhere are paused when none is heard for so "
                 "long; shorter than the masters' --recreate-ms")
      ->check(CLI::Range(200, 86'400'000))
      ->capture_default_str();
  app.add_option("--underlay-mtu", settings.underlay_mtu,
                 "MTU of the network between the hosts, where it is less than that of this host's "
                 "link (that of the link)")
      ->check(CLI::Range(1280, 65535));
  app.add_option("--fabric-endpoint", settings.fabric_endpoint,
                 "ADDRESS[:PORT] at which other hosts call this one in the fabric, or none: it is "
                 "behind a NAT and calls them (the address of --listen)");
  app.add_option("--fabric-port", settings.fabric_port,
                 "UDP port of this host's part in the fabric")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  app.add_option("--vxlan-port", settings.vxlan_port,
                 "UDP port of the nodes' traffic between hosts, the same on all of them")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  app.add_option("--label", settings.labels, "A label that roles may require; may be repeated");
}

Status Act(const CLI::App& master, const CLI::App& worker, Settings settings) {
  RETURN_IF_ERROR(MakePathsCanonical(&settings));
  if (master.parsed()) return RunMaster(settings);
  if (worker.parsed()) return RunWorker(settings);
  return RunSingleHost(settings);
}

}  // namespace
}  // namespace strata::vcluster

int main(int argc, char** argv) {
  strata::vcluster::Settings settings;
  CLI::App app("Runs the Vclusters of this host, or with a command those of several hosts");
  app.set_version_flag("--version", "vclusterd " + strata::Version());
  app.require_subcommand(0, 1);
  strata::vcluster::AddPaths(app, settings);
  strata::vcluster::AddPool(app, settings);
  strata::vcluster::AddPool6(app, settings);
  strata::vcluster::AddReserved(app, settings);
  strata::vcluster::AddShared(app, settings, "STATE_DIR/vclusterd/shared");
  strata::vcluster::AddHostOptions(app, settings);
  strata::vcluster::AddPlacement(app, settings);
  strata::vcluster::AddUsers(app, settings);
  strata::vcluster::AddRest(app, settings);
  app.add_flag("--down", settings.down,
               "Stop and delete everything of this state directory, and end");
  CLI::App* master = app.add_subcommand("master", "Keep the desired state of a cluster of hosts");
  strata::vcluster::AddMaster(*master, settings);
  CLI::App* worker = app.add_subcommand("worker", "Run nodes on this host as masters say");
  strata::vcluster::AddWorker(*worker, settings);
  CLI11_PARSE(app, argc, argv);
  const std::string role = master->parsed() ? "master" : worker->parsed() ? "worker" : "vclusterd";
  strata::InitLog(role, strata::LogLevel::kInfo);
  strata::rpc::LogGrpcForDebugging();
  ::signal(SIGPIPE, SIG_IGN);
  strata::rpc::BlockStopSignals();
  try {
    const strata::Status status = strata::vcluster::Act(*master, *worker, settings);
    if (status.ok()) return 0;
    LOG_ERROR(status.error().message());
  } catch (const std::exception& error) {
    LOG_ERROR(std::string("unexpected: ") + error.what());
  }
  return 1;
}
