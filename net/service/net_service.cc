#include "net/service/net_service.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>

#include "common/rpc/status.h"
#include "net/api/net.grpc.pb.h"
#include "net/apply.h"
#include "net/connections.h"
#include "net/doctor.h"
#include "net/fabric_doctor.h"
#include "net/ipsec_policies.h"
#include "net/message.h"
#include "net/path_check.h"
#include "net/rule_counters.h"
#include "net/trace.h"

namespace strata::net {
namespace {

// How soon a watch notices that nobody listens any more.
constexpr std::chrono::milliseconds kWatchTurn(250);
constexpr std::chrono::seconds kEchoPatience(1);

v1::NetworkEvent EventMessage(const NetworkKeeper::Event& event) {
  v1::NetworkEvent message;
  message.set_unix_ms(event.unix_ms);
  message.set_repair(event.repair);
  message.mutable_changes()->Assign(event.changes.begin(), event.changes.end());
  message.set_problem(event.problem);
  return message;
}

std::string Text(const std::optional<PublicKey>& key) { return key ? key->ToString() : ""; }

v1::FabricState StateMessage(const FabricView& view) {
  v1::FabricState message;
  message.set_key(view.key.ToString());
  message.set_next_key(Text(view.next_key));
  message.set_session(Text(view.session));
  message.set_driver(view.driver);
  message.set_device(view.device);
  message.set_mtu(view.mtu);
  for (const FabricView::Peer& peer : view.peers) {
    v1::FabricPeerState* out = message.add_peers();
    out->set_host(peer.host);
    out->set_address(peer.address.ToString());
    if (peer.endpoint) out->set_endpoint(peer.endpoint->ToString());
    out->set_last_handshake_unix_ms(
        std::chrono::duration_cast<std::chrono::milliseconds>(peer.last_handshake).count());
    out->set_received_bytes(peer.received_bytes);
    out->set_sent_bytes(peer.sent_bytes);
    out->set_unreachable(peer.unreachable);
  }
  return message;
}

class NetServiceImpl final : public v1::NetService::Service {
 public:
  NetServiceImpl(NetworkKeeper& keeper, NetworkEvents& events, std::string source,
                 rpc::Caller caller)
      : keeper_(keeper), events_(events), source_(std::move(source)), caller_(caller) {}

  grpc::Status Put(grpc::ServerContext*, const v1::PutRequest* request, v1::PutResponse*) override {
    return rpc::ToGrpc(PutFor(*request));
  }

  grpc::Status Plan(grpc::ServerContext*, const v1::PlanRequest* request,
                    v1::PlanResponse* response) override {
    return rpc::ToGrpc(PlanFor(*request, response));
  }

  grpc::Status Show(grpc::ServerContext*, const v1::ShowRequest*,
                    v1::ShowResponse* response) override {
    if (Status allowed = Allowed(); !allowed.ok()) return rpc::ToGrpc(allowed);
    const NetworkKeeper::State state = keeper_.Look();
    if (state.desired.has_value()) {
      if (Status added = AddNetworks(*state.desired, response); !added.ok()) {
        return rpc::ToGrpc(added);
      }
    }
    if (state.problem.has_value()) response->set_problem(state.problem->message());
    response->set_source(source_);
    response->set_looks(state.looks);
    response->set_repairs(state.repairs);
    response->set_last_repair_unix_ms(state.last_repair_unix_ms);
    response->set_joins_links(keeper_.JoinsLinks());
    response->set_node_checksums(keeper_.NeedsChecksums());
    if (keeper_.ServesNames()) AddNameService(state, response->mutable_name_service());
    if (state.fast_frames.has_value()) response->set_fast_frames(*state.fast_frames);
    if (!state.desired.has_value()) return grpc::Status::OK;
    if (state.desired->fabric) {
      const auto fabric = keeper_.LookAtFabric();
      if (fabric.ok()) *response->mutable_fabric() = StateMessage(*fabric);
      if (!fabric.ok()) response->set_fabric_problem(fabric.error().message());
    }
    const auto counters = ReadCounters(state.desired->instance);
    if (!counters.ok()) {
      // The rest is of use, and of more when something is wrong.
      if (!state.problem.has_value()) response->set_problem(counters.error().message());
      return grpc::Status::OK;
    }
    for (const RuleCounter& counter : *counters) {
      v1::RuleCounter* out = response->add_counters();
      out->set_name(counter.name);
      out->set_packets(counter.packets);
      out->set_bytes(counter.bytes);
    }
    return grpc::Status::OK;
  }

