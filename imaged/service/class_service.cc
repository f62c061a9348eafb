#include "imaged/service/class_service.h"

#include "imaged/api/imaged.grpc.pb.h"
#include "imaged/service/call.h"

namespace strata::imaged {
namespace {

class ClassServiceImpl final : public v1::ClassService::Service {
 public:
  ClassServiceImpl(Repository* repository, uid_t uid)
      : catalog_(repository->catalog()), uid_(uid) {}

  grpc::Status Change(grpc::ServerContext*, const v1::ChangeClassRequest* request,
                      v1::ChangeClassResponse* response) override {
    return Answer("class change", response->mutable_changed(),
                  [&] { return catalog_.classes().Change(uid_, *request, catalog_.Now()); });
  }

  grpc::Status Delete(grpc::ServerContext*, const v1::DeleteClassRequest* request,
                      v1::DeleteClassResponse*) override {
    return Guarded("class delete",
                   [&] { return catalog_.classes().Delete(uid_, request->name()); });
  }

  grpc::Status List(grpc::ServerContext*, const v1::ListClassesRequest*,
                    v1::ListClassesResponse* response) override {
    return Guarded("class list", [&]() -> Status {
      ASSIGN_OR_RETURN(const std::vector<v1::Class> classes, catalog_.classes().List(uid_));
      for (const v1::Class& one : classes) *response->add_classes() = one;
      return Ok();
    });
  }

 private:
  Catalog& catalog_;
  const uid_t uid_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeClassService(Repository* repository, const rpc::Caller& caller) {
  return std::make_unique<ClassServiceImpl>(repository, caller.uid);
}

}  // namespace strata::imaged
