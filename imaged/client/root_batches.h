// RootBatches: one call for all who want a root of the same image at the same time, as the nodes of
// a class do. Whoever comes first asks at once; who comes while that call is under way waits, and
// is asked for by the next one together with the others who came. Thread-safe.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "imaged/client/host_image_client.h"

namespace strata::imaged {

class RootBatches {
 public:
  static constexpr size_t kLeasesMax = 64;  // Of a call: etcd commits 128 operations at most.
  using Call = std::function<Result<AcquiredRoot>(const std::string& reference, uint32_t uid,
                                                  const std::vector<std::string>& leases)>;

  explicit RootBatches(Call call) : call_(std::move(call)) {}

  // What the call answered that asked for this lease, too; where it failed for several, what a call
  // for this one alone answers.
  Result<AcquiredRoot> Acquire(const std::string& reference, uint32_t uid,
                               const std::string& lease);
  // So many are asked for by no call yet.
  size_t waiting() const;

 private:
  struct Batch {
    std::vector<std::string> leases;
    std::optional<Result<AcquiredRoot>> answer;
  };
  struct Queue {
    bool calls = false;
    std::shared_ptr<Batch> next;  // Null: nobody waits.
  };

  const Call call_;
  mutable std::mutex mutex_;  // Guards the following, and batches; not held during a call.
  std::condition_variable changed_;
  std::map<std::pair<std::string, uint32_t>, Queue> queues_;  // Those in use.
  size_t waiting_ = 0;
};

}  // namespace strata::imaged
