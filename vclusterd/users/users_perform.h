// Users::Perform, for the files that implement Users.
#pragma once

#include "common/log.h"
#include "vclusterd/users/users.h"

namespace strata::vcluster {

template <typename Do>
auto Users::Perform(const Caller& caller, Operation operation, const Target& target,
                    const std::string& detail, const Do& run) -> decltype(run()) {
  const RequestScope request;
  RETURN_IF_ERROR(Authorize(caller, operation, target));
  auto done = run();
  Record(caller, operation, target, detail, done.ok() ? Ok() : Status(done.error()));
  return done;
}

}  // namespace strata::vcluster
