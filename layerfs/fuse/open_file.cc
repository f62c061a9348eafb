#include "layerfs/fuse/open_file.h"

#include <fcntl.h>

#include <unordered_map>

namespace strata::layerfs {
namespace {

// So many open files may keep a descriptor here for the requests that follow (attributes of a file
// that is being written); beyond, it is opened when it is needed. Far below RLIMIT_NOFILE.
constexpr int kKeptDescriptorsMax = 2048;

// Read-write for upper data, whatever the first opener asked for: the others share it. Immutable
// and append-only files, and file systems that are read-only, allow less.
Result<UniqueFd> OpenForIo(const UnionFs& fs, const Inode& inode) {
  if (inode.HasUpperData()) {
    auto content = fs.OpenContentLocked(inode, O_RDWR);
    if (content.ok()) return std::move(content->fd);
    const int number = content.error().sys_errno();
    if (number != EPERM && number != EACCES && number != EROFS) return content.error();
  }
  ASSIGN_OR_RETURN(LowerTree::Content content, fs.OpenContentLocked(inode, O_RDONLY));
  return std::move(content.fd);
}

SharedFd Share(UniqueFd fd) { return std::make_shared<const UniqueFd>(std::move(fd)); }

// `made` is read-write for a file that was just created, and O_PATH otherwise.
void KeepDescriptor(Session& session, const Inode& inode, UniqueFd made, OpenState* state) {
  if (!inode.HasUpperData() || (::fcntl(made.get(), F_GETFL) & O_PATH) != 0) return;
  if (session.kept_descriptors.fetch_add(1, std::memory_order_relaxed) >= kKeptDescriptorsMax) {
    session.kept_descriptors.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  state->kept = true;
  state->fd = Share(std::move(made));
}

// Registers a backing file. False: ordinary reads and writes, because the kernel cannot.
bool TryPassthrough(fuse_req_t req, Session& session, int fd, OpenState* state) {
  state->backing_id = fuse_passthrough_open(req, fd);
  if (state->backing_id > 0) return true;
  state->backing_id = 0;
  if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) return false;
  if (session.passthrough.exchange(false)) {
    LOG_WARNING(Errno("no passthrough on this file system, files go through the daemon").message());
  }
  return false;
}

Status StartState(fuse_req_t req, Session& session, const Inode& inode, UniqueFd made,
                  OpenState* state) {
  if (session.passthrough.load(std::memory_order_relaxed)) {
    if (!made.valid()) {
      ASSIGN_OR_RETURN(LowerTree::Content content, session.fs->OpenContentLocked(inode, O_PATH));
      if (!content.fd.valid()) {
        state->bytes = content.bytes;
        return Ok();
      }
      made = std::move(content.fd);
    }
    if (TryPassthrough(req, session, made.get(), state)) {
      KeepDescriptor(session, inode, std::move(made), state);
      return Ok();
    }
  }
  if (!inode.HasUpperData()) {
    ASSIGN_OR_RETURN(LowerTree::Content content, session.fs->OpenContentLocked(inode, O_RDONLY));
    state->bytes = content.bytes;
    if (content.fd.valid()) state->fd = Share(std::move(content.fd));
    return Ok();
  }
  ASSIGN_OR_RETURN(UniqueFd fd, OpenForIo(*session.fs, inode));
  state->fd = Share(std::move(fd));
  return Ok();
}

// REQUIRES: nobody uses `state` any more.
void EndState(fuse_req_t req, Session& session, uint64_t number, OpenState* state) {
  session.nodes.RecordOpen(number, nullptr, false);  // Before the numbers can be used again.
  if (state->backing_id > 0 && fuse_passthrough_close(req, state->backing_id) < 0) {
    LOG_WARNING(Errno("close a backing file").message());
  }
  if (state->kept) session.kept_descriptors.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace

Status AttachFile(fuse_req_t req, uint64_t number, const Node& node, UniqueFd made,
                  fuse_file_info* fi) {
  Session& session = SessionOf(req);
  Inode& inode = *node.inode;
  const std::lock_guard lock(inode.mutex);
  if (!node.IsCurrent()) return Errno("open", ESTALE);
  std::shared_ptr<OpenState> state = inode.open;
  if (state == nullptr) {
    state = std::make_shared<OpenState>();
    RETURN_IF_ERROR(StartState(req, session, inode, std::move(made), state.get()));
  }
  const uint64_t handle = session.handles.Enter({node.inode, state, number});
  if (handle == 0) {
    if (state->count == 0) EndState(req, session, number, state.get());
    return Errno("open", ENFILE);
  }
  if (++state->count == 1) {
    session.nodes.RecordOpen(number, state.get(), !inode.HasUpperData());
    inode.open = state;
  }
  fi->backing_id = state->backing_id;
  // Pages that were cached before an inode's first passthrough open may be old; the tree's are not.
  fi->keep_cache = state->bytes.data() != nullptr || !session.options.passthrough ? 1 : 0;
  fi->noflush = 1;  // Nothing is buffered here.
  fi->parallel_direct_writes = 1;
  fi->fh = handle;
  return Ok();
}

void DetachFile(fuse_req_t req, uint64_t handle) {
  Session& session = SessionOf(req);
  const OpenFile file = session.handles.Remove(handle);
  if (file.inode == nullptr) return;
  const std::lock_guard lock(file.inode->mutex);
  if (--file.state->count > 0) return;
  if (file.inode->open == file.state) file.inode->open.reset();
  EndState(req, session, file.node, file.state.get());
}

Result<int> FileDescriptor(Session& session, const OpenFile& file) {
  const std::lock_guard lock(file.inode->mutex);
  OpenState& state = *file.state;
  if (state.fd != nullptr) return state.fd->get();
  if (state.bytes.data() != nullptr) return -1;
  if (file.inode->open != file.state) {
    // The data was replaced since, by a copy-up: what this file reads is the lower data.
    ASSIGN_OR_RETURN(LowerTree::Content content,
                     session.fs->lower().OpenContent(*file.inode->lower, O_RDONLY));
    state.fd = Share(std::move(content.fd));
  } else {
    ASSIGN_OR_RETURN(UniqueFd fd, OpenForIo(*session.fs, *file.inode));
    state.fd = Share(std::move(fd));
  }
  session.nodes.RecordOpen(file.node, &state, file.inode->open != file.state);
  return state.fd->get();
}

namespace {

// What the record says of the files that are open on node `number`.
std::shared_ptr<OpenState> StateOf(Session& session, const Inode& inode, const NodeRecord& record) {
  auto state = std::make_shared<OpenState>();
  state->backing_id = record.backing_id.load();
  if (const int fd = record.io_fd.load(); fd >= 0) state->fd = Share(UniqueFd(fd));
  const bool below = record.open_below.load() != 0;
  if (state->backing_id == 0 && state->fd == nullptr && below && inode.lower) {
    const auto content = session.fs->lower().OpenContent(*inode.lower, O_PATH);
    if (content.ok()) state->bytes = content->bytes;
  }
  return state;
}

}  // namespace

void AdoptOpenFiles(Session& session) {
  std::unordered_map<uint64_t, std::shared_ptr<OpenState>> states;  // By node.
  for (const auto& [handle, number] : session.handles.RecordedHandles()) {
    const Node node = session.nodes.Find(number);
    if (node.inode == nullptr) {
      session.handles.Remove(handle);
      continue;
    }
    const NodeRecord& record = session.state.node(NodeTable::SlotOf(number));
    std::shared_ptr<OpenState>& state = states[number];
    if (state == nullptr) {
      state = StateOf(session, *node.inode, record);
      const std::lock_guard lock(node.inode->mutex);
      // The server died between the copy of the data and the new epoch.
      if (record.open_below.load() != 0 && node.inode->HasUpperData() && node.IsCurrent()) {
        node.inode->epoch.fetch_add(1);
      }
      if (node.IsCurrent()) node.inode->open = state;
    }
    ++state->count;
    session.handles.Adopt(handle, {node.inode, state, number});
  }
  // Whose last file was being closed when the server died.
  for (const uint64_t number : session.nodes.RecordedNumbers()) {
    if (!states.contains(number)) session.nodes.RecordOpen(number, nullptr, false);
  }
}

}  // namespace strata::layerfs
