#include "vclusterd/service/vcluster_service.h"

#include <grpcpp/grpcpp.h>

#include <mutex>

#include "common/rpc/status.h"
#include "vclusterd/api/vcluster.grpc.pb.h"
#include "vclusterd/definition/format_file.h"
#include "vclusterd/definition/parse_file.h"
#include "vclusterd/service/call.h"
#include "vclusterd/service/exec_reactor.h"
#include "vclusterd/service/node_messages.h"
#include "vclusterd/service/vcluster_messages.h"

namespace strata::vcluster {
namespace {

constexpr std::chrono::seconds kDefaultGrace(10);
constexpr std::chrono::seconds kGraceMax(600);

// A file's, under another name if one is given.
Result<Definition> DefinitionOf(const std::string& text, const std::string& file_name,
                                const std::string& name) {
  ASSIGN_OR_RETURN(Definition definition,
                   ParseDefinition(text, file_name.empty() ? "the file" : file_name));
  if (!name.empty()) definition.name = name;
  return definition;
}

Result<Definition> DefinitionOf(const v1::CreateRequest& request) {
  if (!request.definition().empty()) {
    return DefinitionOf(request.definition(), request.file_name(), request.name());
  }
  Limits limits;
  limits.cpus = request.limits().cpus();
  limits.memory_bytes = request.limits().memory_bytes();
  limits.processes = request.limits().processes();
  if (!request.default_disk()) limits.disk_bytes = request.limits().disk_bytes();
  return PlainDefinition(request.name(), request.image(), request.nodes(), limits);
}

using Base = v1::VclusterService::WithCallbackMethod_Exec<v1::VclusterService::Service>;

class VclusterServiceImpl final : public Base {
 public:
  VclusterServiceImpl(ClustersSource source, rpc::Caller caller)
      : source_(std::move(source)), caller_{caller.uid, "socket", "", nullptr} {}

  grpc::Status Create(grpc::ServerContext* context, const v1::CreateRequest* request,
                      grpc::ServerWriter<v1::ClustersEvent>* writer) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    const auto definition = DefinitionOf(*request);
    if (!definition.ok()) return rpc::ToGrpc(definition.error());
    if (!request->driver().empty()) {
      const auto driver = layerfs::ParseDriver(request->driver());
      if (!driver.ok()) return rpc::ToGrpc(driver.error());
    }
    const CancelWatch watch(context, &(*clusters)->master());
    std::mutex mutex;
    const auto view =
        (*clusters)->Create(caller_, *definition, request->driver(), SendProgress(writer, &mutex),
                            watch.token(), request->preempts());
    if (!view.ok()) return rpc::ToGrpc(view.error());
    v1::ClustersEvent event;
    ToProto(*view, event.mutable_result()->add_clusters());
    writer->Write(event);
    return grpc::Status::OK;
  }

  grpc::Status Clone(grpc::ServerContext* context, const v1::CloneRequest* request,
                     grpc::ServerWriter<v1::ClustersEvent>* writer) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    const CloneParameters parameters{request->source(), request->count(), request->prefix(),
                                     request->image()};
    const CancelWatch watch(context, &(*clusters)->master());
    std::mutex mutex;
    const auto views =
        (*clusters)->Clone(caller_, parameters, SendProgress(writer, &mutex), watch.token());
    if (!views.ok()) return rpc::ToGrpc(views.error());
    v1::ClustersEvent event;
    for (const ClusterView& view : *views) ToProto(view, event.mutable_result()->add_clusters());
    writer->Write(event);
    return grpc::Status::OK;
  }

