// A call that streams progress and then one result (ClustersEvent, ApplyEvent, …).
#pragma once

#include <grpcpp/grpcpp.h>

#include <optional>
#include <string>

#include "tools/cli/call.h"
#include "tools/cli/progress.h"
#include "tools/cli/tool.h"

namespace strata::tools {

// Shows progress until the call ends; its result. `when_cancelled` says what has become of it then.
template <typename Event>
auto Follow(Tool& tool, Call& call, grpc::ClientReader<Event>& reader, const std::string& what,
            const std::string& when_cancelled)
    -> Result<std::decay_t<decltype(std::declval<Event>().result())>> {
  std::optional<std::decay_t<decltype(std::declval<Event>().result())>> result;
  {
    ProgressLine progress(tool.console(), what, tool.json());
    Event event;
    while (reader.Read(&event)) {
      if (event.has_result()) {
        result = std::move(*event.mutable_result());
      } else {
        const auto& at = event.progress();
        progress.Update({at.stage(), at.done(), at.total(), false, 0});
      }
    }
  }
  const grpc::Status status = reader.Finish();
  if (call.interrupted() && !status.ok()) return Error(Code::kCancelled, when_cancelled);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  if (!result) return Error(Code::kInternal, "vclusterd ended the call without a result");
  return std::move(*result);
}

}  // namespace strata::tools
