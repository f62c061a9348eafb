#include "common/file_io.h"
#include "common/log.h"
#include "common/mount.h"
#include "common/rpc/local_server.h"
#include "imaged/client/host_image_client.h"
#include "net/client/vnetd_client.h"
#include "vclusterd/daemon/host_users.h"
#include "vclusterd/daemon/metrics.h"
#include "vclusterd/daemon/rest_service.h"
#include "vclusterd/daemon/roles.h"
#include "vclusterd/master/single_host.h"
#include "vclusterd/master/tables.h"
#include "vclusterd/master/upgrade.h"
#include "vclusterd/service/class_service.h"
#include "vclusterd/service/job_service.h"
#include "vclusterd/service/move_service.h"
#include "vclusterd/service/user_service.h"
#include "vclusterd/service/vcluster_service.h"

namespace strata::vcluster {
namespace {

constexpr std::chrono::seconds kShutdownGrace(2);

// Everything of this host goes, whoever ordered it; and the records of Vclusters, which would have
// it made anew. Users stay.
Status TakeDown(records::RecordStore& store, const HostConfig& config,
                imaged::HostImageClient& images) {
  ASSIGN_OR_RETURN(const auto nodes,
                   HostNodes::Open(config, images, [](const host::v1::PartStatus&) {}));
  RETURN_IF_ERROR(nodes->RemoveAll(/*force=*/true));
  RETURN_IF_ERROR(Unmount(config.object_mount->mountpoint, /*lazy=*/true));
  std::vector<std::string> keys;
  RETURN_IF_ERROR(
      store.Scan(kVclustersTable, "", [&](const std::string& key, const std::string&) -> Status {
        keys.push_back(key);
        return Ok();
      }));
  for (const std::string& key : keys) RETURN_IF_ERROR(store.Delete(kVclustersTable, key));
  return Ok();
}

// The directories with the volumes of all Vclusters.
Result<std::vector<std::string>> VolumesOf(records::RecordStore& store) {
  std::vector<std::string> directories;
  RETURN_IF_ERROR(store.Scan(
      kVclustersTable, "", [&](const std::string& key, const std::string& value) -> Status {
        ASSIGN_OR_RETURN(const VclusterPtr vcluster, ParseVcluster(value),
                         "record of Vcluster " + key);
        const master::v1::Vcluster& record = vcluster->record;
        if (record.volume_ids() == 0) return Ok();
        directories.push_back(VolumesDirectory(record.number(), record.created_unix_ms()));
        return Ok();
      }));
  return directories;
}

// Homes stay: they are their owners'.
Status DeleteVolumes(const std::string& shared_dir, const std::vector<std::string>& directories) {
  if (directories.empty()) return Ok();
  ASSIGN_OR_RETURN(const SharedDir shared, SharedDir::Open(shared_dir));
  for (const std::string& directory : directories) RETURN_IF_ERROR(shared.Discard(directory));
  return shared.EmptyTrash(CancelToken());
}

}  // namespace

Status RunSingleHost(const Settings& settings) {
  ASSIGN_OR_RETURN(const UniqueFd lock, LockState(settings.state_dir, "vclusterd"));
  ASSIGN_OR_RETURN(HostConfig config, MakeHostConfig(settings));
  ASSIGN_OR_RETURN(config.pool6, ChoosePool6(settings, config.host.instance));
  if (config.shared_dir.empty()) {
    config.shared_dir = settings.state_dir + "/vclusterd/shared";
    RETURN_IF_ERROR(MakeDirectories(config.shared_dir));
  }
  ASSIGN_OR_RETURN(const auto images, imaged::HostImageClient::Connect(settings.imaged_socket));
  ASSIGN_OR_RETURN(auto store, OpenDesiredState(settings.state_dir));
  RETURN_IF_ERROR(UpgradeState(settings.state_dir, *store));
  if (settings.down) {
    // What has to go may be all that is left of this Strata.
    if (!net::ConnectVnetd(config.vnetd_socket).ok()) config.vnetd_socket.clear();
    ASSIGN_OR_RETURN(const std::vector<std::string> volumes, VolumesOf(*store));
    RETURN_IF_ERROR(TakeDown(*store, config, *images));
    return DeleteVolumes(config.shared_dir, volumes);
  }
  ASSIGN_OR_RETURN(const auto users, HostUsers::Open(settings, *store));
  ASSIGN_OR_RETURN(const auto host,
                   SingleHost::Open(config, *images, *store, users->users(),
                                    {settings.overcommit_cpus, settings.overcommit_memory}));
  ASSIGN_OR_RETURN(const auto classes,
                   Classes::Open(host->master(), host->clusters(), users->users()));
  const auto class_source = [&]() -> Result<std::shared_ptr<Classes>> { return classes; };
  const auto clusters = [&]() -> Result<std::shared_ptr<Clusters>> { return host->clusters(); };
  ASSIGN_OR_RETURN(
      const auto server,
      rpc::LocalServer::Start(VclusterdSocket(settings.run_dir), [&](const rpc::Caller& caller) {
        std::vector<std::unique_ptr<grpc::Service>> services;
        services.push_back(MakeVclusterService(clusters, caller));
        services.push_back(MakeTemplateService(class_source, caller));
        services.push_back(MakeClassService(class_source, caller));
        services.push_back(MakeUserService(UserCallsOf(*users, clusters), caller));
        services.push_back(MakeJobService(clusters, caller));
        services.push_back(MakeMoveService(clusters, caller));
        return services;
      }));
  ASSIGN_OR_RETURN(const auto rest,
                   RestService::Start(settings, clusters, class_source, users->users()));
  std::unique_ptr<http::MetricsPage> metrics;
  if (!settings.metrics.empty()) {
    ASSIGN_OR_RETURN(metrics, http::MetricsPage::Start(settings.metrics, [&] {
                       http::MetricFamilies families = MetricsOf(host->master());
                       for (auto& family : MetricsOf(host->nodes())) {
                         families.push_back(std::move(family));
                       }
                       return families;
                     }));
    LOG_INFO("metrics are at port " + std::to_string(metrics->port()));
  }
  LOG_INFO("serves " + VclusterdSocket(settings.run_dir) + ", driver " +
           std::string(layerfs::DriverName(config.driver)) + ", volumes " +
           std::string(layerfs::VolumeKindName(config.volumes)));
  rpc::WaitForStopSignal();
  server->Shutdown(kShutdownGrace);
  if (rest != nullptr) rest->Shutdown(kShutdownGrace);
  host->EndWaits();  // Whoever waits is waited for by what is destroyed now.
  LOG_INFO("ends; the nodes run on");
  return Ok();
}

}  // namespace strata::vcluster
