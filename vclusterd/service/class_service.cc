#include "vclusterd/service/class_service.h"

#include "common/rpc/status.h"
#include "vclusterd/api/class_service.grpc.pb.h"
#include "vclusterd/service/call.h"
#include "vclusterd/service/class_messages.h"
#include "vclusterd/service/vcluster_messages.h"

namespace strata::vcluster {
namespace {

class TemplateServiceImpl final : public v1::TemplateService::Service {
 public:
  TemplateServiceImpl(ClassesSource source, rpc::Caller caller)
      : source_(std::move(source)), caller_{caller.uid, "socket", "", nullptr} {}

  grpc::Status Save(grpc::ServerContext* context, const v1::SaveTemplateRequest* request,
                    grpc::ServerWriter<v1::TemplateEvent>* writer) override {
    const auto classes = source_();
    if (!classes.ok()) return rpc::ToGrpc(classes.error());
    SaveTemplateParameters parameters;
    parameters.cluster = request->name();
    parameters.name = request->template_();
    parameters.description = request->description();
    parameters.is_public = request->public_();
    parameters.keep_secrets = request->keep_secrets();
    parameters.command_line = request->command_line();
    const CancelWatch watch(context, &(*classes)->clusters().master());
    std::mutex mutex;
    const auto saved = (*classes)->templates().Save(caller_, parameters,
                                                    SendProgress(writer, &mutex), watch.token());
    if (!saved.ok()) return rpc::ToGrpc(saved.error());
    v1::TemplateEvent event;
    ToProto((*classes)->users(), *saved, /*with_definition=*/true,
            event.mutable_result()->add_templates());
    writer->Write(event);
    return grpc::Status::OK;
  }

  grpc::Status List(grpc::ServerContext*, const v1::ListTemplatesRequest* request,
                    v1::Templates* response) override {
    const auto classes = source_();
    if (!classes.ok()) return rpc::ToGrpc(classes.error());
    if (!request->template_().empty()) {
      return Answer((*classes)->users(),
                    (*classes)->templates().Find(caller_, request->template_()), response);
    }
    for (const auto& record : (*classes)->templates().List(caller_)) {
      ToProto((*classes)->users(), record, /*with_definition=*/false, response->add_templates());
    }
    return grpc::Status::OK;
  }

  grpc::Status Share(grpc::ServerContext*, const v1::ShareTemplateRequest* request,
                     v1::Templates* response) override {
    const auto classes = source_();
    if (!classes.ok()) return rpc::ToGrpc(classes.error());
    auto parameters = (*classes)->templates().ShareWith(
        {request->add_users().begin(), request->add_users().end()},
        {request->remove_users().begin(), request->remove_users().end()});
    if (!parameters.ok()) return rpc::ToGrpc(parameters.error());
    if (request->has_public_()) parameters->is_public = request->public_();
    parameters->keep_secrets = request->keep_secrets();
    return Answer((*classes)->users(),
                  (*classes)->templates().Share(caller_, request->template_(), *parameters),
                  response);
  }

  grpc::Status Delete(grpc::ServerContext*, const v1::DeleteTemplateRequest* request,
                      v1::DeleteTemplateResponse*) override {
    const auto classes = source_();
    if (!classes.ok()) return rpc::ToGrpc(classes.error());
    return rpc::ToGrpc((*classes)->templates().Delete(caller_, request->template_()));
  }

  grpc::Status Create(grpc::ServerContext* context, const v1::CreateFromTemplateRequest* request,
                      grpc::ServerWriter<v1::ClustersEvent>* writer) override {
    const auto classes = source_();
    if (!classes.ok()) return rpc::ToGrpc(classes.error());
    if (!request->driver().empty()) {
      const auto driver = layerfs::ParseDriver(request->driver());
      if (!driver.ok()) return rpc::ToGrpc(driver.error());
    }
    const CancelWatch watch(context, &(*classes)->clusters().master());
    std::mutex mutex;
    const auto views = (*classes)->templates().Create(
        caller_, request->name(), request->template_(), std::max(request->count(), 1u),
        request->driver(), SendProgress(writer, &mutex), watch.token());
    if (!views.ok()) return rpc::ToGrpc(views.error());
    v1::ClustersEvent event;
    for (const ClusterView& view : *views) ToProto(view, event.mutable_result()->add_clusters());
    writer->Write(event);
    return grpc::Status::OK;
  }

 private:
  static grpc::Status Answer(const Users& users, const Result<Templates::Template>& record,
                             v1::Templates* response) {
    if (!record.ok()) return rpc::ToGrpc(record.error());
    ToProto(users, *record, /*with_definition=*/true, response->add_templates());
    return grpc::Status::OK;
  }

