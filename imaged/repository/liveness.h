// Liveness: which layers must stay. Those of images that have a record, of leases, and of what
// running operations hold.
//
// A collection (imaged/repository/collector.h) marks and then removes, while operations go on. What
// it must not miss is a layer that was found just before and is named just after. Therefore
// finding and holding is one step against marking; and what is held at any time of a collection
// counts until its end, because the name that takes over from the hold may be younger than the
// mark.
//
// Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "common/digest.h"
#include "common/result.h"
#include "imaged/catalog/catalog.h"

namespace strata::imaged {

// Layers, bottom first.
using LayerStack = std::vector<Digest>;

class Liveness {
 public:
  explicit Liveness(Catalog& catalog) : catalog_(catalog) {}

  // Keeps a stack of layers while it lives.
  class Hold {
   public:
    Hold(Hold&& other) noexcept
        : liveness_(std::exchange(other.liveness_, nullptr)), stack_(std::move(other.stack_)) {}
    Hold& operator=(Hold&&) = delete;
    ~Hold() {
      if (liveness_ != nullptr) liveness_->Release(stack_);
    }
    const LayerStack& stack() const { return stack_; }

   private:
    friend class Liveness;
    Hold(Liveness* liveness, LayerStack stack) : liveness_(liveness), stack_(std::move(stack)) {}
    Liveness* liveness_;
    LayerStack stack_;
  };
  struct HeldImage {
    v1::Image image;
    Hold hold;
  };
  // The image that `find` answers, held.
  Result<HeldImage> HoldFound(const std::function<Result<v1::Image>()>& find);
  // Held if `test` says so, as one step against marking.
  std::optional<Hold> HoldIf(LayerStack stack, const std::function<bool()>& test);
  // A layer that is about to be made, or is there already without anybody's name; or a part of a
  // stack that is held, so that its tree stays too.
  Hold HoldStack(LayerStack stack);

  struct Roots {
    std::set<Digest> layers;
    std::set<Digest> named;  // They are there. Others may be to come, or be on another host.
    std::set<LayerStack> stacks;
    void Add(LayerStack stack) {
      layers.insert(stack.begin(), stack.end());
      stacks.insert(std::move(stack));
    }
  };
  // From Begin to End nothing that was ever held is given up. One collection at a time:
  // kFailedPrecondition.
  class Epoch {
   public:
    Epoch(Epoch&& other) noexcept : liveness_(std::exchange(other.liveness_, nullptr)) {}
    Epoch& operator=(Epoch&&) = delete;
    ~Epoch();

   private:
    friend class Liveness;
    explicit Epoch(Liveness* liveness) : liveness_(liveness) {}
    Liveness* liveness_;
  };
  Result<Epoch> BeginEpoch();
  // `without`: keys of image records (imaged/catalog/reference.h) that are taken for deleted.
  Result<Roots> Mark(const std::set<std::string>& without = {});
  // The layers of images and leases: what operations hold for a while does not count.
  Result<std::set<Digest>> NamedLayers();
  // Calls `remove` with what is live at that moment; nothing can be held meanwhile. For short work.
  Status WithRoots(const std::function<Status(const Roots&)>& remove);

 private:
  void Release(const LayerStack& stack);
  Result<Roots> MarkNamed(const std::set<std::string>& without);
  Result<Roots> MarkLocked(const std::set<std::string>& without);

  Catalog& catalog_;
  std::mutex mutex_;  // Guards the rest, and makes finding and holding one step.
  std::map<LayerStack, size_t> held_;
  std::vector<LayerStack> released_;  // During an epoch: still counted in held_.
  bool epoch_ = false;
};

}  // namespace strata::imaged
