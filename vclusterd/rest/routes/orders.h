// Orders for operations that are done with whichever master leads when they run.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "vclusterd/rest/services.h"

namespace strata::vcluster::rest {

template <typename T>
using OrderWork = std::function<Result<Json>(T& with, const Caller& caller,
                                             const OperationBook::ProgressFn& progress,
                                             const CancelToken& cancel)>;

// `source`: &Services::clusters, &Services::classes. REQUIRES: the caller may.
template <typename T>
OperationBook::Order OrderWith(Source<T> Services::*source, const Exchange& exchange,
                               Operation right, Target target, bool cancellable,
                               OrderWork<T> work) {
  return {
      right, std::move(target), cancellable,
      [&services = exchange.services, source, caller = exchange.caller, work = std::move(work)](
          const OperationBook::ProgressFn& progress, const CancelToken& cancel) -> Result<Json> {
        ASSIGN_OR_RETURN(const std::shared_ptr<T> with, (services.*source)());
        return work(*with, caller, progress, cancel);
      }};
}

}  // namespace strata::vcluster::rest
