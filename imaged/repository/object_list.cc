#include "imaged/repository/object_list.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <queue>

#include "common/file_io.h"

namespace strata::imaged {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

struct Header {
  char magic[16];
  uint64_t count;
  uint64_t checksum;  // XXH3-64 of the entries.
};
static_assert(sizeof(Header) == 32);
constexpr char kMagic[16] = "strata-objects1";

uint64_t ChecksumOf(std::span<const ObjectEntry> entries) {
  return XXH3_64bits(entries.data(), entries.size_bytes());
}

bool ByDigest(const ObjectEntry& a, const ObjectEntry& b) { return a.digest < b.digest; }

// Where a merge stands in one list.
struct Cursor {
  const ObjectEntry* at;
  const ObjectEntry* end;
  uint32_t list;
};

struct Later {
  bool operator()(const Cursor& a, const Cursor& b) const { return b.at->digest < a.at->digest; }
};

}  // namespace

std::vector<ObjectEntry> ObjectList::Of(const Tree& tree) {
  std::vector<ObjectEntry> entries;
  for (InodeIndex i = 0; i < tree.inode_count(); ++i) {
    const Inode& inode = tree.inode(i);
    if (!inode.object.IsZero() && inode.nlink > 0) entries.push_back({inode.object, inode.size});
  }
  std::sort(entries.begin(), entries.end(), ByDigest);
  const auto same = [](const auto& a, const auto& b) { return a.digest == b.digest; };
  entries.erase(std::unique(entries.begin(), entries.end(), same), entries.end());
  return entries;
}

Status ObjectList::Write(const std::string& path, const std::vector<ObjectEntry>& entries) {
  Header header = {};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.count = entries.size();
  header.checksum = ChecksumOf(entries);
  std::string data(reinterpret_cast<const char*>(&header), sizeof(header));
  data.append(reinterpret_cast<const char*>(entries.data()), entries.size() * sizeof(ObjectEntry));
  return WriteFileAtomically(path, data, 0444);
}

Result<std::shared_ptr<const ObjectList>> ObjectList::Open(const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd fd, strata::Open(path, O_RDONLY));
  struct stat st;
  if (::fstat(fd.get(), &st) != 0) return Errno("stat " + path);
  const Error damaged(Code::kCorrupt, path + " is no list of objects");
  const auto size = static_cast<size_t>(st.st_size);
  if (size < sizeof(Header)) return damaged;
  void* map = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (map == MAP_FAILED) return Errno("mmap " + path);
  const auto* header = static_cast<const Header*>(map);
  const size_t room = (size - sizeof(Header)) / sizeof(ObjectEntry);
  const bool sized = header->count == room && (size - sizeof(Header)) % sizeof(ObjectEntry) == 0;
  const std::span<const ObjectEntry> entries(
      reinterpret_cast<const ObjectEntry*>(static_cast<const char*>(map) + sizeof(Header)),
      sized ? room : 0);
  std::shared_ptr<const ObjectList> list(new ObjectList(map, size, entries));
  const bool good = sized && std::memcmp(header->magic, kMagic, sizeof(kMagic)) == 0 &&
                    header->checksum == ChecksumOf(entries);
  if (!good) return damaged;
  return list;
}

ObjectList::~ObjectList() { ::munmap(map_, map_bytes_); }

bool ObjectList::Contains(const Digest& digest) const {
  return std::binary_search(entries_.begin(), entries_.end(), ObjectEntry{digest, 0}, ByDigest);
}

std::span<const ObjectEntry> ObjectList::WithFirstBytes(unsigned first, unsigned end) const {
  const auto before = [](const ObjectEntry& entry, unsigned byte) {
    return entry.digest.bytes()[0] < byte;
  };
  const auto from = std::lower_bound(entries_.begin(), entries_.end(), first, before);
  return {from, std::lower_bound(from, entries_.end(), end, before)};
}

void MergeObjectLists(
    std::span<const std::shared_ptr<const ObjectList>> lists,
    const std::function<void(const ObjectEntry&, std::span<const uint32_t> positions)>& visit) {
  std::priority_queue<Cursor, std::vector<Cursor>, Later> queue;
  const auto push = [&queue](Cursor cursor) {
    if (cursor.at != cursor.end) queue.push(cursor);
  };
  for (uint32_t i = 0; i < lists.size(); ++i) {
    const auto entries = lists[i]->entries();
    push({entries.data(), entries.data() + entries.size(), i});
  }
  std::vector<uint32_t> positions;
  while (!queue.empty()) {
    const ObjectEntry& entry = *queue.top().at;
    positions.clear();
    while (!queue.empty() && queue.top().at->digest == entry.digest) {
      Cursor cursor = queue.top();
      queue.pop();
      positions.push_back(cursor.list);
      ++cursor.at;
      push(cursor);
    }
    visit(entry, positions);
  }
}

}  // namespace strata::imaged
