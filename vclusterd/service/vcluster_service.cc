#include "vclusterd/service/vcluster_service.h"

#include <grpcpp/grpcpp.h>

#include <mutex>
#include <thread>

#include "common/cancel.h"
#include "common/rpc/status.h"
#include "vclusterd/api/vcluster.grpc.pb.h"
#include "vclusterd/host/host_nodes.h"
#include "vclusterd/service/exec_reactor.h"

namespace strata::vcluster {
namespace {

constexpr std::chrono::seconds kDefaultGrace(10);
constexpr std::chrono::seconds kGraceMax(600);
constexpr std::chrono::milliseconds kCancelPollPause(20);

double Milliseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

v1::NodeState ToProto(NodeCondition condition) {
  switch (condition) {
    case NodeCondition::kCreating:
      return v1::CREATING;
    case NodeCondition::kRunning:
      return v1::RUNNING;
    case NodeCondition::kStopped:
      return v1::STOPPED;
    case NodeCondition::kBreakdown:
      return v1::BREAKDOWN;
  }
  return v1::NODE_STATE_UNSPECIFIED;
}

void ToProto(const NodeView& view, v1::NodeInfo* info) {
  info->set_name(view.name);
  info->set_hostname(view.hostname);
  info->set_address(view.address.ToString());
  info->set_state(ToProto(view.condition));
  info->set_image(view.image);
  info->set_image_digest(view.image_digest);
  info->mutable_limits()->set_cpus(view.limits.cpus);
  info->mutable_limits()->set_memory_bytes(view.limits.memory_bytes);
  info->mutable_limits()->set_processes(view.limits.processes);
  info->mutable_limits()->set_disk_bytes(view.disk_limit_bytes);
  info->set_volume(view.volume);
  info->set_driver(view.driver);
  info->set_init_pid(view.init_pid);
  info->set_upper_bytes(view.upper_bytes);
  info->set_problem(view.problem);
  info->set_start_ms(view.start_ms);
}

void ToProto(const ClusterView& view, v1::VclusterInfo* info) {
  info->set_name(view.name);
  info->set_owner(view.owner);
  info->set_owner_uid(view.owner_uid);
  info->set_subnet(view.prefix.ToString());
  info->set_created_unix_ms(view.created_unix_ms);
  info->set_cloned_from(view.cloned_from);
  for (const NodeView& node : view.nodes) ToProto(node, info->add_nodes());
}

imaged::ScrubMode FromProto(v1::ScrubMode mode) {
  if (mode == v1::SCRUB_ALWAYS) return imaged::ScrubMode::kAlways;
  return mode == v1::SCRUB_NEVER ? imaged::ScrubMode::kNever : imaged::ScrubMode::kDefault;
}

// Sets a CancelToken when the client gives a call up. gRPC's synchronous server has no event for
// that, so a thread looks every few milliseconds.
class CancelWatch {
 public:
  explicit CancelWatch(grpc::ServerContext* context)
      : thread_([this, context](std::stop_token stop) {
          while (!stop.stop_requested()) {
            if (context->IsCancelled()) token_.Cancel();
            std::this_thread::sleep_for(kCancelPollPause);
          }
        }) {}
  const CancelToken& token() const { return token_; }

 private:
  CancelToken token_;
  std::jthread thread_;
};

// Sends progress of many threads on one stream.
template <typename Event>
Clusters::ProgressFn SendProgress(grpc::ServerWriter<Event>* writer, std::mutex* mutex) {
  return [writer, mutex](const std::string& stage, uint32_t done, uint32_t total) {
    Event event;
    event.mutable_progress()->set_stage(stage);
    event.mutable_progress()->set_done(done);
    event.mutable_progress()->set_total(total);
    const std::lock_guard lock(*mutex);
    writer->Write(event);  // A client that is gone is seen by CancelWatch.
  };
}

using Base = v1::VclusterService::WithCallbackMethod_Exec<v1::VclusterService::Service>;

class VclusterServiceImpl final : public Base {
 public:
  VclusterServiceImpl(Clusters& clusters, rpc::Caller caller)
      : clusters_(clusters), caller_(caller.uid) {}

  grpc::Status Create(grpc::ServerContext* context, const v1::CreateRequest* request,
                      grpc::ServerWriter<v1::ClustersEvent>* writer) override {
    Limits limits;
    limits.cpus = request->limits().cpus();
    limits.memory_bytes = request->limits().memory_bytes();
    limits.processes = request->limits().processes();
    if (!request->default_disk()) limits.disk_bytes = request->limits().disk_bytes();
    if (!request->driver().empty()) {
      const auto driver = layerfs::ParseDriver(request->driver());
      if (!driver.ok()) return rpc::ToGrpc(driver.error());
    }
    const CancelWatch watch(context);
    std::mutex mutex;
    const auto view = clusters_.Create(
        caller_, PlainDefinition(request->name(), request->image(), request->nodes(), limits),
        request->driver(), SendProgress(writer, &mutex), watch.token());
    if (!view.ok()) return rpc::ToGrpc(view.error());
    v1::ClustersEvent event;
    ToProto(*view, event.mutable_result()->add_clusters());
    writer->Write(event);
    return grpc::Status::OK;
  }

