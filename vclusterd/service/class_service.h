// TemplateService and ClassService (vclusterd/api/class_service.proto) for one caller: convert,
// call Templates and Classes, convert back.
#pragma once

#include <functional>
#include <memory>

#include "common/rpc/local_server.h"
#include "vclusterd/classes/classes.h"

namespace strata::vcluster {

// What a call works with; an error where this process has no master that leads.
using ClassesSource = std::function<Result<std::shared_ptr<Classes>>()>;

std::unique_ptr<grpc::Service> MakeTemplateService(ClassesSource classes, rpc::Caller caller);
std::unique_ptr<grpc::Service> MakeClassService(ClassesSource classes, rpc::Caller caller);

}  // namespace strata::vcluster
