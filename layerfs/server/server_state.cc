#include "layerfs/server/server_state.h"

#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

namespace strata::layerfs {
namespace {

constexpr uint32_t kMagic = 0x53544c46;  // "STLF"
constexpr size_t kHandlesAt = 4096;
constexpr size_t kNodesAt = kHandlesAt + size_t{kHandlesMax} * sizeof(HandleRecord);
constexpr size_t kSize = kNodesAt + size_t{kNodesMax} * sizeof(NodeRecord);

static_assert(sizeof(StateHeader) <= kHandlesAt);
static_assert(std::atomic<uint64_t>::is_always_lock_free);
static_assert(std::atomic<RecordUse>::is_always_lock_free);

}  // namespace

Result<std::unique_ptr<ServerState>> ServerState::Map(UniqueFd fd, int protection) {
  // Sparse: only records that were used once take memory.
  void* memory = ::mmap(nullptr, kSize, protection, MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
  if (memory == MAP_FAILED) return Errno("map the server's state");
  return std::unique_ptr<ServerState>(new ServerState(std::move(fd), memory));
}

Result<std::unique_ptr<ServerState>> ServerState::Create() {
  UniqueFd fd(::memfd_create(kServerStateName, MFD_CLOEXEC));
  if (!fd.valid()) return Errno("memfd_create");
  if (::ftruncate(fd.get(), static_cast<off_t>(kSize)) != 0) return Errno("size the state");
  ASSIGN_OR_RETURN(std::unique_ptr<ServerState> state,
                   Map(std::move(fd), PROT_READ | PROT_WRITE));
  state->header().magic = kMagic;
  state->header().version = kServerStateVersion;
  uint64_t& seed = state->header().listing_seed;
  if (::getrandom(&seed, sizeof(seed), 0) != sizeof(seed)) return Errno("getrandom");
  return state;
}

Result<std::unique_ptr<ServerState>> ServerState::Adopt(UniqueFd fd) {
  return MapExisting(std::move(fd), PROT_READ | PROT_WRITE);
}

Result<std::unique_ptr<ServerState>> ServerState::View(UniqueFd fd) {
  return MapExisting(std::move(fd), PROT_READ);
}

Result<std::unique_ptr<ServerState>> ServerState::MapExisting(UniqueFd fd, int protection) {
  struct stat st;
  if (::fstat(fd.get(), &st) != 0) return Errno("stat the server's state");
  if (static_cast<size_t>(st.st_size) != kSize) {
    return Error(Code::kFailedPrecondition, "the state is of another version of layerfs");
  }
  ASSIGN_OR_RETURN(std::unique_ptr<ServerState> state, Map(std::move(fd), protection));
  if (state->header().magic != kMagic || state->header().version != kServerStateVersion) {
    return Error(Code::kFailedPrecondition, "the state is of another version of layerfs");
  }
  return state;
}

ServerState::~ServerState() { ::munmap(memory_, kSize); }

NodeRecord& ServerState::node(uint32_t slot) {
  return reinterpret_cast<NodeRecord*>(static_cast<char*>(memory_) + kNodesAt)[slot];
}

HandleRecord& ServerState::handle(uint32_t slot) {
  return reinterpret_cast<HandleRecord*>(static_cast<char*>(memory_) + kHandlesAt)[slot];
}

std::vector<int> ServerState::DescriptorsInUse() {
  std::vector<int> used;
  const uint32_t end = header().nodes_end.load();
  for (uint32_t slot = 0; slot < end; ++slot) {
    const NodeRecord& record = node(slot);
    if (record.use.load() != RecordUse::kUsed) continue;
    for (const int fd : {record.pinned_fd.load(), record.io_fd.load()}) {
      if (fd > 0) used.push_back(fd);
    }
  }
  return used;
}

}  // namespace strata::layerfs
