#include "layerfs/fuse/fuse_server.h"

#include <sched.h>
#include <sys/stat.h>
#include <time.h>

#include "layerfs/fuse/rights.h"
#include "layerfs/fuse/session.h"

namespace strata::layerfs {
namespace {

constexpr unsigned kMaxWriteBytes = 1 << 20;

void NegotiatePassthrough(Session* session, fuse_conn_info* conn) {
  if (!session->options.passthrough) return;
  if (!fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH)) {
    LOG_WARNING("this kernel has no FUSE passthrough: files go through the daemon");
    return;
  }
  // So that overlayfs can be mounted over us, inside of the container.
  conn->max_backing_stack_depth = FUSE_BACKING_STACKED_UNDER;
  session->passthrough = true;
}

void Init(void* userdata, fuse_conn_info* conn) {
  Session* session = static_cast<Session*>(userdata);
  for (const uint64_t wanted :
       {FUSE_CAP_PARALLEL_DIROPS, FUSE_CAP_READDIRPLUS, FUSE_CAP_READDIRPLUS_AUTO,
        FUSE_CAP_ATOMIC_O_TRUNC, FUSE_CAP_ASYNC_READ, FUSE_CAP_ASYNC_DIO, FUSE_CAP_EXPORT_SUPPORT,
        FUSE_CAP_DONT_MASK, FUSE_CAP_POSIX_ACL, FUSE_CAP_HANDLE_KILLPRIV_V2,
        FUSE_CAP_CACHE_SYMLINKS}) {
    fuse_set_feature_flag(conn, wanted);
  }
  // Splice costs more than it saves when data does not come here; the first version of KILLPRIV
  // would shadow the second; nobody else changes the files, so a new mtime means no new data.
  for (const uint64_t unwanted :
       {FUSE_CAP_SPLICE_READ, FUSE_CAP_SPLICE_WRITE, FUSE_CAP_SPLICE_MOVE, FUSE_CAP_HANDLE_KILLPRIV,
        FUSE_CAP_AUTO_INVAL_DATA, FUSE_CAP_IOCTL_DIR}) {
    fuse_unset_feature_flag(conn, unwanted);
  }
  conn->max_write = kMaxWriteBytes;
  conn->no_interrupt = 1;
  NegotiatePassthrough(session, conn);
}

fuse_lowlevel_ops Operations() {
  fuse_lowlevel_ops ops = {};
  ops.init = Init;
  AddNameOps(&ops);
  AddAttributeOps(&ops);
  AddFileOps(&ops);
  AddIoOps(&ops);
  AddDirectoryOps(&ops);
  return ops;
}

struct FuseArguments {
  ~FuseArguments() { fuse_opt_free_args(&args); }
  fuse_args args = FUSE_ARGS_INIT(0, nullptr);
};

Result<int> Loop(fuse_session* fuse, unsigned threads_max) {
  const std::unique_ptr<fuse_loop_config, void (*)(fuse_loop_config*)> config(
      fuse_loop_cfg_create(), fuse_loop_cfg_destroy);
  if (config == nullptr) return Errno("FUSE loop", ENOMEM);
  fuse_loop_cfg_set_clone_fd(config.get(), 1);
  fuse_loop_cfg_set_max_threads(config.get(), threads_max);
  fuse_loop_cfg_set_idle_threads(config.get(), threads_max);
  const int result = fuse_session_loop_mt(fuse, config.get());
  // The kernel tells a reader that raced with the end of the connection so: the mount is gone.
  if (result >= 0 || result == -ECONNABORTED) return 0;
  LOG_ERROR(Errno("FUSE loop", -result).message());
  return 1;
}

// New files get exactly the mode that is asked for, and set-id bits go where they must.
Status PrepareThread() {
  if (::unshare(CLONE_FS) != 0) return Errno("unshare");
  ::umask(0);
  return LowerRights();
}

}  // namespace

Result<int> ServeFuse(const FuseServerOptions& options) {
  UniqueFd connection(options.fuse_fd);
  RETURN_IF_ERROR(PrepareThread());
  ASSIGN_OR_RETURN(std::unique_ptr<UnionFs> fs, UnionFs::Open(options.root));
  Session session(options, std::move(fs));
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  session.generation = static_cast<uint32_t>(now.tv_sec);

  FuseArguments arguments;
  if (fuse_opt_add_arg(&arguments.args, "layerfs") != 0 ||
      (options.debug && fuse_opt_add_arg(&arguments.args, "-d") != 0)) {
    return Errno("FUSE session", ENOMEM);
  }
  const fuse_lowlevel_ops ops = Operations();
  const std::unique_ptr<fuse_session, void (*)(fuse_session*)> fuse(
      fuse_session_new(&arguments.args, &ops, sizeof(ops), &session), fuse_session_destroy);
  if (fuse == nullptr) return Error(Code::kInternal, "libfuse refuses to make a session");
  const std::string device = "/dev/fd/" + std::to_string(connection.get());
  if (fuse_session_mount(fuse.get(), device.c_str()) != 0) {
    return Error(Code::kInvalidArgument, device + ": not a FUSE connection");
  }
  [[maybe_unused]] const int taken_over = connection.release();
  session.fuse = fuse.get();
  if (options.on_ready) options.on_ready();
  return Loop(fuse.get(), options.threads_max);
}

}  // namespace strata::layerfs
