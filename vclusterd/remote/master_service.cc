#include "vclusterd/remote/master_service.h"

#include "vclusterd/api/worker.grpc.pb.h"
#include "vclusterd/remote/guarded.h"
#include "vclusterd/remote/remote_host.h"

namespace strata::vcluster {
namespace {

// The host's own addresses, which subnets must not overlap, as links.
Result<std::vector<net::ObservedLink>> LinksOf(const host::v1::HelloRequest& request) {
  net::ObservedLink link;
  link.name = "of the host";
  link.up = true;
  for (const std::string& text : request.used_addresses()) {
    ASSIGN_OR_RETURN(const net::Ipv4Prefix prefix, net::Ipv4Prefix::Parse(text));
    link.addresses.push_back(prefix);
  }
  return std::vector<net::ObservedLink>{std::move(link)};
}

// "10.0.0.2" of "10.0.0.2:7444": the worker listens where the other hosts reach it.
std::string HostPartOf(const std::string& address) { return address.substr(0, address.rfind(':')); }

class MasterServiceImpl final : public host::v1::MasterService::Service {
 public:
  MasterServiceImpl(FindLeader find, Membership& membership)
      : find_(std::move(find)), membership_(membership) {}

  grpc::Status Hello(grpc::ServerContext* context, const host::v1::HelloRequest* request,
                     host::v1::HelloResponse* response) override {
    return ForHost(membership_, context, "hello", [&](const std::string& host) -> Status {
      const LeaderView leader = find_();
      response->set_leader(leader.leader);
      if (leader.sessions == nullptr) return Ok();
      RETURN_IF_ERROR(leader.sessions->Hello(host, *request, response));
      response->set_leads(response->epoch() != 0);
      return Ok();
    });
  }

  grpc::Status Report(grpc::ServerContext* context, const host::v1::ReportRequest* request,
                      host::v1::ReportResponse* response) override {
    return ForHost(membership_, context, "report", [&](const std::string& host) -> Status {
      const LeaderView leader = find_();
      if (leader.sessions == nullptr) {
        return Error(Code::kFailedPrecondition, "this master does not lead");
      }
      return leader.sessions->Report(host, *request, response);
    });
  }

  grpc::Status NodeToken(grpc::ServerContext* context, const host::v1::NodeTokenRequest* request,
                         host::v1::NodeTokenResponse* response) override {
    return ForNode(context, "token of a node", response,
                   [&](Clusters& clusters, const std::string& host) {
                     return clusters.MakeNodeToken(host, *request);
                   });
  }

  grpc::Status NodeAsk(grpc::ServerContext* context, const host::v1::NodeAskRequest* request,
                       host::v1::NodeAskResponse* response) override {
    return ForNode(context, "a node asks", response,
                   [&](Clusters& clusters, const std::string& host) {
                     return clusters.AnswerNode(host, *request);
                   });
  }

 private:
  template <typename Response, typename Call>
  grpc::Status ForNode(grpc::ServerContext* context, const char* what, Response* response,
                       const Call& call) {
    return ForHost(membership_, context, what, [&](const std::string& host) -> Status {
      const LeaderView leader = find_();
      if (leader.clusters == nullptr) {
        return Error(Code::kUnavailable, "no master leads just now: try again");
      }
      ASSIGN_OR_RETURN(*response, call(*leader.clusters, host));
      return Ok();
    });
  }