  const ClassesSource source_;
  const Caller caller_;
};

class ClassServiceImpl final : public v1::ClassService::Service {
 public:
  ClassServiceImpl(ClassesSource source, rpc::Caller caller)
      : source_(std::move(source)), caller_{caller.uid, "socket", "", nullptr} {}

  grpc::Status Create(grpc::ServerContext*, const v1::CreateClassRequest* request,
                      v1::Classes* response) override {
    const auto classes = source_();
    if (!classes.ok()) return rpc::ToGrpc(classes.error());
    const auto parameters = FromProto(*request);
    if (!parameters.ok()) return rpc::ToGrpc(parameters.error());
    return Answer((*classes)->users(), (*classes)->Create(caller_, *parameters), response);
  }

  grpc::Status List(grpc::ServerContext*, const v1::ListClassesRequest* request,
                    v1::Classes* response) override {
    const auto classes = source_();
    if (!classes.ok()) return rpc::ToGrpc(classes.error());
    const auto views = (*classes)->List(caller_, request->name());
    if (!views.ok()) return rpc::ToGrpc(views.error());
    for (const ClassView& view : *views) {
      ToProto((*classes)->users(), view, /*with_students=*/!request->name().empty(),
              response->add_classes());
    }
    return grpc::Status::OK;
  }

  grpc::Status Change(grpc::ServerContext*, const v1::ChangeClassRequest* request,
                      v1::Classes* response) override {
    const auto classes = source_();
    if (!classes.ok()) return rpc::ToGrpc(classes.error());
    ClassChange change = ClassChange::kStart;
    switch (request->change()) {
      case v1::ChangeClassRequest::START:
        break;
      case v1::ChangeClassRequest::STOP:
        change = ClassChange::kStop;
        break;
      case v1::ChangeClassRequest::EXTEND:
        change = ClassChange::kExtend;
        break;
      case v1::ChangeClassRequest::RESET:
        change = ClassChange::kReset;
        break;
      case v1::ChangeClassRequest::DELETE:
        change = ClassChange::kDelete;
        break;
      default:
        return rpc::ToGrpc(Error(Code::kInvalidArgument, "no change of a class"));
    }
    return Answer((*classes)->users(),
                  (*classes)->Change(caller_, request->name(), change,
                                     {request->students().begin(), request->students().end()},
                                     request->ends_unix_s()),
                  response);
  }

  grpc::Status Watch(grpc::ServerContext* context, const v1::WatchClassRequest* request,
                     grpc::ServerWriter<v1::ClassEvent>* writer) override {
    const auto classes = source_();
    if (!classes.ok()) return rpc::ToGrpc(classes.error());
    const CancelWatch watch(context, &(*classes)->clusters().master());
    std::mutex mutex;
    const auto view =
        (*classes)->Watch(caller_, request->name(), SendProgress(writer, &mutex), watch.token());
    if (!view.ok()) return rpc::ToGrpc(view.error());
    v1::ClassEvent event;
    v1::Classes* result = event.mutable_result();
    if (!view->record.name().empty()) {
      ToProto((*classes)->users(), *view, /*with_students=*/true, result->add_classes());
    }
    writer->Write(event);
    return grpc::Status::OK;
  }

  grpc::Status Collect(grpc::ServerContext* context, const v1::CollectClassRequest* request,
                       grpc::ServerWriter<v1::CollectEvent>* writer) override {
    const auto classes = source_();
    if (!classes.ok()) return rpc::ToGrpc(classes.error());
    const CancelWatch watch(context, &(*classes)->clusters().master());
    std::mutex mutex;
    const auto collected = (*classes)->Collect(
        caller_, request->name(), {request->students().begin(), request->students().end()},
        SendProgress(writer, &mutex), watch.token());
    if (!collected.ok()) return rpc::ToGrpc(collected.error());
    v1::CollectEvent event;
    ToProto((*classes)->users(), collected->view, /*with_students=*/true,
            event.mutable_result()->mutable_class_());
    for (const std::string& failure : collected->failures) {
      event.mutable_result()->add_failures(failure);
    }
    writer->Write(event);
    return grpc::Status::OK;
  }

 private:
  static grpc::Status Answer(const Users& users, const Result<ClassView>& view,
                             v1::Classes* response) {
    if (!view.ok()) return rpc::ToGrpc(view.error());
    ToProto(users, *view, /*with_students=*/true, response->add_classes());
    return grpc::Status::OK;
  }

  const ClassesSource source_;
  const Caller caller_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeTemplateService(ClassesSource classes, rpc::Caller caller) {
  return std::make_unique<TemplateServiceImpl>(std::move(classes), caller);
}

std::unique_ptr<grpc::Service> MakeClassService(ClassesSource classes, rpc::Caller caller) {
  return std::make_unique<ClassServiceImpl>(std::move(classes), caller);
}

}  // namespace strata::vcluster
