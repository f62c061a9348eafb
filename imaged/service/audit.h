// Calls that change or give away something: each is an event (imaged/events/event_log.h), whether
// it succeeded or was refused.
#pragma once

#include <sys/types.h>

#include <string>

#include "common/printable.h"
#include "imaged/api/events.pb.h"
#include "imaged/repository/repository.h"
#include "imaged/service/call.h"

namespace strata::imaged {

// As a handler knows it before it runs. It may say more in the event: which image it came to be.
v1::Event EventOf(const char* action, uid_t uid, const std::string& image);
// The image as everybody calls it, and whose it is.
void SetImage(const v1::Image& image, v1::Event* event);
// "public, +group:staff until 2026-12-01T12:00Z, -user:bob"
std::string DescribeShare(const v1::ShareRequest& request);
// Adds who that is, unless it says, and how it ended, and records it.
void RecordOutcome(Repository* repository, v1::Event event, const Status& status);

// `handler` takes the event and answers how the call ended.
template <typename Handler>
grpc::Status Audited(Repository* repository, v1::Event event, Handler handler) {
  const RequestScope request;
  const std::string action = event.action();
  const Status status = GuardedStatus(action.c_str(), [&] { return handler(&event); });
  RecordOutcome(repository, std::move(event), status);
  return rpc::ToGrpc(status);
}

}  // namespace strata::imaged
