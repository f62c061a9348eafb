#include "layerfs/fuse/fuse_server.h"

#include <sched.h>
#include <sys/stat.h>
#include <time.h>

#include "layerfs/fuse/rights.h"
#include "layerfs/fuse/session.h"
#include "layerfs/fuse/takeover.h"
#include "layerfs/server/request_loop.h"
#include "layerfs/server/server_life.h"

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
       {FUSE_CAP_PARALLEL_DIROPS, FUSE_CAP_READDIRPLUS, FUSE_CAP_NO_OPENDIR_SUPPORT,
        FUSE_CAP_ATOMIC_O_TRUNC, FUSE_CAP_ASYNC_READ, FUSE_CAP_ASYNC_DIO, FUSE_CAP_EXPORT_SUPPORT,
        FUSE_CAP_DONT_MASK, FUSE_CAP_POSIX_ACL, FUSE_CAP_HANDLE_KILLPRIV_V2,
        FUSE_CAP_CACHE_SYMLINKS}) {
    fuse_set_feature_flag(conn, wanted);
  }
  // Splice costs more than it saves when data does not come here; the first version of KILLPRIV
  // would shadow the second; nobody else changes the files, so a new mtime means no new data; which
  // entries come with attributes is decided in ops_directory.cc.
  for (const uint64_t unwanted :
       {FUSE_CAP_SPLICE_READ, FUSE_CAP_SPLICE_WRITE, FUSE_CAP_SPLICE_MOVE, FUSE_CAP_HANDLE_KILLPRIV,
        FUSE_CAP_AUTO_INVAL_DATA, FUSE_CAP_IOCTL_DIR, FUSE_CAP_READDIRPLUS_AUTO}) {
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

// New files get exactly the mode that is asked for, and set-id bits go where they must.
Status PrepareThread() {
  if (::unshare(CLONE_FS) != 0) return Errno("unshare");
  ::umask(0);
  return LowerRights();
}

}  // namespace

Result<int> ServeFuse(const FuseServerOptions& options) {
  UniqueFd connection(options.fuse_fd);
  ASSIGN_OR_RETURN(ServerLife life, ServerLife::Begin(options.state));
  RETURN_IF_ERROR(PrepareThread());
  ASSIGN_OR_RETURN(std::unique_ptr<UnionFs> fs, UnionFs::Open(options.root));
  Session session(options, std::move(fs), life.state());
  uint64_t& generation = life.state().header().generation;
  if (life.takes_over()) {
    RETURN_IF_ERROR(TakeOver(session), "take over");
  } else {
    timespec now;
    ::clock_gettime(CLOCK_REALTIME, &now);
    generation = static_cast<uint32_t>(now.tv_sec);
  }
  session.generation = generation;

  const fuse_lowlevel_ops ops = Operations();
  ASSIGN_OR_RETURN(const FuseSessionPtr fuse,
                   OpenFuseSession(std::move(connection), ops, &session, options.debug));
  session.fuse = fuse.get();
  return life.Serve(fuse.get(), options.kept_fds, options.threads_max, options.on_ready);
}

}  // namespace strata::layerfs