  const FindLeader find_;
  Membership& membership_;
};

}  // namespace

HostSessions::HostSessions(HostSessionsOptions options, Master& master, Membership& membership)
    : HostSessions(
          std::move(options), master,
          [&membership, epoch = master.epoch()](
              const std::string& host,
              const host::v1::HelloRequest& request) -> Result<std::shared_ptr<HostLink>> {
            ASSIGN_OR_RETURN(std::vector<net::ObservedLink> links, LinksOf(request));
            ASSIGN_OR_RETURN(const auto channel, membership.Connect(request.address(), host),
                             "the worker's address");
            return std::make_shared<RemoteHost>(host, channel, epoch, request, std::move(links),
                                                HostPartOf(request.address()));
          }) {}

HostSessions::HostSessions(HostSessionsOptions options, Master& master, MakeLink make_link)
    : options_(std::move(options)), master_(master), make_link_(std::move(make_link)) {
  if (options_.steady_now) return;
  watcher_ = std::jthread([this](const std::stop_token& stop) { Watch(stop); });
}

HostSessions::~HostSessions() {
  if (watcher_.joinable()) {
    watcher_.request_stop();
    watcher_.join();
  }
  for (const auto& [host, session] : sessions_) master_.RemoveHost(host, session.link.get());
}

Status HostSessions::Hello(const std::string& host, const host::v1::HelloRequest& request,
                           host::v1::HelloResponse* response) {
  if (!master_.Leads()) return Error(Code::kUnavailable, "it is not sure that this master leads");
  host::v1::HelloRequest reached = request;
  Master::InFabric in_fabric = master_.ReachInFabric(host, request.fabric());
  if (in_fabric.first) {
    *response->mutable_fabric() = std::move(*in_fabric.first);
    return Ok();
  }
  if (!in_fabric.address.empty()) {
    reached.set_address(in_fabric.address + request.address().substr(request.address().rfind(':')));
  }
  ASSIGN_OR_RETURN(const auto link, make_link_(host, reached));
  std::shared_ptr<std::mutex> joining;
  {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<std::mutex>& of_host = joining_[host];
    if (of_host == nullptr) of_host = std::make_shared<std::mutex>();
    joining = of_host;
  }
  // Joining waits for the end of orders to an earlier link; a worker may not wait for so long.
  const std::lock_guard one_at_a_time(*joining);
  {
    const std::lock_guard lock(mutex_);
    Session& session = sessions_[host];
    if (request.session() < session.number || request.hello() <= session.hello) {
      return Error(Code::kFailedPrecondition, "a later hello of host '" + host + "' is here");
    }
    session = {request.session(), request.hello(), link, Now()};
  }
  master_.AddHost(host, link, {request.parts().begin(), request.parts().end()});
  bool ended = false;  // It took so long.
  {
    const std::lock_guard lock(mutex_);
    const auto session = sessions_.find(host);
    ended = session == sessions_.end() || session->second.link != link;
  }
  if (ended) {
    master_.RemoveHost(host, link.get());
    return Error(Code::kUnavailable, "host '" + host + "' has to say hello again");
  }
  response->set_epoch(master_.epoch());
  if (auto order = master_.ReportFabric(host, request.fabric())) {
    *response->mutable_fabric() = std::move(*order);
  }
  response->set_report_every_ms(static_cast<uint32_t>(options_.report_every.count()));
  LOG_INFO("host " + host + " is there, at " + reached.address());
  return Ok();
}

Status HostSessions::Report(const std::string& host, const host::v1::ReportRequest& request,
                            host::v1::ReportResponse* response) {
  // Who is heard need not stop what may run elsewhere soon, so only a leader may hear.
  if (!master_.Leads()) return Error(Code::kUnavailable, "it is not sure that this master leads");
  {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(host);
    if (found == sessions_.end() || found->second.number != request.session() ||
        request.epoch() != master_.epoch()) {
      return Error(Code::kFailedPrecondition, "say hello again");
    }
    found->second.heard = Now();
    if (request.has_load()) found->second.link->SetLoad(request.load());
  }
  for (const host::v1::PartStatus& part : request.parts()) master_.Report(host, part);
  if (auto order = master_.ReportFabric(host, request.fabric())) {
    *response->mutable_fabric() = std::move(*order);
  }
  return Ok();
}

void HostSessions::Watch(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Look();
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, stop, options_.lost_after / 5, [] { return false; });
  }
}

void HostSessions::Look() {
  std::vector<std::pair<std::string, std::shared_ptr<HostLink>>> lost;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = sessions_.begin(); it != sessions_.end();) {
      if (Now() - it->second.heard < options_.lost_after) {
        ++it;
        continue;
      }
      lost.emplace_back(it->first, it->second.link);
      it = sessions_.erase(it);
    }
  }
  for (const auto& [host, link] : lost) {
    LOG_WARNING("host " + host + " is lost: nothing was heard of it for " +
                std::to_string(options_.lost_after.count() / 1000) + " s");
    master_.RemoveHost(host, link.get());
  }
}

std::unique_ptr<grpc::Service> MakeMasterService(FindLeader find, Membership& membership) {
  return std::make_unique<MasterServiceImpl>(std::move(find), membership);
}

}  // namespace strata::vcluster