  grpc::Status Fabric(grpc::ServerContext*, const v1::FabricRequest*,
                      v1::FabricState* response) override {
    if (Status allowed = Allowed(); !allowed.ok()) return rpc::ToGrpc(allowed);
    const auto view = keeper_.LookAtFabric();
    if (!view.ok()) return rpc::ToGrpc(view.error());
    *response = StateMessage(*view);
    return grpc::Status::OK;
  }

  grpc::Status Trace(grpc::ServerContext*, const v1::TraceRequest* request,
                     v1::TraceResponse* response) override {
    return rpc::ToGrpc(TraceFor(*request, response));
  }

  grpc::Status Examine(grpc::ServerContext*, const v1::ExamineRequest*,
                       v1::ExamineResponse* response) override {
    return rpc::ToGrpc(ExamineFor(response));
  }

  grpc::Status Watch(grpc::ServerContext* context, const v1::WatchRequest*,
                     grpc::ServerWriter<v1::NetworkEvent>* writer) override {
    if (Status allowed = Allowed(); !allowed.ok()) return rpc::ToGrpc(allowed);
    uint64_t seen = events_.count();
    writer->SendInitialMetadata();  // From here on nothing is missed.
    while (!context->IsCancelled()) {
      for (const NetworkKeeper::Event& event : events_.After(&seen, kWatchTurn)) {
        if (!writer->Write(EventMessage(event))) return grpc::Status::OK;
      }
    }
    return grpc::Status::OK;
  }

 private:
  static void AddNameService(const NetworkKeeper::State& state, v1::NameService* out) {
    if (state.names_problem) out->set_problem(state.names_problem->message());
    out->set_questions(state.name_counts.questions);
    out->set_own(state.name_counts.own);
    out->set_own_none(state.name_counts.own_none);
    out->set_passed_on(state.name_counts.passed_on);
    out->set_refused(state.name_counts.refused);
    out->set_malformed(state.name_counts.malformed);
    out->set_over_limit(state.name_counts.over_limit);
    out->set_failed(state.name_counts.failed);
  }

  Status Allowed() const {
    if (caller_.IsRoot()) return Ok();
    return Error(Code::kPermissionDenied, "only root may do this");
  }

  static Status AddNetworks(const DesiredNetwork& desired, v1::ShowResponse* response) {
    *response->mutable_networks() = ToMessage(desired);
    for (v1::Network& network : *response->mutable_networks()->mutable_networks()) {
      const auto bridge =
          std::find_if(desired.bridges.begin(), desired.bridges.end(),
                       [&](const Bridge& one) { return one.number == network.number(); });
      if (bridge->has_ipv6()) AddAddresses6(*bridge, &network);
      for (v1::LocalNode& node : *network.mutable_nodes()) {
        const Ipv4 address = bridge->prefix.Host(kFirstNodeHost + node.index());
        node.set_address(address.ToString());
        node.set_mac(ToString(MacForNode(bridge->network(), address)));
        node.set_link(VethName(desired.instance, network.number(), node.index()));
      }
      // They are in the same order.
      for (size_t i = 0; i < bridge->forwards.size(); ++i) {
        if (!IsLeaving(*bridge, bridge->forwards[i])) continue;
        ASSIGN_OR_RETURN(const uint64_t connections, CountConnections(bridge->forwards[i]));
        network.mutable_forwards(static_cast<int>(i))->set_connections(connections);
      }
    }
    return Ok();
  }

  static void AddAddresses6(const Bridge& bridge, v1::Network* network) {
    network->set_prefix6(bridge.prefix6->ToString());
    for (v1::LocalNode& node : *network->mutable_nodes()) {
      node.set_address6(bridge.prefix6->Host(kFirstNodeHost + node.index()).ToString());
    }
    if (!bridge.overlay) return;
    for (size_t i = 0; i < bridge.overlay->remotes.size(); ++i) {
      network->mutable_overlay()
          ->mutable_remotes(static_cast<int>(i))
          ->set_address6(bridge.Address6Of(bridge.overlay->remotes[i].address).ToString());
    }
  }

  Status PutFor(const v1::PutRequest& request) {
    RETURN_IF_ERROR(Allowed());
    ASSIGN_OR_RETURN(DesiredNetwork desired, FromMessage(request.networks()));
    return keeper_.Put(std::move(desired));
  }

  Status PlanFor(const v1::PlanRequest& request, v1::PlanResponse* response) {
    RETURN_IF_ERROR(Allowed());
    std::optional<DesiredNetwork> desired;
    if (request.has_networks()) {
      ASSIGN_OR_RETURN(desired, FromMessage(request.networks()));
    }
    ASSIGN_OR_RETURN(const PlannedChanges planned, keeper_.Plan(desired));
    response->mutable_changes()->Assign(planned.changes.begin(), planned.changes.end());
    response->set_new_rules(planned.new_rules);
    response->set_ruleset(planned.ruleset);
    return Ok();
  }

