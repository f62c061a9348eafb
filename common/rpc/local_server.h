// A gRPC server on a Unix socket whose handlers know their caller.
//
// The kernel names the peer of every accepted connection (SO_PEERCRED). gRPC does not pass that on
// to handlers, and its names for connections are reused, so a handler could mistake one caller for
// another. Therefore every uid gets a grpc::Server of its own, with service objects made for this
// Caller: the identity is a property of the object that runs the call and cannot be confused.
//
// What one user can hold is bounded: connections, calls per connection, threads. Room for root is
// kept always, so nobody locks the host's own daemons out.
//
// Thread-safe. Handlers run on gRPC's threads.
#pragma once

#include <grpcpp/impl/codegen/service_type.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/result.h"

namespace strata::rpc {

struct Caller {
  uid_t uid = 0;
  bool IsRoot() const { return uid == 0; }
};

class LocalServer {
 public:
  // Makes the services for one caller; called once per uid that has connections. They are dropped
  // when others need the room and none of its connections is left.
  using ServiceFactory = std::function<std::vector<std::unique_ptr<grpc::Service>>(const Caller&)>;

  // Listens at `socket_path` (any user may connect; a stale socket of a dead daemon is replaced).
  // kAlreadyExists when a live daemon answers there.
  static Result<std::unique_ptr<LocalServer>> Start(const std::string& socket_path,
                                                    ServiceFactory factory);
  virtual ~LocalServer() = default;

  // Stops accepting, lets running calls end until `grace` is over, cancels the rest.
  virtual void Shutdown(std::chrono::milliseconds grace) = 0;
};

// Blocks SIGTERM and SIGINT in this thread and all that it starts later; WaitForStopSignal then
// waits for one of them. Call the first before any thread is started.
void BlockStopSignals();
void WaitForStopSignal();

}  // namespace strata::rpc
