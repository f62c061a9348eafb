#include "imaged/service/class_service.h"

#include "imaged/api/imaged.grpc.pb.h"
#include "imaged/service/audit.h"

namespace strata::imaged {
namespace {

class ClassServiceImpl final : public v1::ClassService::Service {
 public:
  ClassServiceImpl(Repository* repository, uid_t uid)
      : repository_(repository), catalog_(repository->catalog()), uid_(uid) {}

  grpc::Status Change(grpc::ServerContext*, const v1::ChangeClassRequest* request,
                      v1::ChangeClassResponse* response) override {
    return Audited(repository_, EventOf("class change", uid_, request->name()),
                   [&](v1::Event* done) -> Status {
                     for (const std::string& name : request->add()) Add('+', name, done);
                     for (const std::string& name : request->remove()) Add('-', name, done);
                     ASSIGN_OR_RETURN(*response->mutable_changed(),
                                      catalog_.classes().Change(uid_, *request, catalog_.Now()));
                     return Ok();
                   });
  }

  grpc::Status Delete(grpc::ServerContext*, const v1::DeleteClassRequest* request,
                      v1::DeleteClassResponse*) override {
    return Audited(repository_, EventOf("class delete", uid_, request->name()),
                   [&](v1::Event*) { return catalog_.classes().Delete(uid_, request->name()); });
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
  static void Add(char sign, const std::string& member, v1::Event* event) {
    constexpr size_t kDetailMax = 8000;
    std::string* const detail = event->mutable_detail();
    if (detail->size() > kDetailMax) return;
    if (!detail->empty()) *detail += ", ";
    *detail += sign + Printable(member);
  }

  Repository* const repository_;
  Catalog& catalog_;
  const uid_t uid_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeClassService(Repository* repository, const rpc::Caller& caller) {
  return std::make_unique<ClassServiceImpl>(repository, caller.uid);
}

}  // namespace strata::imaged
