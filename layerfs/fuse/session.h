// Session: what the FUSE callbacks share, and how they answer. A callback finds its inodes, calls
// UnionFs, and replies; errors become errno in ReplyError, exceptions in Guarded.
#pragma once

#include <fuse_lowlevel.h>

#include <atomic>
#include <exception>
#include <memory>
#include <new>

#include "common/log.h"
#include "layerfs/fuse/fuse_server.h"
#include "layerfs/fuse/handle_table.h"
#include "layerfs/fuse/listing_cache.h"
#include "layerfs/fuse/node_table.h"
#include "layerfs/fuse/union_fs.h"

namespace strata::layerfs {

// Everything changes through this mount only, and where the union changes under a node (epochs) it
// is told (docs/locks.md), so names and attributes may stay cached.
inline constexpr double kCacheSeconds = 86400;

struct Session {
  Session(const FuseServerOptions& server_options, std::unique_ptr<UnionFs> union_fs,
          ServerState& server_state)
      : options(server_options),
        state(server_state),
        fs(std::move(union_fs)),
        nodes(fs->root(), state),
        handles(state) {
    fs->SetUpperObserver(&nodes);
  }

  const FuseServerOptions& options;
  ServerState& state;
  std::unique_ptr<UnionFs> fs;
  NodeTable nodes;
  HandleTable handles;
  ListingCache listings;
  fuse_session* fuse = nullptr;
  uint64_t generation = 0;  // Tells this mount's file handles from an earlier one's.
  std::atomic<bool> passthrough{false};
  std::atomic<int> kept_descriptors{0};
};

inline Session& SessionOf(fuse_req_t req) { return *static_cast<Session*>(fuse_req_userdata(req)); }

int ErrnoOf(const Error& error);
void ReplyError(fuse_req_t req, const Error& error);
void ReplyStatus(fuse_req_t req, const Status& status);
// A name that was looked up or made. An entry without inode is cached as absent.
void ReplyEntry(fuse_req_t req, const Result<Entry>& entry);
// With a lookup of the kernel's on it. kResourceExhausted: the kernel knows too many inodes.
Result<fuse_entry_param> EntryParam(Session& session, const Entry& entry);
Caller CallerOf(fuse_req_t req);
// Attributes of `node`: not cached when its inode has had another node.
double AttributeTimeout(const Node& node);
// Copies up. When that replaced the data of an open file, the old node's attributes are dropped.
Status CopyUpForWrite(Session& session, uint64_t number, const Node& node, CopyUpMode mode);

// Runs `body(session, node)` for the inode with this number.
template <typename Body>
void Guarded(fuse_req_t req, fuse_ino_t number, const Body& body) {
  try {
    Session& session = SessionOf(req);
    const Node node = session.nodes.Find(number);
    if (node.inode == nullptr) {
      fuse_reply_err(req, ESTALE);
      return;
    }
    body(session, node);
  } catch (const std::bad_alloc&) {
    fuse_reply_err(req, ENOMEM);
  } catch (const std::exception& exception) {
    LOG_ERROR(std::string("request failed: ") + exception.what());
    fuse_reply_err(req, EIO);
  }
}

// The callbacks, by file.
void AddNameOps(fuse_lowlevel_ops* ops);       // ops_names.cc
void AddAttributeOps(fuse_lowlevel_ops* ops);  // ops_attributes.cc
void AddFileOps(fuse_lowlevel_ops* ops);       // ops_files.cc
void AddIoOps(fuse_lowlevel_ops* ops);         // ops_io.cc
void AddDirectoryOps(fuse_lowlevel_ops* ops);  // ops_directory.cc

}  // namespace strata::layerfs
