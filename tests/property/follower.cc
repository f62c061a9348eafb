#include "tests/property/follower.h"

#include <errno.h>

namespace strata::property {
namespace {

bool IsRefusal(const Operation& op, int error) {
  if (op.kind == Kind::kSetAcl) return error == EOPNOTSUPP;
  if (op.kind == Kind::kRemoveAcl) return error == EOPNOTSUPP || error == ENODATA;
  return error == (op.kind == Kind::kCopyRange ? EXDEV : EEXIST);
}

}  // namespace

Follower::Follower(Target target, const std::string& root, Model model)
    : target_(target),
      root_(root),
      model_(std::move(model)),
      executor_(root),
      checker_(model_, MayBeFuse(target)) {}

std::string Follower::Step(const Operation& op) {
  const std::optional<Id> refused = MayRefuse(op);
  const Inode before = refused ? model_.inode(*refused) : Inode();
  const bool from_image = op.kind == Kind::kReopen && model_.handle(op.slot) &&
                          model_.handle(op.slot)->image_data != nullptr;
  const Expected expected = model_.Apply(op);
  if (expected.skip) return "";
  if (op.kind == Kind::kRemount) {
    executor_.CloseAll();
    return "";
  }
  const Outcome outcome = executor_.Apply(op);
  if (outcome.error == 0) ++succeeded_;
  if (refused && expected.error == 0 && IsRefusal(op, outcome.error)) {
    model_.Restore(*refused, before);
    return "";
  }
  const bool reopen_refused = (MayBeFuse(target_) && outcome.error == ESTALE) ||
                              (MayBeOverlayfs(target_) && outcome.error == EEXIST);
  if (from_image && reopen_refused) {
    model_.CloseSlot(op.other_slot);
    executor_.Close(op.other_slot);
    return "";
  }
  return checker_.CheckOutcome(op, expected, outcome);
}

std::string Follower::CheckAll(const std::string& path) {
  const std::optional<Id> id = model_.Find(path);
  if (!id) return path + " is not in the model";
  const std::string full = path.empty() ? root_ : root_ + "/" + path;
  if (std::string text = checker_.CheckTree(full, *id); !text.empty()) return text;
  return checker_.CheckHandles(executor_);
}

// The inode on which overlayfs may refuse `op`: ACLs of what is only in the lower, attributes of
// what was there and has lost its name, copies from another file system.
std::optional<Id> Follower::MayRefuse(const Operation& op) const {
  if (!MayBeOverlayfs(target_)) return std::nullopt;
  if (op.kind == Kind::kSetAcl || op.kind == Kind::kRemoveAcl) {
    return model_.Find(op.path, /*follow=*/true);
  }
  if (op.kind == Kind::kCopyRange && model_.handle(op.other_slot)) {
    return model_.handle(op.other_slot)->inode;
  }
  const auto& handle = model_.handle(op.slot);
  if ((op.kind != Kind::kFchmod && op.kind != Kind::kFutimens) || !handle) return std::nullopt;
  const Inode& inode = model_.inode(handle->inode);
  if (!inode.from_image || inode.links != 0) return std::nullopt;
  return handle->inode;
}

}  // namespace strata::property
