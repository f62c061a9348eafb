#include <algorithm>
#include <charconv>

#include "common/file_io.h"
#include "common/log.h"
#include "common/rpc/local_server.h"
#include "common/rpc/tls_server.h"
#include "imaged/client/host_image_client.h"
#include "net/apply.h"
#include "vclusterd/daemon/metrics.h"
#include "vclusterd/daemon/roles.h"
#include "vclusterd/host/host_capacity.h"
#include "vclusterd/host/host_nodes.h"
#include "vclusterd/remote/fence.h"
#include "vclusterd/remote/leader_desk.h"
#include "vclusterd/remote/membership.h"
#include "vclusterd/remote/worker_client.h"
#include "vclusterd/remote/worker_fabric.h"
#include "vclusterd/remote/worker_service.h"

namespace strata::vcluster {
namespace {

constexpr std::chrono::seconds kShutdownGrace(2);
constexpr char kBootIdPath[] = "/proc/sys/kernel/random/boot_id";
constexpr size_t kHeardBytesMax = 256;
constexpr uint32_t kEthernetMtu = 1500;

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
  void TellFabric() {
    const std::lock_guard lock(mutex_);
    if (client_ != nullptr) client_->TellFabric();
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

// When a master was heard last, by whichever process of this worker since the host was booted.
std::optional<Obedience::Clock::time_point> ReadHeard(const std::string& path) {
  const auto boot = ReadFile(kBootIdPath, kHeardBytesMax);
  const auto kept = ReadFile(path, kHeardBytesMax);
  if (!boot.ok() || !kept.ok() || !kept->starts_with(*boot)) return std::nullopt;
  int64_t ns = 0;
  const auto read = std::from_chars(kept->data() + boot->size(), kept->data() + kept->size(), ns);
  if (read.ec != std::errc()) return std::nullopt;
  const Obedience::Clock::time_point heard{std::chrono::nanoseconds(ns)};
  if (heard > Obedience::Clock::now()) return std::nullopt;
  return heard;
}

void KeepHeard(const std::string& path, Obedience::Clock::time_point heard) {
  auto text = ReadFile(kBootIdPath, kHeardBytesMax);
  if (!text.ok()) return;  // Then the next process begins in silence.
  *text += std::to_string(std::chrono::nanoseconds(heard.time_since_epoch()).count());
  if (Status kept = WriteFileAtomically(path, *text, 0600); !kept.ok()) {
    LOG_WARNING(kept.error().message());
  }
}

// MTU of what leads from this address to other hosts. Of a larger one than there is nodes' large
// frames would be lost between hosts without a word.
Result<uint32_t> MtuOfUnderlay(const Settings& settings, net::Ipv4 address) {
  ASSIGN_OR_RETURN(const auto links, net::ObserveLinks());
  for (const net::ObservedLink& link : links) {
    const bool is_ours =
        std::any_of(link.addresses.begin(), link.addresses.end(),
                    [&](const net::Ipv4Prefix& one) { return one.base == address; });
    if (!is_ours) continue;
    if (settings.underlay_mtu == 0) {
      // Loopback has no network behind it.
      return link.mtu >= net::kUnderlayMtuMax ? kEthernetMtu : link.mtu;
    }
    if (link.mtu >= settings.underlay_mtu) break;
    return Error(Code::kFailedPrecondition,
                 "link " + link.name + " with " + address.ToString() + " has an MTU of " +
                     std::to_string(link.mtu) + ", --underlay-mtu is " +
                     std::to_string(settings.underlay_mtu) + ": leave that out, or raise it");
  }
  return settings.underlay_mtu == 0 ? kEthernetMtu : settings.underlay_mtu;
}

Status SetUnderlay(const Settings& settings, HostConfig* config) {
  ASSIGN_OR_RETURN(config->underlay,
                   net::Ipv4::Parse(settings.listen.substr(0, settings.listen.rfind(':'))),
                   "--listen");
  ASSIGN_OR_RETURN(config->link_mtu, MtuOfUnderlay(settings, *config->underlay));
  if (config->link_mtu < net::kUnderlayMtuMin) {
    return Error(Code::kFailedPrecondition,
                 "the link with " + config->underlay->ToString() + " has an MTU of " +
                     std::to_string(config->link_mtu) + ": overlays need " +
                     std::to_string(net::kUnderlayMtuMin));
  }
  // Of Vclusters whose masters did not say; those had this one.
  config->underlay_mtu =
      settings.underlay_mtu == 0 ? std::min(config->link_mtu, kEthernetMtu) : settings.underlay_mtu;
  config->vxlan_port = settings.vxlan_port;
  config->fabric_port = settings.fabric_port;
  if (settings.fabric_endpoint == "none") return Ok();
  std::string endpoint = settings.fabric_endpoint;
  if (endpoint.empty()) endpoint = config->underlay->ToString();
  if (endpoint.find(':') == std::string::npos) {
    endpoint += ":" + std::to_string(settings.fabric_port);
  }
  ASSIGN_OR_RETURN(config->fabric_endpoint, net::Endpoint::Parse(endpoint), "--fabric-endpoint");
  const bool given = !settings.fabric_endpoint.empty();
  if (given && (!config->fabric_endpoint->ipv4() || !config->fabric_endpoint->IsOfAHost())) {
    return Error(Code::kInvalidArgument,
                 "--fabric-endpoint is an IPv4 address that other hosts reach, or none");
  }
  return Ok();
}

}  // namespace

Status RunWorker(const Settings& settings) {
  ASSIGN_OR_RETURN(const UniqueFd lock, LockState(settings.state_dir, "worker"));
  ASSIGN_OR_RETURN(const auto masters, ParseMasters(settings.masters));
  ASSIGN_OR_RETURN(const auto membership, Membership::Open(settings.state_dir));
  ASSIGN_OR_RETURN(HostConfig config, MakeHostConfig(settings));
  ASSIGN_OR_RETURN(const std::string authority, ReadFile(membership->AuthorityPath()));
  ASSIGN_OR_RETURN(config.pool6, ChoosePool6(settings, authority));
  RETURN_IF_ERROR(SetUnderlay(settings, &config));
  Obedience::Options obeys;
  for (const MasterAddress& master : masters) obeys.masters.insert(master.host);
  obeys.fence_after = std::chrono::milliseconds(settings.fence_ms);
  const std::string heard_path = settings.run_dir + "/heard";
  obeys.heard = ReadHeard(heard_path);
  obeys.keep = [&](Obedience::Clock::time_point heard) { KeepHeard(heard_path, heard); };
  config.begins_silent =
      !obeys.heard || Obedience::Clock::now() - *obeys.heard >= obeys.fence_after;
  if (config.begins_silent) obeys.heard.reset();
  Obedience obedience(std::move(obeys));
  ASSIGN_OR_RETURN(const auto images, imaged::HostImageClient::Connect(settings.imaged_socket));
  Teller teller;
  ASSIGN_OR_RETURN(const auto nodes,
                   HostNodes::Open(config, *images, [&](const host::v1::PartStatus& status) {
                     teller.Tell(status);
                   }));
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(MakeWorkerService(*nodes, *membership, obedience));
  services.push_back(MakeWorkerImageService(*nodes, *membership, obedience));
  rpc::TlsServerOptions tls;
  tls.addresses = {settings.listen};
  // Masters call a host behind a NAT by its address in the fabric, which it does not have yet.
  if (!config.fabric_endpoint) {
    tls.addresses = {"0.0.0.0" + settings.listen.substr(settings.listen.rfind(':'))};
  }
  tls.identity_path = membership->IdentityPath();
  tls.authority_path = membership->AuthorityPath();
  ASSIGN_OR_RETURN(const auto server, rpc::TlsServer::Start(tls, std::move(services)));
  WorkerClient::Options options;
  options.masters = masters;
  options.address = settings.listen;
  ASSIGN_OR_RETURN(options.capacity, CapacityOf(config));
  options.underlay_mtu = config.link_mtu;
  options.capacity.mutable_labels()->Assign(settings.labels.begin(), settings.labels.end());
  {
    const Fence fence(obedience, [&] { nodes->PauseFenced(); });
    WorkerFabric fabric(*nodes, [&] { teller.TellFabric(); });
    WorkerClient client(
        options, *membership, obedience, [&] { return nodes->Statuses(/*with_usage=*/false); },
        [&] { return AddressesOf(config.host); }, [&] { return nodes->Load(); },
        {[&] { return fabric.Report(); },
         [&](const host::v1::FabricOrder& order) { fabric.Take(order); }});
    std::unique_ptr<http::MetricsPage> metrics;
    if (!settings.metrics.empty()) {
      ASSIGN_OR_RETURN(
          metrics, http::MetricsPage::Start(settings.metrics, [&] { return MetricsOf(*nodes); }));
      LOG_INFO("metrics are at port " + std::to_string(metrics->port()));
    }
    // From here on it is used until it is taken away below.
    teller.Set(&client);
    nodes->SetDesk(std::make_shared<LeaderDesk>(client));
    LOG_INFO("host " + membership->name() + " listens for masters at " + settings.listen);
    rpc::WaitForStopSignal();
    nodes->SetDesk(nullptr);
    teller.Set(nullptr);
  }
  server->Shutdown(kShutdownGrace);
  LOG_INFO("ends; the nodes run on");
  return Ok();
}

}  // namespace strata::vcluster
