#include "layerfs/fuse/session_loop.h"

#include <string>

#include "common/log.h"

namespace strata::layerfs {
namespace {

struct FuseArguments {
  ~FuseArguments() { fuse_opt_free_args(&args); }
  fuse_args args = FUSE_ARGS_INIT(0, nullptr);
};

}  // namespace

Result<FuseSessionPtr> OpenFuseSession(UniqueFd connection, const fuse_lowlevel_ops& ops,
                                       void* userdata, bool debug) {
  FuseArguments arguments;
  if (fuse_opt_add_arg(&arguments.args, "layerfs") != 0 ||
      (debug && fuse_opt_add_arg(&arguments.args, "-d") != 0)) {
    return Errno("FUSE session", ENOMEM);
  }
  FuseSessionPtr session(fuse_session_new(&arguments.args, &ops, sizeof(ops), userdata),
                         fuse_session_destroy);
  if (session == nullptr) return Error(Code::kInternal, "libfuse refuses to make a session");
  const std::string device = "/dev/fd/" + std::to_string(connection.get());
  if (fuse_session_mount(session.get(), device.c_str()) != 0) {
    return Error(Code::kInvalidArgument, device + ": not a FUSE connection");
  }
  [[maybe_unused]] const int taken_over = connection.release();
  return session;
}

Result<int> LoopFuseSession(fuse_session* session, unsigned threads_max) {
  const std::unique_ptr<fuse_loop_config, void (*)(fuse_loop_config*)> config(
      fuse_loop_cfg_create(), fuse_loop_cfg_destroy);
  if (config == nullptr) return Errno("FUSE loop", ENOMEM);
  fuse_loop_cfg_set_clone_fd(config.get(), 1);
  fuse_loop_cfg_set_max_threads(config.get(), threads_max);
  fuse_loop_cfg_set_idle_threads(config.get(), threads_max);
  const int result = fuse_session_loop_mt(session, config.get());
  // The kernel tells a reader that raced with the end of the connection so: the mount is gone.
  if (result >= 0 || result == -ECONNABORTED) return 0;
  LOG_ERROR(Errno("FUSE loop", -result).message());
  return 1;
}

}  // namespace strata::layerfs
