// ServerState: what the kernel knows of a server and must find again in the next one, when the
// process was killed or replaced (docs/takeover.md): node numbers and the inodes behind them, open
// handles, and what was negotiated. It lies in a memory file, so that it outlives the process
// without a write to any disk; it ends with the last descriptor of the memory file, that is with
// the mount.
//
// Records are plain data with fixed layouts. The process that writes them may die between any two
// stores, so a record is filled before it is marked as used, and whatever can be found again
// elsewhere (attributes, names, places in the tree) is not kept here.
//
// Not thread-safe: NodeTable, HandleTable and Session guard their parts.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::layerfs {

// Of the layout below. A server adopts only its own version.
inline constexpr uint32_t kServerStateVersion = 2;

inline constexpr char kServerStateName[] = "layerfs-state";

inline constexpr uint32_t kNodesMax = 1u << 24;    // Inodes that the kernel remembers at once.
inline constexpr uint32_t kHandlesMax = 1u << 20;  // Open files at once.
inline constexpr size_t kServerThreadsMax = 64;
inline constexpr size_t kInitRequestMax = 256;
inline constexpr size_t kOpcodesMax = 64;  // Kinds of requests; those above count as the last.

// RENAME_EXCHANGE cannot tell from the disk whether it was done: who does it says so before.
struct ExchangeIntent {
  std::atomic<uint64_t> request;  // The kernel's number of it; 0: none.
  uint64_t source_ino;            // st_ino of the first name before the exchange.
};

// Requests of one kind that were answered since the mount was made, and how long that took.
struct RequestCount {
  std::atomic<uint64_t> count;
  std::atomic<uint64_t> nanoseconds;
};

struct StateHeader {
  uint32_t magic;
  uint32_t version;
  uint64_t generation;  // Of the entries that the kernel was given.
  // The kernel's FUSE_INIT request: libfuse is given it again in the next process.
  std::atomic<uint32_t> init_size;
  unsigned char init[kInitRequestMax];
  std::atomic<uint32_t> serving;  // Not 0: a server was ready once.
  uint64_t listing_seed;  // Of the places of names in directories.
  // All slots in use are below these.
  std::atomic<uint32_t> nodes_end;
  std::atomic<uint32_t> handles_end;
  ExchangeIntent exchanges[kServerThreadsMax];
  RequestCount requests[kOpcodesMax];
};

enum class RecordUse : uint32_t { kFree = 0, kUsed = 1 };

struct NodeRecord {
  std::atomic<RecordUse> use;
  uint32_t generation;  // Of the slot: numbers are never used twice.
  uint64_t lookups;
  uint64_t st_ino;
  uint64_t lower;  // Nid + 1; 0: none.
  uint32_t file_type;
  uint32_t epoch;
  // The upper inode: by handle, or by a descriptor that is open as long as it stands here.
  std::atomic<uint64_t> upper_ino;  // 0: none. Written last.
  int32_t handle_type;
  uint32_t handle_size;
  unsigned char handle[40];
  std::atomic<int32_t> pinned_fd;
  // Of the files that are open on this node.
  std::atomic<int32_t> backing_id;   // 0: none.
  std::atomic<int32_t> io_fd;        // -1: none.
  std::atomic<uint32_t> open_below;  // The open files' data is the tree's.
};

struct HandleRecord {
  std::atomic<uint64_t> node;  // The node's number; 0: free.
  uint32_t generation;
  uint32_t reserved;
};

class ServerState {
 public:
  static Result<std::unique_ptr<ServerState>> Create();
  // kFailedPrecondition: another version's. Takes `fd` over.
  static Result<std::unique_ptr<ServerState>> Adopt(UniqueFd fd);
  // Of another process, to look at: nothing of it may be changed. Errors as of Adopt.
  static Result<std::unique_ptr<ServerState>> View(UniqueFd fd);
  ~ServerState();
  ServerState(const ServerState&) = delete;

  int fd() const { return fd_.get(); }
  StateHeader& header() { return *static_cast<StateHeader*>(memory_); }
  NodeRecord& node(uint32_t slot);
  HandleRecord& handle(uint32_t slot);
  // What the nodes name: the next server needs them.
  std::vector<int> DescriptorsInUse();

 private:
  ServerState(UniqueFd fd, void* memory) : fd_(std::move(fd)), memory_(memory) {}
  static Result<std::unique_ptr<ServerState>> Map(UniqueFd fd, int protection);
  static Result<std::unique_ptr<ServerState>> MapExisting(UniqueFd fd, int protection);

  UniqueFd fd_;
  void* memory_;
};

}  // namespace strata::layerfs