  grpc::Status List(grpc::ServerContext*, const v1::ListRequest* request,
                    v1::Clusters* response) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    const auto views = (*clusters)->List(caller_, request->name());
    if (!views.ok()) return rpc::ToGrpc(views.error());
    for (const ClusterView& view : *views) ToProto(view, response->add_clusters());
    return grpc::Status::OK;
  }

  grpc::Status Start(grpc::ServerContext* context, const v1::StartRequest* request,
                     v1::Clusters* response) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    const CancelWatch watch(context, &(*clusters)->master());
    return Answer((*clusters)->Start(caller_, request->target(), watch.token()), response);
  }

  grpc::Status Stop(grpc::ServerContext* context, const v1::StopRequest* request,
                    v1::Clusters* response) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    const std::chrono::seconds asked(request->timeout_s());
    const std::chrono::seconds grace =
        asked.count() == 0 ? kDefaultGrace : std::min(asked, kGraceMax);
    const CancelWatch watch(context, &(*clusters)->master());
    return Answer((*clusters)->Stop(caller_, request->target(), grace, watch.token()), response);
  }

  grpc::Status Delete(grpc::ServerContext* context, const v1::DeleteRequest* request,
                      v1::DeleteResponse*) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    const CancelWatch watch(context, &(*clusters)->master());
    return rpc::ToGrpc((*clusters)->Delete(caller_, request->name(), watch.token()));
  }

  grpc::Status Resize(grpc::ServerContext*, const v1::ResizeRequest* request,
                      v1::Clusters* response) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    return Answer((*clusters)->Resize(caller_, request->target(), request->disk_bytes()), response);
  }

  grpc::Status Apply(grpc::ServerContext* context, const v1::ApplyRequest* request,
                     grpc::ServerWriter<v1::ApplyEvent>* writer) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    const auto definition =
        DefinitionOf(request->definition(), request->file_name(), request->name());
    if (!definition.ok()) return rpc::ToGrpc(definition.error());
    const CancelWatch watch(context, &(*clusters)->master());
    std::mutex mutex;
    return Answer((*clusters)->Apply(caller_, *definition, request->dry_run(), request->recreate(),
                                     SendProgress(writer, &mutex), watch.token()),
                  writer);
  }

  grpc::Status Scale(grpc::ServerContext* context, const v1::ScaleRequest* request,
                     grpc::ServerWriter<v1::ApplyEvent>* writer) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    const CancelWatch watch(context, &(*clusters)->master());
    std::mutex mutex;
    return Answer((*clusters)->Scale(caller_, request->name(), request->role(), request->count(),
                                     SendProgress(writer, &mutex), watch.token()),
                  writer);
  }

  grpc::Status Extend(grpc::ServerContext*, const v1::ExtendRequest* request,
                      v1::Clusters* response) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    return Answer((*clusters)->Extend(caller_, request->name(), request->for_seconds()), response);
  }

  grpc::Status RotateKeys(grpc::ServerContext*, const v1::RotateKeysRequest* request,
                          v1::Clusters* response) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    return Answer((*clusters)->RotateKeys(caller_, request->name()), response);
  }

  grpc::Status Export(grpc::ServerContext*, const v1::ExportRequest* request,
                      v1::ExportResponse* response) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    const auto definition = (*clusters)->Export(caller_, request->name(), request->pin());
    if (!definition.ok()) return rpc::ToGrpc(definition.error());
    response->set_definition(request->json() ? FormatDefinitionJson(*definition)
                                             : FormatDefinition(*definition));
    return grpc::Status::OK;
  }

  grpc::Status ListHosts(grpc::ServerContext*, const v1::HostsRequest*,
                         v1::Hosts* response) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    return Answer((*clusters)->Hosts(caller_), response);
  }

  grpc::Status Drain(grpc::ServerContext*, const v1::DrainRequest* request,
                     v1::Hosts* response) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    const Status drained = (*clusters)->Drain(caller_, request->host(), !request->resume());
    if (!drained.ok()) return rpc::ToGrpc(drained.error());
    return Answer((*clusters)->Hosts(caller_), response);
  }

  grpc::Status RotateFabricKeys(grpc::ServerContext*, const v1::RotateFabricKeysRequest*,
                                v1::Hosts* response) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    const Status begun = (*clusters)->RotateFabricKeys(caller_);
    if (!begun.ok()) return rpc::ToGrpc(begun.error());
    return Answer((*clusters)->Hosts(caller_), response);
  }

  grpc::Status Why(grpc::ServerContext*, const v1::WhyRequest* request,
                   v1::WhyResponse* response) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    auto why = (*clusters)->Why(caller_, request->node());
    if (!why.ok()) return rpc::ToGrpc(why.error());
    response->set_text(std::move(*why));
    return grpc::Status::OK;
  }

  grpc::Status History(grpc::ServerContext*, const v1::HistoryRequest* request,
                       v1::UsageHistory* response) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    return Answer((*clusters)->History(caller_, request->node()), response);
  }

  grpc::Status HostHistory(grpc::ServerContext*, const v1::HostHistoryRequest* request,
                           v1::UsageHistory* response) override {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    return Answer((*clusters)->HostHistory(caller_, request->host()), response);
  }

  grpc::Status Save(grpc::ServerContext* context, const v1::SaveRequest* request,
                    grpc::ServerWriter<v1::SaveEvent>* writer) override {
    // The save itself needs no master: one that steps down does not wait for it.
    const auto find = [&]() -> Result<NodePlace> {
      ASSIGN_OR_RETURN(const auto clusters, source_());
      return clusters->FindNode(caller_, Operation::kVclusterSave, request->node());
    };
    const auto place = find();
    if (!place.ok()) return rpc::ToGrpc(place.error());
    SaveNodeParameters parameters = FromProto(*request);
    parameters.on_behalf_of_uid = caller_.uid;
    parameters.origin = "node " + place->name;
    std::mutex mutex;
    const CancelWatch watch(context, /*master=*/nullptr);
    const auto saved = place->link->Save(place->number, place->index, parameters,
                                         SendProgress(writer, &mutex), watch.token());
    if (!saved.ok()) return rpc::ToGrpc(saved.error());
    v1::SaveEvent event;
    ToProto(*saved, event.mutable_result());
    writer->Write(event);
    return grpc::Status::OK;
  }

  grpc::ServerBidiReactor<v1::ExecRequest, v1::ExecEvent>* Exec(
      grpc::CallbackServerContext*) override {
    return NewExecReactor(
        [this](const std::string& node, const ExecParameters& parameters, TerminalSize terminal,
               ExecListener& listener) -> Result<std::unique_ptr<RunningCommand>> {
          ASSIGN_OR_RETURN(const auto clusters, source_());
          ASSIGN_OR_RETURN(const NodePlace place,
                           clusters->FindNode(caller_, Operation::kVclusterExec, node));
          auto command =
              place.link->Exec(place.number, place.index, parameters, terminal, listener);
          if (!command.ok()) return command.error().Wrap("node " + place.name);
          return command;
        });
  }

 private:
  static grpc::Status Answer(const Result<std::vector<Master::HostView>>& hosts,
                             v1::Hosts* response) {
    if (!hosts.ok()) return rpc::ToGrpc(hosts.error());
    ToProto(*hosts, response);
    return grpc::Status::OK;
  }

  static grpc::Status Answer(const Result<host::v1::UsageHistory>& history,
                             v1::UsageHistory* response) {
    if (!history.ok()) return rpc::ToGrpc(history.error());
    ToProto(*history, response);
    return grpc::Status::OK;
  }

  static grpc::Status Answer(const Result<ClusterView>& view, v1::Clusters* response) {
    if (!view.ok()) return rpc::ToGrpc(view.error());
    ToProto(*view, response->add_clusters());
    return grpc::Status::OK;
  }

  static grpc::Status Answer(const Result<Clusters::Applied>& applied,
                             grpc::ServerWriter<v1::ApplyEvent>* writer) {
    if (!applied.ok()) return rpc::ToGrpc(applied.error());
    v1::ApplyEvent event;
    ToProto(*applied, event.mutable_result());
    writer->Write(event);
    return grpc::Status::OK;
  }

  const ClustersSource source_;
  const Caller caller_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeVclusterService(ClustersSource clusters, rpc::Caller caller) {
  return std::make_unique<VclusterServiceImpl>(std::move(clusters), caller);
}

}  // namespace strata::vcluster
