#include "tools/vimage/build/parallel_stages.h"

#include <algorithm>
#include <condition_variable>
#include <optional>
#include <thread>
#include <vector>

namespace strata::tools {
namespace {

using imaged::build::PlannedStage;

class Scheduler {
 public:
  explicit Scheduler(BuildContext& context) : context_(context) {
    for (const PlannedStage& stage : context.plan.stages) waiting_.push_back(&stage);
  }

  void Work() {
    while (const PlannedStage* stage = Take()) {
      // A copy: the map grows while other stages end.
      const auto built = Built();
      StageBuilder builder(context_, *stage, built);
      Result<BuiltStage> result = builder.Build();
      const std::lock_guard lock(mutex_);
      if (result.ok()) {
        built_[stage->stage] = std::make_shared<const BuiltStage>(std::move(*result));
      } else if (!error_) {
        error_ = result.error();
        context_.calls.Cancel();
      }
      changed_.notify_all();
    }
  }

  Result<std::map<size_t, std::shared_ptr<const BuiltStage>>> Finish() {
    if (error_) return *error_;
    return std::move(built_);
  }

 private:
  std::map<size_t, std::shared_ptr<const BuiltStage>> Built() {
    const std::lock_guard lock(mutex_);
    return built_;
  }

  // The next stage that can begin; null: none is left, or the build failed.
  const PlannedStage* Take() {
    std::unique_lock lock(mutex_);
    while (true) {
      if (error_ || waiting_.empty()) return nullptr;
      const auto ready = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto* stage) {
        return std::all_of(stage->waits_for.begin(), stage->waits_for.end(),
                           [&](size_t other) { return built_.contains(other); });
      });
      if (ready != waiting_.end()) {
        const PlannedStage* taken = *ready;
        waiting_.erase(ready);
        return taken;
      }
      changed_.wait(lock);
    }
  }

  BuildContext& context_;
  std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  std::vector<const PlannedStage*> waiting_;
  std::map<size_t, std::shared_ptr<const BuiltStage>> built_;
  std::optional<Error> error_;
};

}  // namespace

Result<std::map<size_t, std::shared_ptr<const BuiltStage>>> BuildStages(BuildContext& context,
                                                                        size_t at_once) {
  Scheduler scheduler(context);
  std::vector<std::thread> workers;
  const size_t count = std::min(at_once, context.plan.stages.size());
  for (size_t i = 0; i < count; ++i) workers.emplace_back([&] { scheduler.Work(); });
  for (std::thread& worker : workers) worker.join();
  return scheduler.Finish();
}

}  // namespace strata::tools
