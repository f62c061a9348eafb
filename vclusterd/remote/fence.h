// Fence: pauses nodes that may be made anew elsewhere when this host has heard no master for a
// while (Obedience).
#pragma once

#include <functional>
#include <stop_token>
#include <thread>

#include "vclusterd/remote/obedience.h"

namespace strata::vcluster {

class Fence {
 public:
  // `pause` on a thread of this, once per silence. `obedience` must outlive this.
  Fence(Obedience& obedience, std::function<void()> pause)
      : thread_([&obedience, pause = std::move(pause)](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            obedience.AwaitSilence(stop);
            if (obedience.FallSilent(Obedience::Clock::now())) pause();
          }
        }) {}

 private:
  std::jthread thread_;
};

}  // namespace strata::vcluster
