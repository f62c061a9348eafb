// Saves: of one node, and of all nodes of a Vcluster that are here as of one moment.
#include <condition_variable>
#include <thread>

#include "common/log.h"
#include "common/parallel.h"
#include "vclusterd/host/host_nodes.h"
#include "vclusterd/host/node_save.h"

namespace strata::vcluster {
namespace {

using Clock = std::chrono::steady_clock;

// Copies, and images that are published, at a time: they share a disk.
constexpr size_t kCopyThreads = 4;
// Freezing mostly waits for the kernel.
constexpr size_t kFreezeThreads = 32;

class LocalPartSave final : public PartSave {
 public:
  struct Member {
    std::shared_ptr<void> node;               // Keeps the mutex.
    std::unique_lock<std::timed_mutex> work;  // Nobody else changes or saves it.
    std::unique_ptr<NodeSave> save;           // Ends first.
    std::string id;
  };

  explicit LocalPartSave(std::vector<Member> members)
      : members_(std::move(members)), begun_(Clock::now()) {}
  ~LocalPartSave() override {
    Release();
    if (watch_.joinable()) watch_.join();
  }

  Status Copy() override {
    return OnAll(kCopyThreads, [](NodeSave& save) { return save.FirstRound(); });
  }

  Status Freeze() override {
    {
      const std::lock_guard lock(mutex_);
      state_ = State::kFrozen;
    }
    frozen_at_ = Clock::now();
    watch_ = std::thread([this] { ThawWhenForgotten(); });
    return OnAll(kFreezeThreads, [](NodeSave& save) { return save.Freeze(); });
  }

  Status Take() override {
    {
      const std::lock_guard lock(mutex_);
      if (state_ != State::kFrozen) {
        return Error(Code::kDeadlineExceeded,
                     "the nodes run on, because the save did not go on within " +
                         std::to_string(kFrozenMax.count()) + " s: try again");
      }
      state_ = State::kTaken;
      changed_.notify_all();
    }
    RETURN_IF_ERROR(OnAll(kCopyThreads, [](NodeSave& save) -> Status {
      RETURN_IF_ERROR(save.SecondRound());
      return save.Thaw();
    }));
    stall_ = Clock::now() - frozen_at_;
    return Ok();
  }

  void Release() override {
    {
      const std::lock_guard lock(mutex_);
      state_ = State::kReleased;
      changed_.notify_all();
    }
    ThawAll();
  }

  Result<std::vector<SaveNodeResult>> Finish() override {
    std::vector<SaveNodeResult> results(members_.size());
    RETURN_IF_ERROR(ParallelFor(
        members_.size(),
        [&](size_t i) -> Status {
          ASSIGN_OR_RETURN(results[i].image, members_[i].save->Finish(), "node " + members_[i].id);
          results[i].stall = stall_;
          results[i].total = Clock::now() - begun_;
          return Ok();
        },
        kCopyThreads));
    return results;
  }

 private:
  enum class State { kRuns, kFrozen, kTaken, kReleased };

  template <typename Step>
  Status OnAll(size_t threads, Step step) {
    return ParallelFor(
        members_.size(),
        [&](size_t i) -> Status {
          RETURN_IF_ERROR(step(*members_[i].save), "node " + members_[i].id);
          return Ok();
        },
        threads);
  }

  void ThawAll() {
    const std::lock_guard lock(thaw_mutex_);
    for (Member& member : members_) {
      if (Status thawed = member.save->Thaw(); !thawed.ok()) {
        LOG_ERROR("node " + member.id + " may still be frozen: " + thawed.error().message());
      }
    }
  }

  void ThawWhenForgotten() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kFrozenMax, [&] { return state_ != State::kFrozen; });
    if (state_ != State::kFrozen) return;
    state_ = State::kReleased;
    lock.unlock();
    LOG_WARNING("a save of several nodes did not go on: they are thawed");
    ThawAll();
  }

  std::vector<Member> members_;
  const Clock::time_point begun_;
  Clock::time_point frozen_at_;
  std::chrono::nanoseconds stall_{0};
  std::mutex thaw_mutex_;  // One ThawAll at a time.
  std::mutex mutex_;       // Guards state_.
  std::condition_variable changed_;
  State state_ = State::kRuns;
  std::thread watch_;
};

}  // namespace

Result<SaveNodeResult> HostNodes::Save(uint32_t number, uint32_t index,
                                       const SaveNodeParameters& parameters,
                                       const NodeLife::ProgressFn& progress,
                                       const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const Job before, JobOn(number, index));
  const std::lock_guard working(before.node->work);
  ASSIGN_OR_RETURN(const Job job, JobOn(number, index));
  if (job.node != before.node) return Error(Code::kUnavailable, "it was just made anew: try again");
  if (!job.local.made()) return Error(Code::kFailedPrecondition, "it is not ready yet");
  RETURN_IF_ERROR(CheckNotHeld(job));
  return life_->Save(job.id, job.local, job.id_first, job.record, parameters, progress, cancel);
}

Result<std::unique_ptr<PartSave>> HostNodes::StartSave(uint32_t number,
                                                       const std::vector<PartSaveNode>& nodes) {
  std::vector<LocalPartSave::Member> members;
  std::set<uint32_t> seen;
  for (const PartSaveNode& node : nodes) {
    if (!seen.insert(node.index).second) {
      return Error(Code::kInvalidArgument, "node " + NodeId(number, node.index) + " twice");
    }
    ASSIGN_OR_RETURN(Job job, JobOn(number, node.index));
    LocalPartSave::Member& member = members.emplace_back();
    member.id = job.id;
    member.node = job.node;
    // Others hold one node or wait for none, so waiting for the next while holding some ends.
    member.work = std::unique_lock(job.node->work);
    ASSIGN_OR_RETURN(job, JobOn(number, node.index));
    if (job.node != member.node) {
      return Error(Code::kUnavailable, "node " + job.id + " was just made anew: try again");
    }
    if (!job.local.made()) {
      return Error(Code::kFailedPrecondition, "node " + job.id + " is not ready yet");
    }
    RETURN_IF_ERROR(CheckNotHeld(job));
    ASSIGN_OR_RETURN(member.save, life_->BeginSave(job.id, job.local, job.id_first, job.record,
                                                   node.parameters));
  }
  return std::unique_ptr<PartSave>(std::make_unique<LocalPartSave>(std::move(members)));
}

Result<host::v1::ImagesResponse> HostNodes::ChangeImages(const host::v1::ImagesRequest& request) {
  host::v1::ImagesResponse response;
  imaged::HostImageClient& images = life_->images();
  for (const std::string& reference : request.references()) {
    if (request.change() == host::v1::IMAGES_REMOVE) {
      RETURN_IF_ERROR(images.DeleteImage(reference, /*force=*/false));
    } else if (request.change() == host::v1::IMAGES_COUNT_SECRETS) {
      ASSIGN_OR_RETURN(const uint64_t secrets, images.CountSecrets(reference));
      response.set_secrets(response.secrets() + secrets);
    } else if (request.change() == host::v1::IMAGES_PRESTAGE) {
      ASSIGN_OR_RETURN(
          const auto failures,
          images.PrestageImage(reference, {request.hosts().begin(), request.hosts().end()}));
      for (const std::string& failure : failures) response.add_failures(failure);
    } else {
      return Error(Code::kInvalidArgument, "no change of images");
    }
  }
  return response;
}

}  // namespace strata::vcluster
