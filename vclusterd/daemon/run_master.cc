#include <future>

#include "common/digest.h"
#include "common/file_io.h"
#include "common/log.h"
#include "common/records/etcd/etcd_record_store.h"
#include "common/rpc/local_server.h"
#include "common/rpc/tls_server.h"
#include "vclusterd/daemon/host_users.h"
#include "vclusterd/daemon/metrics.h"
#include "vclusterd/daemon/rental_site.h"
#include "vclusterd/daemon/rest_service.h"
#include "vclusterd/daemon/roles.h"
#include "vclusterd/master/credit_charger.h"
#include "vclusterd/master/leadership.h"
#include "vclusterd/master/single_host.h"
#include "vclusterd/master/tables.h"
#include "vclusterd/remote/master_service.h"
#include "vclusterd/remote/membership.h"
#include "vclusterd/service/class_service.h"
#include "vclusterd/service/job_service.h"
#include "vclusterd/service/move_service.h"
#include "vclusterd/service/provider_service.h"
#include "vclusterd/service/user_service.h"
#include "vclusterd/service/vcluster_service.h"

namespace strata::vcluster {
namespace {

constexpr std::chrono::seconds kShutdownGrace(2);
constexpr int kBeatsPerTakeover = 3;
constexpr int kLooksPerRecreation = 4;

Result<std::unique_ptr<records::RecordStore>> OpenStore(const Settings& settings,
                                                        const std::string& host) {
  if (settings.etcd.empty()) return OpenDesiredState(settings.state_dir);
  records::EtcdOptions options;
  ASSIGN_OR_RETURN(options.location, records::ParseEtcdLocation(settings.etcd));
  options.location.ca_file = settings.etcd_ca;
  options.location.certificate_file = settings.etcd_certificate;
  options.location.key_file = settings.etcd_key;
  options.location.insecure = settings.etcd_insecure;
  options.host = host;
  options.tables = DesiredTables();
  ASSIGN_OR_RETURN(auto store, records::EtcdRecordStore::Open(options));
  return std::unique_ptr<records::RecordStore>(std::move(store));
}

Result<std::optional<FabricOptions>> FabricOptionsOf(const Settings& settings,
                                                     const net::Ipv4Prefix& pool) {
  if (settings.fabric == "off") return std::optional<FabricOptions>();
  FabricOptions options;
  options.esp = settings.fabric == "esp";
  ASSIGN_OR_RETURN(options.prefix, net::Ipv4Prefix::Parse(settings.fabric_subnet),
                   "--fabric-subnet");
  if (options.prefix.length < 8 || options.prefix.length > 30) {
    return Error(Code::kInvalidArgument, "--fabric-subnet is a /8 to /30");
  }
  if (options.prefix.Overlaps(pool)) {
    return Error(Code::kInvalidArgument, "--fabric-subnet " + options.prefix.ToString() +
                                             " overlaps --subnet-pool " + pool.ToString());
  }
  return std::optional(options);
}

// What machines are rented with; nothing is when there is no file of providers.
class RentalOffice {
 public:
  static Result<std::unique_ptr<RentalOffice>> Open(const Settings& settings,
                                                    const Membership& membership,
                                                    records::RecordStore& store) {
    ASSIGN_OR_RETURN(ProviderFile file, ReadProviderFile(settings.providers));
    ASSIGN_OR_RETURN(auto cluster, imaged::ClusterClient::Connect(settings.imaged_socket));
    ASSIGN_OR_RETURN(const std::string authority, ReadFile(membership.AuthorityPath()));
    std::unique_ptr<RentalOffice> office(
        new RentalOffice(std::move(file), std::move(cluster), store));
    office->options_.tag_prefix =
        "strata-" + Hasher::Of(authority).Hex().substr(0, kClusterDigits) + "-";
    office->options_.masters = office->file_.masters.empty()
                                   ? membership.name() + "=" + settings.listen
                                   : office->file_.masters;
    office->placer_ = {settings.overcommit_cpus, settings.overcommit_memory};
    return office;
  }

  // Of a master that leads now. It ends before `master` does.
  Result<std::unique_ptr<Rentals>> Begin(Master& master) {
    site_ = MakeRentalSite(master, placer_, store_, *cluster_);
    std::vector<Rentals::Lender> lenders;
    for (const ProviderConfig& config : file_.providers) {
      lenders.push_back({config, std::make_unique<ExecProvider>(config.exec)});
    }
    ASSIGN_OR_RETURN(auto rentals, Rentals::Open(options_, std::move(lenders), *site_));
    master.WaitForRoom();
    return rentals;
  }

 private:
  static constexpr size_t kClusterDigits = 8;

  RentalOffice(ProviderFile file, std::unique_ptr<imaged::ClusterClient> cluster,
               records::RecordStore& store)
      : file_(std::move(file)), cluster_(std::move(cluster)), store_(store) {}