  grpc::Status Clone(grpc::ServerContext* context, const v1::CloneRequest* request,
                     grpc::ServerWriter<v1::ClustersEvent>* writer) override {
    const CloneParameters parameters{request->source(), request->count(), request->prefix(),
                                     request->image()};
    const CancelWatch watch(context);
    std::mutex mutex;
    const auto views =
        clusters_.Clone(caller_, parameters, SendProgress(writer, &mutex), watch.token());
    if (!views.ok()) return rpc::ToGrpc(views.error());
    v1::ClustersEvent event;
    for (const ClusterView& view : *views) ToProto(view, event.mutable_result()->add_clusters());
    writer->Write(event);
    return grpc::Status::OK;
  }

  grpc::Status List(grpc::ServerContext*, const v1::ListRequest* request,
                    v1::Clusters* response) override {
    const auto views = clusters_.List(caller_, request->name());
    if (!views.ok()) return rpc::ToGrpc(views.error());
    for (const ClusterView& view : *views) ToProto(view, response->add_clusters());
    return grpc::Status::OK;
  }

  grpc::Status Start(grpc::ServerContext*, const v1::StartRequest* request,
                     v1::Clusters* response) override {
    return Answer(clusters_.Start(caller_, request->target()), response);
  }

  grpc::Status Stop(grpc::ServerContext*, const v1::StopRequest* request,
                    v1::Clusters* response) override {
    const std::chrono::seconds asked(request->timeout_s());
    const std::chrono::seconds grace =
        asked.count() == 0 ? kDefaultGrace : std::min(asked, kGraceMax);
    return Answer(clusters_.Stop(caller_, request->target(), grace), response);
  }

  grpc::Status Delete(grpc::ServerContext*, const v1::DeleteRequest* request,
                      v1::DeleteResponse*) override {
    return rpc::ToGrpc(clusters_.Delete(caller_, request->name()));
  }

  grpc::Status Resize(grpc::ServerContext*, const v1::ResizeRequest* request,
                      v1::Clusters* response) override {
    return Answer(clusters_.Resize(caller_, request->target(), request->disk_bytes()), response);
  }

  grpc::Status Save(grpc::ServerContext* context, const v1::SaveRequest* request,
                    grpc::ServerWriter<v1::SaveEvent>* writer) override {
    const auto place = clusters_.FindNode(caller_, request->node());
    if (!place.ok()) return rpc::ToGrpc(place.error());
    SaveNodeParameters parameters;
    parameters.on_behalf_of_uid = caller_;
    parameters.origin = "node " + place->name;
    parameters.reference = request->reference();
    parameters.description = request->description();
    parameters.is_public = request->public_();
    parameters.replace = request->replace();
    parameters.command_line = request->command_line();
    parameters.scrub = FromProto(request->scrub());
    std::mutex mutex;
    const CancelWatch watch(context);
    const auto saved = place->link->local()->Save(
        place->number, place->index, parameters, SendProgress(writer, &mutex), watch.token());
    if (!saved.ok()) return rpc::ToGrpc(saved.error());
    v1::SaveEvent event;
    v1::SaveResult* result = event.mutable_result();
    result->set_reference(saved->image.reference);
    result->set_digest(saved->image.digest);
    result->set_entries(saved->image.entries);
    result->set_layer_bytes(saved->image.layer_bytes);
    result->set_new_bytes(saved->image.new_bytes);
    result->set_stall_ms(Milliseconds(saved->stall));
    result->set_total_ms(Milliseconds(saved->total));
    for (const imaged::ScrubbedSecret& secret : saved->image.scrubbed) {
      v1::ScrubbedSecret* scrubbed = result->add_scrubbed();
      scrubbed->set_path(secret.path);
      scrubbed->set_category(secret.category);
      scrubbed->set_action(secret.action);
      scrubbed->set_reason(secret.reason);
    }
    result->set_scrubbed_count(saved->image.scrubbed_count);
    writer->Write(event);
    return grpc::Status::OK;
  }

  grpc::ServerBidiReactor<v1::ExecRequest, v1::ExecEvent>* Exec(
      grpc::CallbackServerContext*) override {
    return NewExecReactor([this](const std::string& node) -> Result<ExecPlace> {
      ASSIGN_OR_RETURN(const NodePlace place, clusters_.FindNode(caller_, node));
      ExecPlace exec;
      exec.nodes = place.link->local();
      ASSIGN_OR_RETURN(exec.target,
                       place.link->local()->FindForExec(place.number, place.index),
                       "node " + place.name);
      return exec;
    });
  }

 private:
  static grpc::Status Answer(const Result<ClusterView>& view, v1::Clusters* response) {
    if (!view.ok()) return rpc::ToGrpc(view.error());
    ToProto(*view, response->add_clusters());
    return grpc::Status::OK;
  }

  Clusters& clusters_;
  const uid_t caller_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeVclusterService(Clusters& clusters, rpc::Caller caller) {
  return std::make_unique<VclusterServiceImpl>(clusters, caller);
}

}  // namespace strata::vcluster
