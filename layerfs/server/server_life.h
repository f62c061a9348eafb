// What the FUSE servers (roots, object mount) do alike: begin, or take the place of one that died,
// and serve.
//
//   ASSIGN_OR_RETURN(ServerLife life, ServerLife::Begin(options.state));
//   …open what is needed; when life.takes_over(), adopt what life.state() records…
//   return life.Serve(session, kept, threads, on_ready);
#pragma once

#include <fuse_lowlevel.h>

#include <functional>
#include <memory>
#include <vector>

#include "common/result.h"
#include "layerfs/server/server_state.h"

namespace strata::layerfs {

class ServerLife {
 public:
  // `given`: what outlives this process; null: nothing does. REQUIRES: this process has opened
  // nothing that it wants to keep besides what it was given.
  static Result<ServerLife> Begin(ServerState* given);

  ServerState& state() const { return *state_; }
  bool takes_over() const { return takes_over_; }

  // Closes what the server before had open and nobody needs (`kept` is needed), negotiates with the
  // kernel, calls `on_ready` if no server of this mount ever was ready, and serves until the mount
  // is gone: the exit code of the process. REQUIRES: what the state records is adopted.
  Result<int> Serve(fuse_session* session, std::vector<int> kept, unsigned threads,
                    const std::function<void()>& on_ready);

 private:
  ServerLife() = default;
  std::unique_ptr<ServerState> own_;
  ServerState* state_ = nullptr;
  bool takes_over_ = false;
  std::vector<int> inherited_;
};

}  // namespace strata::layerfs