  Status TraceFor(const v1::TraceRequest& request, v1::TraceResponse* response) {
    RETURN_IF_ERROR(Allowed());
    TraceQuestion question;
    ASSIGN_OR_RETURN(question.from, IpAddress::Parse(request.from()));
    ASSIGN_OR_RETURN(question.to, IpAddress::Parse(request.to()));
    if (question.from.is_ipv4() != question.to.is_ipv4()) {
      return Error(Code::kInvalidArgument, "one address is of IPv4, the other of IPv6");
    }
    if (request.port() > 65535) {
      return Error(Code::kInvalidArgument, "there is no port " + std::to_string(request.port()));
    }
    question.port = static_cast<uint16_t>(request.port());
    if (question.port != 0) {
      question.protocol = request.protocol() == v1::UDP ? Protocol::kUdp : Protocol::kTcp;
    }
    const NetworkKeeper::State state = keeper_.Look();
    if (!state.desired.has_value()) {
      return Error(Code::kFailedPrecondition, "nobody has said yet how the networks should be");
    }
    ASSIGN_OR_RETURN(const std::vector<ObservedLink> links, ObserveLinks());
    std::optional<FastState> fast;
    if (state.fast_frames.has_value()) {
      const bool wraps = !HasIpsecPolicies().value_or(true);
      fast = MakeFastState(*state.desired, links, {KeptOffTheFastPath(*state.desired), wraps});
    }
    for (const TraceStep& step : strata::net::Trace(*state.desired, links, keeper_.means().driver,
                                                    question, fast ? &*fast : nullptr)) {
      v1::TraceStep* out = response->add_steps();
      out->set_end(static_cast<v1::TraceStep::End>(step.end));
      out->set_where(step.where);
      out->set_what(step.what);
    }
    return Ok();
  }

  Status ExamineFor(v1::ExamineResponse* response) {
    RETURN_IF_ERROR(Allowed());
    const NetworkKeeper::State state = keeper_.Look();
    const auto add = [&](const Finding& finding) {
      v1::Finding* out = response->add_findings();
      out->set_level(static_cast<v1::Level>(finding.level));
      out->set_what(finding.what);
      out->set_remedy(finding.remedy);
    };
    if (!state.desired.has_value()) {
      add({Finding::Level::kWarning, "nobody has said yet how the networks should be",
           "start vclusterd, or vnetd with --file"});
      return Ok();
    }
    if (state.problem.has_value()) {
      add({Finding::Level::kProblem, "not as it should be: " + state.problem->message(),
           "vnetd tries again by itself; vnet plan says what is left to do"});
    }
    if (keeper_.ServesNames()) {
      for (const Finding& finding : ExamineNames(*state.desired, state.names_problem)) add(finding);
    }
    ASSIGN_OR_RETURN(const std::vector<ObservedLink> links, ObserveLinks());
    Nft nft;
    for (const Finding& finding : strata::net::Examine(*state.desired, links, nft, kEchoPatience)) {
      add(finding);
    }
    if (!state.desired->fabric) return Ok();
    for (const Finding& finding : ExamineFabricNow(*state.desired->fabric)) add(finding);
    return Ok();
  }

  std::vector<Finding> ExamineFabricNow(const DesiredFabric& fabric) {
    std::set<Ipv4> peers;
    for (const FabricMember& peer : fabric.peers) {
      if (!IsUnreachable(fabric, peer)) peers.insert(peer.address);
    }
    // Who has no address of the fabric yet hears nobody.
    const auto answered = Echo(fabric.address, peers, kEchoBytesMin, kEchoPatience);
    const auto view = keeper_.LookAtFabric();
    if (!view.ok()) {
      return {{Finding::Level::kProblem, "the fabric does not tell: " + view.error().message(),
               "vnetd tries again by itself"}};
    }
    return ExamineFabric(fabric, *view, answered.ok() ? *answered : std::set<Ipv4>(),
                         std::chrono::system_clock::now().time_since_epoch());
  }

  NetworkKeeper& keeper_;
  NetworkEvents& events_;
  const std::string source_;
  const rpc::Caller caller_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeNetService(NetworkKeeper& keeper, NetworkEvents& events,
                                              std::string source, rpc::Caller caller) {
  return std::make_unique<NetServiceImpl>(keeper, events, std::move(source), caller);
}

}  // namespace strata::net