  const ProviderFile file_;
  const std::unique_ptr<imaged::ClusterClient> cluster_;
  records::RecordStore& store_;
  RentalOptions options_;
  PlacerOptions placer_;
  std::unique_ptr<RentalSite> site_;
};

// What there is while this master leads.
class LeaderRole {
 public:
  LeaderRole(HostSessionsOptions options, Membership& membership, records::RecordStore& store,
             Users& users, RentalOffice* office)
      : options_(options), membership_(membership), store_(store), users_(users), office_(office) {}

  void Won(Master& master) {
    std::shared_ptr<Rentals> rentals;
    if (office_ != nullptr) {
      auto begun = office_->Begin(master);
      if (begun.ok()) {
        rentals = Lend(std::move(*begun), &rentals_back_);
      } else {
        LOG_ERROR("no machines are rented: " + begun.error().message());
      }
    }
    auto sessions =
        Lend(std::make_unique<HostSessions>(options_, master, membership_), &sessions_back_);
    auto clusters = Lend(std::make_unique<Clusters>(master, users_), &clusters_back_);
    auto classes = Classes::Open(master, clusters, users_);
    if (!classes.ok()) LOG_ERROR("no classes: " + classes.error().message());
    if (!users_.credits().prices().IsNothing()) {
      charger_ = std::make_unique<CreditCharger>(store_, master, users_);
      charger_->Start();
    }
    const std::lock_guard lock(mutex_);
    sessions_ = std::move(sessions);
    clusters_ = std::move(clusters);
    if (classes.ok()) classes_ = std::move(*classes);
    rentals_ = std::move(rentals);
  }

  // Waits for calls that still use the master: they end, because it has been told to.
  void Lost(Master& master) {
    charger_.reset();
    std::shared_ptr<Classes> classes;
    {
      const std::lock_guard lock(mutex_);
      sessions_.reset();
      clusters_.reset();
      classes = std::move(classes_);
    }
    std::shared_ptr<Rentals> rentals;
    {
      const std::lock_guard lock(mutex_);
      rentals = std::exchange(rentals_, nullptr);
    }
    const bool rented = std::exchange(rentals, nullptr) != nullptr;
    if (rented) rentals_back_.wait();
    master.EndWaits();
    classes.reset();  // It holds the clusters.
    clusters_back_.wait();
    sessions_back_.wait();
  }

  std::shared_ptr<HostSessions> sessions() {
    const std::lock_guard lock(mutex_);
    return sessions_;
  }
  std::shared_ptr<Clusters> clusters() {
    const std::lock_guard lock(mutex_);
    return clusters_;
  }
  std::shared_ptr<Classes> classes() {
    const std::lock_guard lock(mutex_);
    return classes_;
  }
  std::shared_ptr<Rentals> rentals() {
    const std::lock_guard lock(mutex_);
    return rentals_;
  }

 private:
  // An object that calls hold for as long as they last; `back`: the last has let it go.
  template <typename T>
  static std::shared_ptr<T> Lend(std::unique_ptr<T> object, std::future<void>* back) {
    auto promise = std::make_shared<std::promise<void>>();
    *back = promise->get_future();
    return std::shared_ptr<T>(object.release(), [promise](T* last) {
      delete last;
      promise->set_value();
    });
  }

