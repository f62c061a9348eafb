// One call to a daemon that Ctrl-C cancels.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include "tools/cli/interrupt.h"

namespace strata::tools {

class Call {
 public:
  Call() : watcher_([this] { context_.TryCancel(); }) {}

  grpc::ClientContext* context() { return &context_; }
  bool interrupted() const { return watcher_.interrupted(); }

 private:
  grpc::ClientContext context_;
  InterruptWatcher watcher_;  // Last: it uses the context.
};

}  // namespace strata::tools
