// imaged: the image repository of one host. Parses, wires, runs.
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <climits>
#include <exception>
#include <iostream>
#include <map>

#include "common/file_io.h"
#include "common/log.h"
#include "common/paths.h"
#include "common/printable.h"
#include "common/rpc/local_server.h"
#include "common/rpc/tls_server.h"
#include "common/version.h"
#include "imaged/daemon/housekeeping.h"
#include "imaged/daemon/metrics.h"
#include "imaged/daemon/offline_commands.h"
#include "imaged/daemon/shared_catalog.h"
#include "imaged/fetch/fetchers.h"
#include "imaged/peers/cluster_service.h"
#include "imaged/peers/host_fetcher.h"
#include "imaged/peers/peer_listener.h"
#include "imaged/peers/prestager.h"
#include "imaged/peers/transfer_service.h"
#include "imaged/registry/listener.h"
#include "imaged/registry/registry_service.h"
#include "imaged/repository/repository.h"
#include "imaged/service/image_service.h"

namespace strata::imaged {
namespace {

constexpr char kOwnCatalog[] = "own";

struct Settings {
  std::string state_dir = DefaultStateDir();
  std::string run_dir = DefaultRunDir();
  std::vector<std::string> sources;
  std::string peer_listen;
  std::string peer_name;
  RegistryOptions registry;
  std::string metrics;
  uint32_t read_patience_s = 30;
  CatalogOptions catalog;
  std::string catalog_location = kOwnCatalog;
  records::EtcdLocation etcd;
  bool accept_older_catalog = false;
  uint64_t scrub_rate = BackgroundCheck::Schedule().bytes_per_second;
  unsigned scrub_every_days = 7;
  EvictionRule eviction;
};

// The host's own name as far as a host of a cluster may be called so: up to the first dot, in
// lower case.
std::string ShortHostName() {
  char name[HOST_NAME_MAX + 1] = "";
  if (::gethostname(name, sizeof(name) - 1) != 0) return "";
  std::string text = name;
  text.resize(std::min(text.size(), text.find('.')));
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// What `location` and the --etcd options say. kInvalidArgument.
Result<records::EtcdOptions> EtcdOptionsOf(const Settings& settings, const std::string& location) {
  records::EtcdOptions options = SharedRecords();
  ASSIGN_OR_RETURN(options.location, records::ParseEtcdLocation(location),
                   "a catalog is 'own' or in etcd");
  options.location.ca_file = settings.etcd.ca_file;
  options.location.certificate_file = settings.etcd.certificate_file;
  options.location.key_file = settings.etcd.key_file;
  options.location.insecure = settings.etcd.insecure;
  options.host = settings.peer_name;
  options.memory_path = settings.state_dir + "/imaged/shared_catalog_written";
  options.accept_older = settings.accept_older_catalog;
  RETURN_IF_ERROR(pki::CheckHostName(options.host), "--peer-name");
  return options;
}

Result<std::unique_ptr<Repository>> OpenRepository(
    const Settings& settings, std::vector<std::unique_ptr<ObjectFetcher>> fetchers) {
  const std::string state = settings.state_dir + "/imaged";
  if (settings.catalog_location == kOwnCatalog) {
    RETURN_IF_ERROR(CheckOwnCatalog(state));
    return Repository::Open(state, std::move(fetchers), settings.catalog);
  }
  ASSIGN_OR_RETURN(const records::EtcdOptions etcd,
                   EtcdOptionsOf(settings, settings.catalog_location));
  RETURN_IF_ERROR(MakeDirectories(state, 0700));
  ASSIGN_OR_RETURN(auto records, OpenSharedCatalog(state, etcd));
  CatalogOptions options = settings.catalog;
  options.host = etcd.host;
  return Repository::OpenShared(state, std::move(records), std::move(fetchers), options);
}

int MigrateCommand(const Settings& settings, const std::string& to, bool merge) {
  const std::string state = settings.state_dir + "/imaged";
  const auto migrate = [&]() -> Result<MigratedRecords> {
    if (to != kOwnCatalog) {
      ASSIGN_OR_RETURN(const records::EtcdOptions etcd, EtcdOptionsOf(settings, to));
      return MigrateToShared(state, etcd, merge, [](const std::string& conflict) {
        std::cout << "conflict: " << Printable(conflict) << std::endl;
      });
    }
    ASSIGN_OR_RETURN(const records::EtcdOptions etcd,
                     EtcdOptionsOf(settings, settings.catalog_location));
    return MigrateToOwn(state, etcd);
  };
  const auto migrated = migrate();
  if (!migrated.ok()) {
    LOG_ERROR(migrated.error().message());
    return migrated.error().code() == Code::kInvalidArgument ? 2 : 1;
  }
  std::cout << migrated->records << " records are in the catalog " << to << " now";
  if (migrated->left_out > 0) {
    std::cout << "; " << migrated->left_out << " of other hosts stayed where they were";
  }
  std::cout << std::endl;
  return 0;
}

Status Serve(Settings settings) {
  settings.registry.cache_directory = settings.state_dir + "/imaged/registry";
  RETURN_IF_ERROR(MakeDirectories(settings.run_dir));
  RETURN_IF_ERROR(MakeDirectories(settings.state_dir));
  ASSIGN_OR_RETURN(const auto cluster, Cluster::Open({settings.state_dir + "/imaged/hosts",
                                                      settings.peer_name, settings.peer_listen}));
  const auto from_host = [&](const std::string& host) -> Result<std::unique_ptr<ObjectFetcher>> {
    RETURN_IF_ERROR(pki::CheckHostName(host));
    return std::make_unique<HostFetcher>(cluster.get(), host);
  };
  ASSIGN_OR_RETURN(auto fetchers, OpenFetchers(settings.sources, from_host));
  ASSIGN_OR_RETURN(const auto repository, OpenRepository(settings, std::move(fetchers)));
  repository->provider().SetReadPatience(std::chrono::seconds(settings.read_patience_s));
  if (settings.scrub_rate > 0) {
    BackgroundCheck::Schedule schedule;
    schedule.bytes_per_second = settings.scrub_rate;
    schedule.every_ms = int64_t{settings.scrub_every_days} * 24 * 3600 * 1000;
    repository->background_check().SetSchedule(schedule);
  }
  ASSIGN_OR_RETURN(const auto puller, ImagePuller::Open(cluster.get(), repository.get()));
  ASSIGN_OR_RETURN(const auto schedule,
                   PrestageSchedule::Open(settings.state_dir + "/imaged/prestages",
                                          [&](uid_t uid, const v1::PrestageRequest& request,
                                              const auto& report, const auto& cancel) {
                                            return PrestageImage(puller.get(), uid, request, report,
                                                                 cancel);
                                          }));
  PeerListener listener(cluster.get(), repository.get(), puller.get(), settings.peer_listen);
  RETURN_IF_ERROR(listener.StartIfMember());
  ASSIGN_OR_RETURN(const auto tokens, TokenBook::Open(settings.state_dir + "/imaged/tokens.json",
                                                      repository->catalog().accounts()));
  std::unique_ptr<RegistryListener> registry;
  if (!settings.registry.address.empty()) {
    ASSIGN_OR_RETURN(registry, RegistryListener::Start(
                                   settings.registry,
                                   cluster->IsMember() ? cluster->IdentityPath() : std::string(),
                                   repository.get(), tokens.get()));
    LOG_INFO("the registry answers at port " + std::to_string(registry->port()));
  }
  std::unique_ptr<http::MetricsPage> metrics;
  if (!settings.metrics.empty()) {
    ASSIGN_OR_RETURN(metrics, StartMetricsPage(settings.metrics, repository.get()));
    LOG_INFO("metrics are at port " + std::to_string(metrics->port()));
  }
  const std::string socket = ImagedSocket(settings.run_dir);
  ASSIGN_OR_RETURN(
      const auto server, rpc::LocalServer::Start(socket, [&](const rpc::Caller& caller) {
        auto services = MakeServices(repository.get(), caller,
                                     repository->catalog().shared() ? puller.get() : nullptr);
        services.push_back(MakeClusterService(cluster.get(), &listener, caller));
        services.push_back(MakeTransferService(puller.get(), schedule.get(), caller));
        services.push_back(MakeRegistryService(repository.get(), tokens.get(), caller));
        return services;
      }));
  const Housekeeping housekeeping(repository.get(), settings.eviction, settings.scrub_rate > 0);
  LOG_INFO("serves at " + socket + ", state in " + settings.state_dir);
  rpc::WaitForStopSignal();
  LOG_INFO("stops");
  if (registry != nullptr) registry->Shutdown(std::chrono::seconds(5));
  server->Shutdown(std::chrono::seconds(5));
  listener.Shutdown(std::chrono::seconds(5));
  return Ok();
}

int Main(int argc, char** argv) {
  CLI::App app{"imaged: stores, shares and saves the images of this host."};
  app.set_version_flag("--version", "imaged " + Version());
  Settings settings;
  settings.peer_name = ShortHostName();
  bool verbose = false;
  app.add_option("--state-dir", settings.state_dir, "Durable state (STRATA_STATE_DIR)")
      ->capture_default_str();
  app.add_option("--run-dir", settings.run_dir, "Sockets (STRATA_RUN_DIR)")->capture_default_str();
  app.add_option("--fetch-from", settings.sources,
                 "Where missing or damaged objects are fetched from: another imaged's socket, a "
                 "directory that holds objects/, or host:NAME, a host of the cluster (repeatable, "
                 "asked in this order)");
  app.add_option(
         "--read-patience", settings.read_patience_s,
         "Seconds for which the open of a file that is not here waits for hosts that do not "
         "answer; then it fails")
      ->capture_default_str();
  app.add_option("--keep-versions", settings.catalog.versions_kept,
                 "How many earlier versions of a name can be had by digest after its tag moved on")
      ->capture_default_str();
  unsigned evict_above = static_cast<unsigned>(settings.eviction.threshold * 100);
  app.add_option("--evict-above", evict_above,
                 "When the store takes more of its room than this, copies of other hosts' images "
                 "(vimage pull --cached) go, least recently used first; 0: never")
      ->check(CLI::Range(0u, 100u))
      ->capture_default_str()
      ->type_name("PERCENT");
  app.add_option("--store-room", settings.eviction.capacity_bytes,
                 "What the store may take in all before that, 100G (default: what it has and what "
                 "is free on its disk)")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false))
      ->type_name("BYTES");
  app.add_option("--scrub-rate", settings.scrub_rate,
                 "How many bytes in a second the check of all stored bytes reads, 0: no check")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false))
      ->capture_default_str();
  app.add_option("--scrub-every", settings.scrub_every_days, "How often that begins anew")
      ->check(CLI::Range(1u, 3650u))
      ->type_name("DAYS")
      ->capture_default_str();
  app.add_option("--catalog", settings.catalog_location,
                 "Where names, shares and quotas are: own, or etcd://HOST:PORT[,...][/PREFIX], the "
                 "same for several hosts")
      ->capture_default_str()
      ->type_name("CATALOG");
  app.add_option("--etcd-ca", settings.etcd.ca_file, "Who signed etcd's certificates, PEM")
      ->type_name("FILE");
  app.add_option("--etcd-cert", settings.etcd.certificate_file, "Ours for etcd, PEM")
      ->type_name("FILE");
  app.add_option("--etcd-key", settings.etcd.key_file, "Its key, PEM")->type_name("FILE");
  app.add_flag("--etcd-insecure", settings.etcd.insecure,
               "Call etcd on other machines without TLS: anybody on the way reads and writes it");
  app.add_flag("--accept-older-catalog", settings.accept_older_catalog,
               "Start with a shared catalog that lacks what this host wrote: what only those "
               "records named is removed by the next collection");
  app.add_option("--peer-listen", settings.peer_listen,
                 "Where other hosts of the cluster may call, 10.0.0.1:7443 (default: nowhere)")
      ->type_name("ADDRESS:PORT");
  app.add_option("--peer-name", settings.peer_name,
                 "What this host is called when it makes or joins a cluster")
      ->capture_default_str()
      ->type_name("NAME");
  app.add_option("--registry", settings.registry.address,
                 "Where podman, docker and others may pull and push (default: nowhere)")
      ->type_name("ADDRESS:PORT");
  app.add_option("--registry-cert", settings.registry.certificate_file,
                 "The registry's certificate and those above it, PEM (default: this host's of its "
                 "cluster)")
      ->type_name("FILE");
  app.add_option("--registry-key", settings.registry.key_file, "Its key, PEM")->type_name("FILE");
  app.add_option("--registry-cache", settings.registry.cache_bytes_max,
                 "Room for layers as the registry gives them out, 4G; 0: none")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false))
      ->default_str("4G")
      ->type_name("BYTES");
  app.add_flag("--registry-insecure", settings.registry.insecure,
               "Serve the registry without TLS: passwords can be read on the way");
  app.add_option("--metrics", settings.metrics,
                 "Where Prometheus may ask for /metrics, 127.0.0.1:9640; anybody who reaches it "
                 "may read it (default: nowhere)")
      ->type_name("ADDRESS:PORT");
  LogFormat log_format = LogFormat::kText;
  app.add_option("--log-format", log_format, "How the log on standard error is written")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, LogFormat>{{"text", LogFormat::kText}, {"json", LogFormat::kJson}}))
      ->default_str("text")
      ->type_name("text|json");
  app.add_flag("-v,--verbose", verbose, "Log more");
  const auto offline = [&](const char* name, const char* description) {
    CLI::App* command = app.add_subcommand(name, description);
    command->fallthrough();  // --state-dir and --fetch-from may come behind it.
    return command;
  };
  CLI::App* fsck = offline("fsck", "Instead of serving: check catalog, journal and all bytes");
  CLI::App* rebuild_catalog =
      offline("rebuild-catalog", "Instead of serving: make the catalog anew from its journal");
  bool adopt_unnamed = false;
  rebuild_catalog->add_flag("--adopt-unnamed", adopt_unnamed,
                            "Then make private images of root of layers without a name");
  CLI::App* rebuild_journal =
      offline("rebuild-journal", "Instead of serving: make the journal anew from the catalog");
  CLI::App* migrate = offline("migrate-catalog",
                              "Instead of serving: bring this host's records into another catalog");
  std::string migrate_to;
  migrate->add_option("--to", migrate_to, "own, or etcd://HOST:PORT[,...][/PREFIX]")->required();
  bool merge = false;
  migrate->add_flag("--merge", merge, "Also when other hosts' records are there");
  app.require_subcommand(0, 1);
  app.footer(
      "Ends cleanly on SIGTERM; may be killed at any time. Exit: 0 ended, 1 failed, 2 usage, "
      "8 damage found.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  settings.eviction.threshold = evict_above / 100.0;
  InitLog("imaged", verbose ? LogLevel::kDebug : LogLevel::kInfo, log_format);
  ::umask(0022);
  const std::string state = settings.state_dir + "/imaged";
  if (*migrate) return MigrateCommand(settings, migrate_to, merge);
  if (*fsck || *rebuild_catalog || *rebuild_journal) {
    if (const Status own = CheckOwnCatalog(state); !own.ok()) {
      LOG_ERROR(own.error().message());
      return 1;
    }
  }
  if (*rebuild_catalog) return RebuildCatalogCommand(state, adopt_unnamed);
  if (*rebuild_journal) return RebuildJournalCommand(state);
  if (*fsck) {
    auto fetchers = OpenFetchers(settings.sources);
    if (fetchers.ok()) return FsckCommand(state, std::move(*fetchers));
    LOG_ERROR(fetchers.error().message());
    return 2;
  }
  rpc::BlockStopSignals();
  if (!settings.peer_listen.empty()) {
    if (Status status = rpc::CheckAddress(settings.peer_listen); !status.ok()) {
      LOG_ERROR("--peer-listen: " + status.error().message());
      return 2;
    }
  }
  rpc::LogGrpcForDebugging();
  if (Status status = Serve(settings); !status.ok()) {
    LOG_ERROR(status.error().message());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace strata::imaged

int main(int argc, char** argv) {
  try {
    return strata::imaged::Main(argc, argv);
  } catch (const std::exception& e) {
    std::cerr << "imaged: " << e.what() << "\n";
    return 1;
  }
}
