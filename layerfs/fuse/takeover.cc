#include "layerfs/fuse/takeover.h"

#include <cstring>
#include <memory>
#include <unordered_map>

#include "layerfs/fuse/open_file.h"

namespace strata::layerfs {
namespace {

InodeIdentity IdentityOf(const NodeRecord& record) {
  InodeIdentity identity;
  identity.st_ino = record.st_ino;
  identity.type = record.file_type;
  if (record.lower != 0) identity.lower = record.lower - 1;
  identity.upper.ino = record.upper_ino.load();
  if (!identity.upper) return identity;
  identity.upper.handle_type = record.handle_type;
  identity.upper.handle_size = record.handle_size;
  std::memcpy(identity.upper.handle.data(), record.handle, sizeof(record.handle));
  return identity;
}

// Nodes of one inode may share a descriptor: it is owned once.
class PinnedDescriptors {
 public:
  SharedFd Of(int number) {
    if (number < 0) return nullptr;
    SharedFd& fd = owned_[number];
    if (fd == nullptr) fd = std::make_shared<const UniqueFd>(UniqueFd(number));
    return fd;
  }

 private:
  std::unordered_map<int, SharedFd> owned_;
};

Status AdoptNodes(Session& session) {
  const std::vector<uint64_t> numbers = session.nodes.RecordedNumbers();
  std::vector<InodeIdentity> identities;
  identities.reserve(numbers.size());
  PinnedDescriptors pinned;
  for (const uint64_t number : numbers) {
    const NodeRecord& record = session.state.node(NodeTable::SlotOf(number));
    identities.push_back(IdentityOf(record));
    if (identities.back().upper) identities.back().upper.pinned = pinned.Of(record.pinned_fd);
  }
  ASSIGN_OR_RETURN(const std::vector<InodePtr> inodes, session.fs->Restore(identities));
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (inodes[i] == nullptr) continue;
    const uint32_t epoch = session.state.node(NodeTable::SlotOf(numbers[i])).epoch;
    if (inodes[i]->epoch.load() < epoch) inodes[i]->epoch.store(epoch);
    session.nodes.Adopt(numbers[i], inodes[i]);
  }
  return Ok();
}

}  // namespace

Status TakeOver(Session& session) {
  RETURN_IF_ERROR(AdoptNodes(session));
  AdoptOpenFiles(session);
  return Ok();
}

}  // namespace strata::layerfs
