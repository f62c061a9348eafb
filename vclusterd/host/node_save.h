// NodeSave: one save of one node, step by step; NodeLife::BeginSave makes it. Used by one thread at
// a time. Destroyed before Finish it saves nothing, and the node runs on.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/result.h"
#include "imaged/client/host_image_client.h"
#include "migrate/diff_rounds.h"
#include "vclusterd/runtime/node_runtime.h"

namespace strata::vcluster {

class NodeSave final : public migrate::FreezableContainer {
 public:
  // `record`: of a node that runs. `at_end` lets go of what the save held.
  NodeSave(const NodeRuntime& runtime, std::optional<NodeRecord> record,
           std::unique_ptr<imaged::SaveSession> session, std::function<void()> at_end)
      : runtime_(runtime),
        record_(std::move(record)),
        session_(std::move(session)),
        at_end_(std::move(at_end)) {}
  ~NodeSave() override;

  bool running() const { return record_.has_value(); }
  Status FirstRound() { return session_->FirstRound(); }
  // Nothing happens to a node that does not run.
  Status Freeze() override;
  // Fine when it is not frozen.
  Status Thaw() override;
  Status SecondRound() { return session_->SecondRound(); }
  Result<imaged::SavedImage> Finish() { return session_->Finish(); }

 private:
  const NodeRuntime& runtime_;
  const std::optional<NodeRecord> record_;
  std::unique_ptr<imaged::SaveSession> session_;
  const std::function<void()> at_end_;
  std::atomic<bool> frozen_ = false;
};

}  // namespace strata::vcluster
