// The calls of a build that are under way, so that Ctrl-C or another stage's failure ends all of
// them. Thread-safe.
#pragma once

#include <grpcpp/client_context.h>

#include <mutex>
#include <set>

#include "common/result.h"
#include "tools/cli/tool.h"

namespace strata::tools {

class OpenCalls {
 public:
  // Ends every call that is open, and every one that is opened later.
  void Cancel() {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    for (grpc::ClientContext* context : open_) context->TryCancel();
  }
  Status Check() const {
    const std::lock_guard lock(mutex_);
    return cancelled_ ? Status(Error(Code::kCancelled, "cancelled: nothing was built")) : Ok();
  }

  // One call's context.
  class Call {
   public:
    explicit Call(OpenCalls& calls) : calls_(calls) {
      const std::lock_guard lock(calls_.mutex_);
      calls_.open_.insert(&context_);
      if (calls_.cancelled_) context_.TryCancel();
    }
    ~Call() {
      const std::lock_guard lock(calls_.mutex_);
      calls_.open_.erase(&context_);
    }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    grpc::ClientContext* context() { return &context_; }

   private:
    OpenCalls& calls_;
    grpc::ClientContext context_;
  };

  // One question and its answer. `method` is a call of a service's stub.
  template <typename Stub, typename Request, typename Response>
  Result<Response> Ask(Stub& stub, Daemon daemon,
                       grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                    Response*),
                       const Request& request) {
    Call call(*this);
    Response response;
    const grpc::Status status = (stub.*method)(call.context(), request, &response);
    if (!status.ok()) return CallError(status, daemon);
    return response;
  }

 private:
  mutable std::mutex mutex_;  // Guards all.
  std::set<grpc::ClientContext*> open_;
  bool cancelled_ = false;
};

}  // namespace strata::tools
