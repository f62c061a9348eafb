#include "vclusterd/service/provider_service.h"

#include <grpcpp/grpcpp.h>

#include "common/rpc/status.h"
#include "vclusterd/api/providers.grpc.pb.h"

namespace strata::vcluster {
namespace {

const char* StageName(master::v1::MachineStage stage) {
  switch (stage) {
    case master::v1::STARTING:
      return "starting";
    case master::v1::JOINING:
      return "joining";
    case master::v1::RUNNING:
      return "running";
    case master::v1::RETURNING:
      return "returning";
    default:
      return "stopping";
  }
}

void ToProto(const Rentals::View& view, v1::ProviderInfo* info) {
  info->set_name(view.rules.name);
  info->set_machines_max(view.rules.machines_max);
  info->set_price_per_hour(view.price_per_hour);
  info->set_price_per_hour_max(view.rules.price_per_hour_max);
  info->mutable_owners()->Assign(view.rules.owners.begin(), view.rules.owners.end());
  info->set_problem(view.problem);
  info->set_strays(view.strays);
  for (const Offer& offer : view.offers) {
    v1::OfferInfo* out = info->add_offers();
    out->set_provider(view.rules.name);
    out->set_name(offer.name);
    out->set_cpus(offer.cpus);
    out->set_memory_bytes(offer.memory_bytes);
    out->set_disk_bytes(offer.disk_bytes);
    out->set_price_per_hour(offer.price_per_hour);
    out->mutable_labels()->Assign(offer.labels.begin(), offer.labels.end());
  }
  for (const master::v1::MachineRecord& machine : view.machines) {
    v1::MachineInfo* out = info->add_machines();
    out->set_provider(machine.provider());
    out->set_offer(machine.offer());
    out->set_id(machine.id());
    out->set_host(machine.host());
    out->set_stage(StageName(machine.stage()));
    out->set_price_per_hour(machine.price_per_hour());
    out->set_started_unix_ms(machine.started_unix_ms());
    out->set_problem(machine.problem());
  }
}

class ProviderServiceImpl final : public v1::ProviderService::Service {
 public:
  ProviderServiceImpl(ClustersSource clusters, RentalsSource rentals, rpc::Caller caller)
      : clusters_(std::move(clusters)),
        rentals_(std::move(rentals)),
        caller_{caller.uid, "socket", "", nullptr} {}

  grpc::Status ListProviders(grpc::ServerContext*, const v1::ListProvidersRequest*,
                             v1::ListProvidersResponse* response) override {
    const auto clusters = clusters_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    const Status allowed = (*clusters)->AuthorizeRentals(caller_);
    if (!allowed.ok()) return rpc::ToGrpc(allowed.error());
    const auto rentals = rentals_();
    if (!rentals.ok()) return rpc::ToGrpc(rentals.error());
    for (const Rentals::View& view : (*rentals)->Views()) {
      ToProto(view, response->add_providers());
    }
    return grpc::Status::OK;
  }

 private:
  const ClustersSource clusters_;
  const RentalsSource rentals_;
  const Caller caller_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeProviderService(ClustersSource clusters, RentalsSource rentals,
                                                   rpc::Caller caller) {
  return std::make_unique<ProviderServiceImpl>(std::move(clusters), std::move(rentals), caller);
}

}  // namespace strata::vcluster
