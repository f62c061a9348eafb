// vnetd: the networks of one host's Vclusters. Parses, wires, runs.
#include <CLI/CLI.hpp>
#include <csignal>

#include "common/file_io.h"
#include "common/log.h"
#include "common/paths.h"
#include "common/rpc/local_server.h"
#include "common/version.h"
#include "net/daemon/metrics.h"
#include "net/service/net_service.h"

namespace strata::net {
namespace {

constexpr std::chrono::seconds kShutdownGrace(2);

struct Settings {
  std::string state_dir = DefaultStateDir();
  std::string run_dir = DefaultRunDir();
  std::string file;
  std::string driver = "linux";
  std::string tunnel = "vxlan";
  std::string fast_path = "auto";
  std::string names = "on";
  NetworkKeeper::Means means;
  std::string metrics;
  bool down = false;
};

Status Run(Settings settings) {
  // As the daemons that have their state there see it: names are made from it.
  RETURN_IF_ERROR(MakeDirectories(settings.state_dir));
  ASSIGN_OR_RETURN(settings.state_dir, CanonicalPath(settings.state_dir));
  NetworkEvents events;
  NetworkKeeper::Options options;
  options.instance = InstanceOf(settings.state_dir);
  options.run_dir = settings.run_dir;
  options.state_dir = settings.state_dir;
  options.file = settings.down ? "" : settings.file;
  options.means = settings.means;
  options.means.driver = settings.driver == "ovs" ? Driver::kOvs : Driver::kLinux;
  options.means.gre = settings.tunnel == "gre";
  options.means.fast_path = settings.fast_path == "auto" && !settings.down;
  if (settings.names == "on") {
    ASSIGN_OR_RETURN(const std::string self, CanonicalPath("/proc/self/exe"));
    options.means.names_program = self.substr(0, self.rfind('/')) + "/vnet-names";
  }
  options.listener = [&](const NetworkKeeper::Event& event) { events.Add(event); };
  ASSIGN_OR_RETURN(const auto keeper, NetworkKeeper::Open(options));
  if (settings.down) {
    DesiredNetwork nothing;
    nothing.instance = options.instance;
    return keeper->Put(std::move(nothing));
  }
  const std::string socket = VnetdSocket(settings.run_dir);
  ASSIGN_OR_RETURN(const auto server, rpc::LocalServer::Start(socket, [&](const auto& caller) {
                     std::vector<std::unique_ptr<grpc::Service>> services;
                     services.push_back(MakeNetService(*keeper, events, options.file, caller));
                     return services;
                   }));
  std::unique_ptr<http::MetricsPage> metrics;
  if (!settings.metrics.empty()) {
    ASSIGN_OR_RETURN(metrics, http::MetricsPage::Start(settings.metrics, [&] {
                       return MetricsOf(*keeper, options.instance);
                     }));
    LOG_INFO("metrics are at port " + std::to_string(metrics->port()));
  }
  LOG_INFO("serves " + socket + ", instance " + options.instance);
  rpc::WaitForStopSignal();
  server->Shutdown(kShutdownGrace);
  LOG_INFO("ends; the networks stay");
  return Ok();
}

}  // namespace
}  // namespace strata::net

int main(int argc, char** argv) {
  strata::net::Settings settings;
  CLI::App app("Makes the networks of this host's Vclusters, and keeps them as they should be");
  app.set_version_flag("--version", "vnetd " + strata::Version());
  app.add_option("--state-dir", settings.state_dir,
                 "The Strata whose networks these are: what vclusterd has")
      ->capture_default_str();
  app.add_option("--run-dir", settings.run_dir, "Sockets and what a reboot may forget")
      ->capture_default_str();
  app.add_option("--file", settings.file,
                 "JSON file that says how the networks should be, instead of vclusterd; followed "
                 "while it changes (docs/network.md)");
  app.add_option("--driver", settings.driver,
                 "Who joins nodes: linux (the kernel's bridges and VXLAN) or ovs (Open vSwitch)")
      ->check(CLI::IsMember({"linux", "ovs"}))
      ->capture_default_str();
  app.add_option("--fast-path", settings.fast_path,
                 "linux: frames between nodes pass bridges by, where the kernel has what that "
                 "takes: auto or off")
      ->check(CLI::IsMember({"auto", "off"}))
      ->capture_default_str();
  app.add_option("--names", settings.names,
                 "Gateways answer nodes' questions for names, at port 53: on or off")
      ->check(CLI::IsMember({"on", "off"}))
      ->capture_default_str();
  app.add_option("--tunnel", settings.tunnel,
                 "ovs: vxlan or gre between hosts, the same on all of them")
      ->check(CLI::IsMember({"vxlan", "gre"}))
      ->capture_default_str();
  app.add_option("--ovs-run-dir", settings.means.ovs_run_dir,
                 "ovs: where its db.sock and bridges' .mgmt sockets are")
      ->capture_default_str();
  app.add_option(
      "--controller", settings.means.controller,
      "ovs: tcp:ADDRESS:PORT or unix:PATH of an OpenFlow controller whose rules are used "
      "instead of ours");
  app.add_option("--metrics", settings.metrics,
                 "ADDRESS:PORT at which Prometheus is told how things are; nobody is asked who he "
                 "is, so only where administrators come");
  app.add_flag("--down", settings.down, "Remove all networks of this Strata, and end");
  CLI11_PARSE(app, argc, argv);
  strata::InitLog("vnetd", strata::LogLevel::kInfo);
  ::signal(SIGPIPE, SIG_IGN);
  strata::rpc::BlockStopSignals();
  try {
    const strata::Status status = strata::net::Run(settings);
    if (status.ok()) return 0;
    LOG_ERROR(status.error().message());
  } catch (const std::exception& error) {
    LOG_ERROR(std::string("unexpected: ") + error.what());
  }
  return 1;
}