  const HostSessionsOptions options_;
  Membership& membership_;
  records::RecordStore& store_;
  Users& users_;
  RentalOffice* const office_;              // May be null.
  std::unique_ptr<CreditCharger> charger_;  // Of the thread of Leadership, as what follows.
  std::future<void> rentals_back_;
  std::future<void> sessions_back_;
  std::future<void> clusters_back_;
  std::mutex mutex_;  // Guards what follows.
  std::shared_ptr<HostSessions> sessions_;
  std::shared_ptr<Clusters> clusters_;
  std::shared_ptr<Classes> classes_;
  std::shared_ptr<Rentals> rentals_;
};

}  // namespace

Status RunMaster(const Settings& settings) {
  ASSIGN_OR_RETURN(const UniqueFd lock, LockState(settings.state_dir, "master"));
  ASSIGN_OR_RETURN(const auto membership, Membership::Open(settings.state_dir));
  ASSIGN_OR_RETURN(const net::Ipv4Prefix pool, net::Ipv4Prefix::Parse(settings.subnet_pool));
  ASSIGN_OR_RETURN(const auto store, OpenStore(settings, membership->name()));
  HostSessionsOptions sessions;
  sessions.lost_after = std::chrono::milliseconds(settings.host_lost_ms);
  sessions.report_every = sessions.lost_after / 7;
  ASSIGN_OR_RETURN(const auto host_users, HostUsers::Open(settings, *store));
  std::unique_ptr<RentalOffice> office;
  if (!settings.providers.empty()) {
    ASSIGN_OR_RETURN(office, RentalOffice::Open(settings, *membership, *store));
  }
  LeaderRole lead(sessions, *membership, *store, host_users->users(), office.get());
  Leadership::Options options;
  options.master = MakeMasterOptions(membership->name(), pool, host_users->users());
  ASSIGN_OR_RETURN(options.master.reserved, ReservedSubnets(settings));
  if (!settings.shared_dir.empty()) {
    ASSIGN_OR_RETURN(options.master.shared, SharedDir::Open(settings.shared_dir), "--shared-dir");
  }
  ASSIGN_OR_RETURN(options.master.fabric, FabricOptionsOf(settings, pool));
  options.master.placer = {settings.overcommit_cpus, settings.overcommit_memory};
  options.master.recreate_after = std::chrono::milliseconds(settings.recreate_ms);
  options.master.rebalance_every = std::chrono::seconds(settings.rebalance_every_s);
  // What depends on time is looked at often enough to be in time.
  options.master.every =
      std::min(options.master.every, options.master.recreate_after / kLooksPerRecreation);
  options.takeover_after = std::chrono::milliseconds(settings.takeover_ms);
  options.beat_every = options.takeover_after / kBeatsPerTakeover;
  // Destroyed behind the leadership, which ends the waits of operations that it waits for.
  std::unique_ptr<RestService> rest;
  Leadership leadership(
      options, *store, [&](Master& master) { lead.Won(master); },
      [&](Master& master) { lead.Lost(master); });

  std::vector<std::unique_ptr<grpc::Service>> for_hosts;
  for_hosts.push_back(MakeMasterService(
      [&] {
        return LeaderView{lead.sessions(), leadership.Leader(), lead.clusters()};
      },
      *membership));
  rpc::TlsServerOptions tls;
  tls.addresses = {settings.listen};
  tls.identity_path = membership->IdentityPath();
  tls.authority_path = membership->AuthorityPath();
  ASSIGN_OR_RETURN(const auto hosts, rpc::TlsServer::Start(tls, std::move(for_hosts)));
  const auto clusters = [&]() -> Result<std::shared_ptr<Clusters>> {
    if (auto own = lead.clusters()) return own;
    const std::string leader = leadership.Leader();
    return Error(Code::kUnavailable, leader.empty()
                                         ? "no master leads just now: try again in some seconds"
                                         : "host '" + leader + "' leads: ask its vclusterd");
  };
  const auto classes = [&]() -> Result<std::shared_ptr<Classes>> {
    if (auto own = lead.classes()) return own;
    ASSIGN_OR_RETURN([[maybe_unused]] const auto own_clusters, clusters());
    return Error(Code::kUnavailable, "templates and classes could not be read; see the log");
  };
  const auto rentals = [&]() -> Result<std::shared_ptr<Rentals>> {
    if (auto own = lead.rentals()) return own;
    ASSIGN_OR_RETURN([[maybe_unused]] const auto leads, clusters());
    return Error(Code::kFailedPrecondition,
                 "no machines are rented here (vclusterd master --providers FILE)");
  };
  ASSIGN_OR_RETURN(
      const auto users,
      rpc::LocalServer::Start(VclusterdSocket(settings.run_dir), [&](const rpc::Caller& caller) {
        std::vector<std::unique_ptr<grpc::Service>> services;
        services.push_back(MakeVclusterService(clusters, caller));
        services.push_back(MakeTemplateService(classes, caller));
        services.push_back(MakeClassService(classes, caller));
        services.push_back(MakeUserService(UserCallsOf(*host_users, clusters), caller));
        services.push_back(MakeJobService(clusters, caller));
        services.push_back(MakeMoveService(clusters, caller));
        services.push_back(MakeProviderService(clusters, rentals, caller));
        return services;
      }));
  std::unique_ptr<http::MetricsPage> metrics;
  if (!settings.metrics.empty()) {
    ASSIGN_OR_RETURN(metrics, http::MetricsPage::Start(settings.metrics, [&] {
                       const auto leading = lead.clusters();
                       http::MetricFamilies families;
                       if (leading != nullptr) families = MetricsOf(leading->master());
                       families.push_back(http::Gauge("strata_master_leads",
                                                      "1 on the master that leads, 0 on others",
                                                      leading != nullptr ? 1 : 0));
                       return families;
                     }));
    LOG_INFO("metrics are at port " + std::to_string(metrics->port()));
  }
  // Last: from here on until its Shutdown it asks the leadership.
  ASSIGN_OR_RETURN(rest, RestService::Start(settings, clusters, classes, host_users->users()));
  LOG_INFO("host " + membership->name() + " listens for workers at " + settings.listen);
  rpc::WaitForStopSignal();
  if (rest != nullptr) rest->Shutdown(kShutdownGrace);
  users->Shutdown(kShutdownGrace);
  hosts->Shutdown(kShutdownGrace);
  return Ok();
}

}  // namespace strata::vcluster
