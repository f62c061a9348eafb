#include "imaged/repository/liveness.h"

namespace strata::imaged {

Result<Liveness::HeldImage> Liveness::HoldFound(const std::function<Result<v1::Image>()>& find) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(v1::Image image, find());
  ASSIGN_OR_RETURN(LayerStack stack, LayerDigests(image));
  ++held_[stack];
  return HeldImage{std::move(image), Hold(this, std::move(stack))};
}

std::optional<Liveness::Hold> Liveness::HoldIf(LayerStack stack,
                                               const std::function<bool()>& test) {
  const std::lock_guard lock(mutex_);
  if (!test()) return std::nullopt;
  ++held_[stack];
  return Hold(this, std::move(stack));
}

Liveness::Hold Liveness::HoldStack(LayerStack stack) {
  const std::lock_guard lock(mutex_);
  ++held_[stack];
  return Hold(this, std::move(stack));
}

void Liveness::Release(const LayerStack& stack) {
  const std::lock_guard lock(mutex_);
  if (epoch_) {
    released_.push_back(stack);
    return;
  }
  const auto it = held_.find(stack);
  if (--it->second == 0) held_.erase(it);
}

Result<Liveness::Epoch> Liveness::BeginEpoch() {
  const std::lock_guard lock(mutex_);
  if (epoch_) return Error(Code::kFailedPrecondition, "a collection runs already");
  epoch_ = true;
  return Epoch(this);
}

Liveness::Epoch::~Epoch() {
  if (liveness_ == nullptr) return;
  std::vector<LayerStack> released;
  {
    const std::lock_guard lock(liveness_->mutex_);
    liveness_->epoch_ = false;
    released.swap(liveness_->released_);
  }
  for (const LayerStack& stack : released) liveness_->Release(stack);
}

Result<Liveness::Roots> Liveness::Mark(const std::set<std::string>& without) {
  const std::lock_guard lock(mutex_);
  return MarkLocked(without);
}

Status Liveness::WithRoots(const std::function<Status(const Roots&)>& remove) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const Roots roots, MarkLocked({}));
  return remove(roots);
}

Result<std::set<Digest>> Liveness::NamedLayers() {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(Roots roots, MarkNamed({}));
  return std::move(roots.layers);
}

Result<Liveness::Roots> Liveness::MarkLocked(const std::set<std::string>& without) {
  ASSIGN_OR_RETURN(Roots roots, MarkNamed(without));
  // Those of a catalog that several hosts share may be on another one.
  if (!catalog_.shared()) roots.named = roots.layers;
  for (const auto& [stack, count] : held_) roots.Add(stack);
  return roots;
}

Result<Liveness::Roots> Liveness::MarkNamed(const std::set<std::string>& without) {
  Roots roots;
  const auto add = [&roots](LayerStack stack) { roots.Add(std::move(stack)); };
  // From the records, and not from the index: one that is damaged stops the collection.
  RETURN_IF_ERROR(catalog_.images().ForEachStack([&](const std::string& key, LayerStack stack) {
    if (!without.contains(key)) add(std::move(stack));
  }));
  RETURN_IF_ERROR(
      catalog_.leases().ForEach([&](const std::string&, const v1::Image& image) -> Status {
        ASSIGN_OR_RETURN(LayerStack stack, LayerDigests(image));
        add(std::move(stack));
        return Ok();
      }));
  return roots;
}

}  // namespace strata::imaged
