#include "layerfs/objects/object_server.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <optional>
#include <vector>

#include "common/file_io.h"
#include "common/log.h"
#include "layerfs/object_mount.h"
#include "layerfs/objects/fetch_queue.h"
#include "layerfs/objects/interruptible.h"
#include "layerfs/objects/object_nodes.h"
#include "layerfs/server/request_loop.h"
#include "layerfs/server/server_life.h"

namespace strata::layerfs {
namespace {

constexpr double kForever = 86400;  // Seconds. An object never changes.
constexpr size_t kDirectoryNameSize = 2;

struct Server {
  Server(const ObjectServerOptions& server_options, ObjectSource& object_source, ServerState& state)
      : options(server_options),
        source(object_source),
        nodes(state),
        queue(source, options.fetch_threads_max),
        requests(queue) {}

  const ObjectServerOptions& options;
  ObjectSource& source;
  UniqueFd objects;
  std::atomic<bool> passthrough{false};
  ObjectNodes nodes;
  FetchQueue queue;
  InterruptibleRequests requests;  // Uses the queue, so it goes first.
};

Server& ServerOf(fuse_req_t req) { return *static_cast<Server*>(fuse_req_userdata(req)); }

// Runs `body(server)`; nothing that is thrown leaves a callback.
template <typename Body>
void Guarded(fuse_req_t req, const Body& body) {
  try {
    body(ServerOf(req));
  } catch (const std::bad_alloc&) {
    fuse_reply_err(req, ENOMEM);
  } catch (const std::exception& exception) {
    LOG_ERROR(std::string("request failed: ") + exception.what());
    fuse_reply_err(req, EIO);
  }
}

bool IsDirectory(fuse_ino_t number) { return number < kFirstObject; }

struct stat DirectoryAttributes(fuse_ino_t number) {
  struct stat st = {};
  st.st_ino = number;
  st.st_mode = S_IFDIR | 0500;  // Whoever may use an object reaches it through a root.
  st.st_nlink = 2;
  return st;
}

struct stat ObjectAttributes(const Digest& digest, uint64_t size) {
  struct stat st = {};
  st.st_ino = ObjectNodes::NumberOf(digest);
  st.st_mode = S_IFREG | 0444;
  st.st_nlink = 1;
  st.st_size = static_cast<off_t>(size);
  st.st_blksize = 4096;
  st.st_blocks = static_cast<blkcnt_t>((size + 511) / 512);
  return st;
}

std::optional<uint64_t> LocalSize(const Server& server, const Digest& digest) {
  struct stat st;
  const std::string path = digest.ObjectPath();
  if (::fstatat(server.objects.get(), path.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return std::nullopt;
  }
  return static_cast<uint64_t>(st.st_size);
}

struct Attributes {
  struct stat st;
  double timeout;
};

// Attributes of an object that is not here are not kept: its size may be unknown yet.
Result<Attributes> AttributesOf(Server& server, const Digest& digest, bool need_size) {
  if (const auto size = LocalSize(server, digest)) {
    return Attributes{ObjectAttributes(digest, *size), kForever};
  }
  if (!need_size) return Attributes{ObjectAttributes(digest, 0), 0};
  StandAside();
  ASSIGN_OR_RETURN(const uint64_t size, server.source.SizeOf(digest));
  return Attributes{ObjectAttributes(digest, size), 0};
}

void ReplyFailure(fuse_req_t req, const Digest& digest, const Error& error) {
  LOG_ERROR("object " + digest.ToString() + ": " + error.message());
  fuse_reply_err(req, EIO);
}

void Init(void* userdata, fuse_conn_info* conn) {
  Server& server = *static_cast<Server*>(userdata);
  // File handles: overlayfs turns its index off where a layer has none.
  for (const uint64_t wanted :
       {FUSE_CAP_EXPORT_SUPPORT, FUSE_CAP_PARALLEL_DIROPS, FUSE_CAP_ASYNC_READ}) {
    fuse_set_feature_flag(conn, wanted);
  }
  for (const uint64_t unwanted : {FUSE_CAP_SPLICE_READ, FUSE_CAP_SPLICE_WRITE, FUSE_CAP_SPLICE_MOVE,
                                  FUSE_CAP_AUTO_INVAL_DATA}) {
    fuse_unset_feature_flag(conn, unwanted);
  }
  if (!server.options.passthrough) return;
  if (!fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH)) {
    LOG_WARNING("this kernel has no FUSE passthrough: objects are read through the daemon");
    return;
  }
  conn->max_backing_stack_depth = FUSE_BACKING_STACKED_UNDER;  // Overlayfs is mounted over us.
  server.passthrough = true;
}

fuse_entry_param DirectoryEntry(fuse_ino_t number) {
  fuse_entry_param entry = {};
  entry.ino = number;
  entry.attr = DirectoryAttributes(number);
  entry.attr_timeout = entry.entry_timeout = kForever;
  return entry;
}

void ReplyObject(fuse_req_t req, Server& server, const Digest& digest) {
  const ObjectNodePtr node = server.nodes.Acquire(digest);
  if (node == nullptr) {
    ReplyFailure(req, digest, Error(Code::kUnsupported, "its number is another object's"));
    return;
  }
  fuse_entry_param entry = {};
  entry.ino = ObjectNodes::NumberOf(digest);
  const auto attributes = AttributesOf(server, digest, !server.passthrough);
  if (attributes.ok()) {
    entry.attr = attributes->st;
    entry.attr_timeout = attributes->timeout;
    entry.entry_timeout = kForever;
    if (fuse_reply_entry(req, &entry) == 0) return;
  } else {
    ReplyFailure(req, digest, attributes.error());
  }
  server.nodes.Forget(entry.ino, 1);
}

// "ab" in the root; -1 for what is no directory.
int DirectoryByte(std::string_view name) {
  if (name.size() != kDirectoryNameSize) return -1;
  const auto digest = Digest::FromHex(std::string(name) + std::string(62, '0'));
  return digest.ok() ? digest->bytes()[0] : -1;
}

void Lookup(fuse_req_t req, fuse_ino_t parent, const char* name_text) {
  Guarded(req, [&](Server& server) {
    const std::string_view name = name_text;
    // "." of a number: how the kernel opens a file handle.
    if (name == "." && !IsDirectory(parent)) {
      const ObjectNodePtr node = server.nodes.Find(parent);
      if (node == nullptr) {
        fuse_reply_err(req, ESTALE);
      } else {
        ReplyObject(req, server, node->digest);
      }
      return;
    }
    if (name == "." || name == "..") {
      const fuse_entry_param entry = DirectoryEntry(name == "." ? parent : kObjectsRoot);
      fuse_reply_entry(req, &entry);
      return;
    }
    if (parent == kObjectsRoot) {
      const int byte = DirectoryByte(name);
      if (byte < 0) {
        fuse_reply_err(req, ENOENT);
        return;
      }
      const fuse_entry_param entry =
          DirectoryEntry(kFirstDirectory + static_cast<fuse_ino_t>(byte));
      fuse_reply_entry(req, &entry);
      return;
    }
    static constexpr char kHex[] = "0123456789abcdef";
    const auto byte = static_cast<unsigned>(parent - kFirstDirectory);
    const auto digest =
        IsDirectory(parent)
            ? Digest::FromHex(std::string{kHex[byte >> 4], kHex[byte & 15]} + std::string(name))
            : Result<Digest>(Errno("lookup", ENOTDIR));
    if (!digest.ok()) {
      fuse_reply_err(req, ENOENT);
      return;
    }
    ReplyObject(req, server, *digest);
  });
}

void Forget(fuse_req_t req, fuse_ino_t number, uint64_t lookups) {
  ServerOf(req).nodes.Forget(number, lookups);
  fuse_reply_none(req);
}

void ForgetMulti(fuse_req_t req, size_t count, fuse_forget_data* forgets) {
  for (size_t i = 0; i < count; ++i) {
    ServerOf(req).nodes.Forget(forgets[i].ino, forgets[i].nlookup);
  }
  fuse_reply_none(req);
}

void GetAttributes(fuse_req_t req, fuse_ino_t number, fuse_file_info*) {
  Guarded(req, [&](Server& server) {
    if (IsDirectory(number)) {
      const struct stat st = DirectoryAttributes(number);
      fuse_reply_attr(req, &st, kForever);
      return;
    }
    const ObjectNodePtr node = server.nodes.Find(number);
    if (node == nullptr) {
      fuse_reply_err(req, ESTALE);
      return;
    }
    const auto attributes = AttributesOf(server, node->digest, /*need_size=*/true);
    if (attributes.ok()) {
      fuse_reply_attr(req, &attributes->st, attributes->timeout);
    } else {
      ReplyFailure(req, node->digest, attributes.error());
    }
  });
}

// Makes the kernel read the object from `fd`, or through us where it cannot. REQUIRES: node.mutex.
void StartReading(fuse_req_t req, Server& server, ObjectNode& node, UniqueFd fd) {
  node.backing_id = 0;
  if (server.passthrough.load(std::memory_order_relaxed)) {
    node.backing_id = fuse_passthrough_open(req, fd.get());
    if (node.backing_id > 0) return;
    node.backing_id = 0;
    if (errno != EMFILE && errno != ENFILE && errno != ENOMEM &&
        server.passthrough.exchange(false)) {
      LOG_WARNING(Errno("no passthrough here, objects are read through the daemon").message());
    }
  }
  node.fd = std::make_shared<const UniqueFd>(std::move(fd));
}

// REQUIRES: node.mutex, and no file is open.
void EndReading(fuse_req_t req, Server& server, ObjectNode& node) {
  const int32_t backing_id = std::exchange(node.backing_id, 0);
  const auto fd = std::exchange(node.fd, nullptr);
  server.nodes.RecordOpen(node);  // Before the numbers can be used again.
  if (backing_id > 0 && fuse_passthrough_close(req, backing_id) < 0) {
    LOG_WARNING(Errno("close a backing file").message());
  }
}

void CloseFile(fuse_req_t req, Server& server, uint64_t handle) {
  const ObjectNodePtr node = server.nodes.CloseHandle(handle);
  if (node == nullptr) return;
  const std::lock_guard lock(node->mutex);
  if (--node->open_count == 0) EndReading(req, server, *node);
}

// kNotFound when the object is not in the folder.
Status OpenLocal(fuse_req_t req, Server& server, ObjectNode& node, fuse_file_info* fi) {
  const std::lock_guard lock(node.mutex);
  if (node.open_count == 0) {
    ASSIGN_OR_RETURN(UniqueFd fd,
                     OpenAt(server.objects.get(), node.digest.ObjectPath(), O_RDONLY | O_NOFOLLOW));
    StartReading(req, server, node, std::move(fd));
    server.nodes.RecordOpen(node);
  }
  fi->fh = server.nodes.OpenHandle(ObjectNodes::NumberOf(node.digest));
  if (fi->fh == 0) {
    if (node.open_count == 0) EndReading(req, server, node);
    return Errno("too many objects are open", ENFILE);
  }
  ++node.open_count;
  fi->backing_id = node.backing_id;
  fi->keep_cache = node.backing_id > 0 ? 0 : 1;  // The kernel refuses both at once.
  fi->noflush = 1;
  return Ok();
}

void ReplyOpen(fuse_req_t req, Server& server, const fuse_file_info& fi) {
  // The session's data of a request that was answered may be gone: what is needed is at hand.
  if (fuse_reply_open(req, &fi) != 0) CloseFile(req, server, fi.fh);
}

void Open(fuse_req_t req, fuse_ino_t number, fuse_file_info* fi) {
  Guarded(req, [&](Server& server) {
    const ObjectNodePtr node = server.nodes.Find(number);
    if (node == nullptr) {
      fuse_reply_err(req, ESTALE);
      return;
    }
    if ((fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC) != 0) {
      fuse_reply_err(req, EROFS);
      return;
    }
    const Status opened = OpenLocal(req, server, *node, fi);
    if (opened.ok()) {
      ReplyOpen(req, server, *fi);
      return;
    }
    if (opened.error().sys_errno() != ENOENT) {
      ReplyFailure(req, node->digest, opened.error());
      return;
    }
    const fuse_file_info asked = *fi;
    server.requests.Wait(req, node->digest, /*verify=*/false,
                         [&server, node, asked](fuse_req_t waited, const Status& fetched) {
                           if (!fetched.ok()) {
                             fuse_reply_err(waited, EIO);  // The queue has told why.
                             return;
                           }
                           fuse_file_info answer = asked;
                           const Status status = OpenLocal(waited, server, *node, &answer);
                           if (status.ok()) {
                             ReplyOpen(waited, server, answer);
                           } else {
                             ReplyFailure(waited, node->digest, status.error());
                           }
                         });
  });
}

void Release(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) {
  Guarded(req, [&](Server& server) {
    CloseFile(req, server, fi->fh);
    fuse_reply_err(req, 0);
  });
}

void Read(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, fuse_file_info*) {
  Guarded(req, [&](Server& server) {
    const ObjectNodePtr node = server.nodes.Find(number);
    std::shared_ptr<const UniqueFd> fd;
    if (node != nullptr) {
      const std::lock_guard lock(node->mutex);
      fd = node->fd;
    }
    if (fd == nullptr) {
      fuse_reply_err(req, EIO);
      return;
    }
    StandAside();
    std::vector<char> buffer(size);
    const ssize_t n = ::pread(fd->get(), buffer.data(), size, offset);
    if (n < 0) {
      fuse_reply_err(req, errno);
    } else {
      fuse_reply_buf(req, buffer.data(), static_cast<size_t>(n));
    }
  });
}

void SetXattr(fuse_req_t req, fuse_ino_t number, const char* name, const char*, size_t, int) {
  Guarded(req, [&](Server& server) {
    const ObjectNodePtr node = server.nodes.Find(number);
    if (node == nullptr || std::strcmp(name, kProvideXattr) != 0) {
      fuse_reply_err(req, EOPNOTSUPP);
      return;
    }
    server.requests.Wait(req, node->digest, /*verify=*/true,
                         [](fuse_req_t waited, const Status& provided) {
                           fuse_reply_err(waited, provided.ok() ? 0 : EIO);
                         });
  });
}

void StatFileSystem(fuse_req_t req, fuse_ino_t) {
  Guarded(req, [&](Server& server) {
    struct statvfs st;
    if (::fstatvfs(server.objects.get(), &st) != 0) {
      fuse_reply_err(req, errno);
    } else {
      fuse_reply_statfs(req, &st);
    }
  });
}

fuse_lowlevel_ops Operations() {
  fuse_lowlevel_ops ops = {};
  ops.init = Init;
  ops.lookup = Lookup;
  ops.forget = Forget;
  ops.forget_multi = ForgetMulti;
  ops.getattr = GetAttributes;
  ops.open = Open;
  ops.release = Release;
  ops.read = Read;
  ops.setxattr = SetXattr;
  ops.statfs = StatFileSystem;
  return ops;
}

}  // namespace

Result<int> ServeObjects(const ObjectServerOptions& options, ObjectSource& source) {
  UniqueFd connection(options.fuse_fd);
  ASSIGN_OR_RETURN(ServerLife life, ServerLife::Begin(options.state));
  const fuse_lowlevel_ops ops = Operations();
  FuseSessionPtr session(nullptr, fuse_session_destroy);
  Server server(options, source,
                life.state());  // After the session: fetches that end late still answer.
  ASSIGN_OR_RETURN(server.objects, strata::Open(options.objects_dir, O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(session, OpenFuseSession(std::move(connection), ops, &server, options.debug));
  return life.Serve(session.get(), {options.fuse_fd}, options.threads_max, options.on_ready);
}

}  // namespace strata::layerfs
