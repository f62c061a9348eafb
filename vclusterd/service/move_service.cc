#include "vclusterd/service/move_service.h"

#include <grpcpp/grpcpp.h>

#include "common/rpc/status.h"
#include "vclusterd/api/moves.grpc.pb.h"
#include "vclusterd/service/call.h"
#include "vclusterd/service/vcluster_messages.h"

namespace strata::vcluster {
namespace {

class MoveServiceImpl final : public v1::MoveService::Service {
 public:
  MoveServiceImpl(ClustersSource source, rpc::Caller caller)
      : source_(std::move(source)), caller_{caller.uid, "socket", "", nullptr} {}

  grpc::Status WatchDrain(grpc::ServerContext* context, const v1::WatchDrainRequest* request,
                          grpc::ServerWriter<v1::HostInfo>* writer) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    const CancelWatch watch(context, &(*clusters)->master());
    const auto done = (*clusters)->WatchDrain(
        caller_, request->host(),
        [&](const Master::HostView& view) {
          v1::HostInfo info;
          ToProto(view, &info);
          writer->Write(info);
        },
        watch.token());
    if (!done.ok()) return rpc::ToGrpc(done.error());
    return grpc::Status::OK;
  }

  grpc::Status Rebalance(grpc::ServerContext*, const v1::RebalanceRequest* request,
                         v1::RebalanceResponse* response) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    const auto moves = (*clusters)->Rebalance(caller_, request->dry_run());
    if (!moves.ok()) return rpc::ToGrpc(moves.error());
    for (const Master::MoveView& move : *moves) {
      v1::NodeMove* out = response->add_moves();
      out->set_node(move.node);
      out->set_from(move.from);
      out->set_to(move.to);
      out->set_reason(move.reason);
      out->set_refused(move.refused);
    }
    return grpc::Status::OK;
  }

  grpc::Status Preempt(grpc::ServerContext*, const v1::PreemptRequest* request,
                       v1::PreemptResponse* response) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    const auto victims = (*clusters)->Preempt(
        caller_, request->vcluster(),
        request->has_below() ? std::optional(request->below()) : std::nullopt, request->dry_run());
    if (!victims.ok()) return rpc::ToGrpc(victims.error());
    for (const Master::VictimView& victim : *victims) {
      v1::PreemptedNode* out = response->add_nodes();
      out->set_node(victim.node);
      out->set_host(victim.host);
      out->set_priority(victim.priority);
    }
    return grpc::Status::OK;
  }

  grpc::Status Reserve(grpc::ServerContext*, const v1::ReservationInfo* request,
                       v1::ReserveResponse*) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    if (!(request->cpus() >= 0) || request->cpus() > kSchedulerCpusMax) {
      return rpc::ToGrpc(Error(Code::kInvalidArgument, "no host has so many CPUs"));
    }
    master::v1::Reservation record;
    record.set_name(request->name());
    record.mutable_piece()->set_cpus_milli(static_cast<uint64_t>(request->cpus() * 1000 + 0.5));
    record.mutable_piece()->set_memory_bytes(request->memory_bytes());
    record.mutable_piece()->set_disk_bytes(request->disk_bytes());
    record.set_pieces(request->pieces());
    *record.mutable_hosts() = request->hosts();
    record.set_from_unix_s(request->from_unix_s());
    record.set_until_unix_s(request->until_unix_s());
    return rpc::ToGrpc((*clusters)->Reserve(
        caller_, std::move(record), {request->user(), request->vcluster(), request->class_name()}));
  }

  grpc::Status Unreserve(grpc::ServerContext*, const v1::UnreserveRequest* request,
                         v1::UnreserveResponse*) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    return rpc::ToGrpc((*clusters)->Unreserve(caller_, request->name()));
  }

  grpc::Status ListReservations(grpc::ServerContext*, const v1::ListReservationsRequest*,
                                v1::Reservations* response) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    const auto views = (*clusters)->Reservations(caller_);
    if (!views.ok()) return rpc::ToGrpc(views.error());
    for (const Clusters::ReservationView& view : *views) {
      const master::v1::Reservation& record = view.record;
      v1::ReservationInfo* out = response->add_reservations();
      out->set_name(record.name());
      out->set_cpus(static_cast<double>(record.piece().cpus_milli()) / 1000);
      out->set_memory_bytes(record.piece().memory_bytes());
      out->set_disk_bytes(record.piece().disk_bytes());
      out->set_pieces(record.pieces());
      *out->mutable_hosts() = record.hosts();
      out->set_from_unix_s(record.from_unix_s());
      out->set_until_unix_s(record.until_unix_s());
      out->set_holder(view.holder);
      out->set_holds(view.holds);
    }
    return grpc::Status::OK;
  }

 private:
  const ClustersSource source_;
  const Caller caller_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeMoveService(ClustersSource clusters, rpc::Caller caller) {
  return std::make_unique<MoveServiceImpl>(std::move(clusters), caller);
}

}  // namespace strata::vcluster
