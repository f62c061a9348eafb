#include "common/log.h"
#include "common/rpc/local_server.h"
#include "common/rpc/tls_server.h"
#include "imaged/client/host_image_client.h"
#include "net/apply.h"
#include "vclusterd/daemon/roles.h"
#include "vclusterd/host/host_capacity.h"
#include "vclusterd/host/host_nodes.h"
#include "vclusterd/remote/fence.h"
#include "vclusterd/remote/membership.h"
#include "vclusterd/remote/worker_client.h"
#include "vclusterd/remote/worker_service.h"

namespace strata::vcluster {
namespace {

constexpr std::chrono::seconds kShutdownGrace(2);

// Passes on what nodes do, as long as there is somebody to tell.
class Teller {
 public:
  void Set(WorkerClient* client) {
    const std::lock_guard lock(mutex_);
    client_ = client;
  }
  void Tell(const host::v1::PartStatus& status) {
    const std::lock_guard lock(mutex_);
    if (client_ != nullptr) client_->Tell(status);
  }

 private:
  std::mutex mutex_;  // Guards client_.
  WorkerClient* client_ = nullptr;
};

Result<std::vector<std::string>> AddressesOf(const HostLayout& host) {
  ASSIGN_OR_RETURN(const auto links, net::ObserveLinks());
  std::vector<std::string> addresses;
  for (const net::ObservedLink& link : links) {
    if (link.name.starts_with("s" + host.instance)) continue;  // Of our Vclusters.
    for (const net::Ipv4Prefix& address : link.addresses) addresses.push_back(address.ToString());
  }
  return addresses;
}

}  // namespace

Status RunWorker(const Settings& settings) {
  ASSIGN_OR_RETURN(const UniqueFd lock, LockState(settings.state_dir, "worker"));
  ASSIGN_OR_RETURN(const auto masters, ParseMasters(settings.masters));
  ASSIGN_OR_RETURN(const auto membership, Membership::Open(settings.state_dir));
  ASSIGN_OR_RETURN(HostConfig config, MakeHostConfig(settings));
  ASSIGN_OR_RETURN(config.underlay,
                   net::Ipv4::Parse(settings.listen.substr(0, settings.listen.rfind(':'))),
                   "--listen");
  config.underlay_mtu = settings.underlay_mtu;
  config.vxlan_port = settings.vxlan_port;
  ASSIGN_OR_RETURN(const auto images, imaged::HostImageClient::Connect(settings.imaged_socket));
  Teller teller;
  ASSIGN_OR_RETURN(const auto nodes,
                   HostNodes::Open(config, *images, [&](const host::v1::PartStatus& status) {
                     teller.Tell(status);
                   }));
  std::set<std::string> names;
  for (const MasterAddress& master : masters) names.insert(master.host);
  Obedience obedience(names);
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(MakeWorkerService(*nodes, *membership, obedience));
  rpc::TlsServerOptions tls;
  tls.addresses = {settings.listen};
  tls.identity_path = membership->IdentityPath();
  tls.authority_path = membership->AuthorityPath();
  ASSIGN_OR_RETURN(const auto server, rpc::TlsServer::Start(tls, std::move(services)));
  WorkerClient::Options options;
  options.masters = masters;
  options.address = settings.listen;
  ASSIGN_OR_RETURN(options.capacity, CapacityOf(config));
  options.capacity.mutable_labels()->Assign(settings.labels.begin(), settings.labels.end());
  {
    Fence fence(std::chrono::milliseconds(settings.fence_ms), [&] { nodes->PauseFenced(); });
    WorkerClient client(
        options, *membership, [&] { return nodes->Statuses(/*with_usage=*/false); },
        [&] { return AddressesOf(config.host); },
        [&](Fence::Clock::time_point begun) { fence.Heard(begun); });
    teller.Set(&client);
    LOG_INFO("host " + membership->name() + " listens for masters at " + settings.listen);
    rpc::WaitForStopSignal();
    teller.Set(nullptr);
  }
  server->Shutdown(kShutdownGrace);
  LOG_INFO("ends; the nodes run on");
  return Ok();
}

}  // namespace strata::vcluster
