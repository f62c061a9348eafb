// Trees for the manifest tests: by hand, random from a seed, and written out for comparison.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <map>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "common/digest.h"
#include "common/file_io.h"
#include "imaged/manifest/erofs_reader.h"
#include "imaged/manifest/erofs_writer.h"
#include "imaged/manifest/tree.h"

namespace strata::imaged::testing {

// The value, or the end of the test: GoogleTest catches the exception, fails the test and tears it
// down, so that no mount stays behind.
inline void Must(Status status) {
  if (!status.ok()) throw std::runtime_error(status.error().message());
}
template <typename T>
T Must(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().message());
  return std::move(*result);
}

inline Inode Directory(uint32_t permissions = 0755) {
  Inode inode;
  inode.mode = S_IFDIR | permissions;
  return inode;
}
inline Inode OpaqueDirectory() {
  Inode inode = Directory();
  inode.opaque = true;
  return inode;
}
inline Inode InlineFile(std::string data, uint32_t permissions = 0644) {
  Inode inode;
  inode.mode = S_IFREG | permissions;
  inode.size = data.size();
  inode.data = std::move(data);
  return inode;
}
inline Inode ObjectFile(std::string_view content_name, uint64_t size) {
  Inode inode;
  inode.mode = S_IFREG | 0644;
  inode.size = size;
  inode.object = Hasher::Of(content_name);
  return inode;
}
inline Inode Symlink(std::string target) {
  Inode inode;
  inode.mode = S_IFLNK | 0777;
  inode.data = std::move(target);
  return inode;
}
inline Inode Device(uint32_t type, unsigned major_number, unsigned minor_number) {
  Inode inode;
  inode.mode = type | 0600;
  inode.rdev = makedev(major_number, minor_number);
  return inode;
}
inline Inode Whiteout() { return Device(S_IFCHR, 0, 0); }

// Adds `inode` at `path`, whose parent is made when it is missing.
inline InodeIndex Put(Tree* tree, const std::string& path, Inode inode) {
  const size_t slash = path.rfind('/');
  InodeIndex parent = Tree::kRoot;
  if (slash != std::string::npos) {
    const auto found = tree->Find(path.substr(0, slash));
    parent = found ? *found : Put(tree, path.substr(0, slash), Directory());
  }
  const InodeIndex index = Must(tree->AddInode(std::move(inode)));
  Must(tree->Link(parent, path.substr(slash == std::string::npos ? 0 : slash + 1), index));
  return index;
}

// One line per name, with everything that a manifest must keep.
inline std::vector<std::string> Describe(const Tree& tree) {
  std::vector<std::string> lines;
  std::map<InodeIndex, std::string> first_names;
  Must(tree.Walk([&](const std::string& path, InodeIndex index) -> Status {
    const Inode& inode = tree.inode(index);
    std::ostringstream line;
    line << path << " mode=" << std::oct << inode.mode << std::dec << " id=" << inode.uid << ":"
         << inode.gid << " links=" << inode.nlink << " rdev=" << inode.rdev
         << " mtime=" << inode.mtime_s << "." << inode.mtime_ns << " size=" << inode.size
         << " object=" << inode.object.Hex() << " opaque=" << inode.opaque << " data=" << inode.data
         << " is=" << first_names.emplace(index, path).first->second;
    for (const Xattr& xattr : inode.xattrs) line << " " << xattr.name << "=" << xattr.value;
    lines.push_back(line.str());
    return Ok();
  }));
  return lines;
}

inline std::string RandomBytes(std::mt19937_64* random, size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>((*random)());
  return bytes;
}

inline std::string RandomName(std::mt19937_64* random, size_t serial) {
  static constexpr std::string_view kFirst = "!#-+.0Aaz_~";
  std::string name(1, kFirst[(*random)() % kFirst.size()]);
  name += std::to_string(serial);
  if ((*random)() % 16 == 0) name.resize(255, 'x');
  return name;
}

// Values that the kernel parses before it shows them (linux/capability.h, posix_acl_xattr.h).
inline std::string CapabilityValue() {
  return std::string("\0\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
}
inline std::string AclValue() {
  std::string acl("\2\0\0\0", 4);
  for (const auto& [tag, id] :
       {std::pair<uint16_t, uint32_t>{1, ~0u}, {2, 1000}, {4, ~0u}, {16, ~0u}, {32, ~0u}}) {
    const uint16_t permissions = 5;
    acl.append(reinterpret_cast<const char*>(&tag), 2);
    acl.append(reinterpret_cast<const char*>(&permissions), 2);
    acl.append(reinterpret_cast<const char*>(&id), 4);
  }
  return acl;
}

// Attributes that the kernel shows on a file of this type.
inline std::vector<Xattr> RandomXattrs(std::mt19937_64* random, uint32_t mode) {
  std::vector<Xattr> xattrs;
  const auto maybe = [&](const char* name, std::string value, unsigned one_in) {
    if ((*random)() % one_in == 0) xattrs.push_back({name, std::move(value)});
  };
  if (S_ISREG(mode) || S_ISDIR(mode)) {
    maybe("user.comment", RandomBytes(random, (*random)() % 200), 6);
    maybe("user.large", RandomBytes(random, 3000 + (*random)() % 6000), 60);
    maybe("system.posix_acl_access", AclValue(), 12);
  }
  if (S_ISREG(mode)) maybe("security.capability", CapabilityValue(), 10);
  maybe("trusted.overlay.opaque", "y", 20);
  maybe("trusted.overlay.overlay.redirect", "/some/where", 30);
  maybe("trusted.other", "", 20);
  return xattrs;
}

// What to put where, so that one tree can be built in several orders.
struct Planned {
  size_t parent;  // Of the list; the first is the root.
  std::string name;
  Inode inode;
};

inline Inode RandomInode(std::mt19937_64* random, size_t serial) {
  Inode inode;
  switch ((*random)() % 12) {
    case 0:
    case 1:
    case 2:
      inode = Directory();
      inode.opaque = (*random)() % 8 == 0;
      break;
    case 3:
      inode = Symlink(std::string(1 + (*random)() % ((*random)() % 10 == 0 ? 4095 : 60), 't'));
      break;
    case 4:
      inode = InlineFile(RandomBytes(random, (*random)() % (kInlineSizeMax + 1)));
      break;
    case 5:
      inode = Whiteout();
      break;
    case 6:
      inode = Device((*random)() % 2 == 0 ? S_IFBLK : S_IFCHR, (*random)() % 4096,
                     (*random)() % (1u << 20));
      break;
    case 7:
      inode = Directory();
      inode.mode = (*random)() % 2 == 0 ? S_IFIFO | 0600u : S_IFSOCK | 0755u;
      break;
    default:
      inode = ObjectFile(std::to_string(serial), 1 + ((*random)() >> ((*random)() % 53 + 11)));
  }
  inode.mode = (inode.mode & S_IFMT) | ((*random)() & 07777);
  inode.uid = static_cast<uint32_t>((*random)());
  inode.gid = static_cast<uint32_t>((*random)());
  inode.mtime_s = static_cast<int64_t>((*random)() % 4'000'000'000) - 1'000'000'000;
  inode.mtime_ns = static_cast<uint32_t>((*random)() % 1'000'000'000);
  inode.xattrs = RandomXattrs(random, inode.mode);
  return inode;
}

inline Inode Clone(const Inode& from) {
  Inode inode;
  inode.mode = from.mode;
  inode.uid = from.uid;
  inode.gid = from.gid;
  inode.rdev = from.rdev;
  inode.mtime_s = from.mtime_s;
  inode.mtime_ns = from.mtime_ns;
  inode.opaque = from.opaque;
  inode.size = from.size;
  inode.object = from.object;
  inode.data = from.data;
  inode.xattrs = from.xattrs;
  return inode;
}

// About `count` entries from `seed`; `order_seed` changes only in which order they are added.
inline Tree RandomTree(uint64_t seed, size_t count, uint64_t order_seed = 0) {
  std::mt19937_64 random(seed);
  std::vector<Planned> plan;
  std::vector<size_t> directories = {0};
  plan.push_back({0, "", Directory()});
  for (size_t i = 1; i <= count; ++i) {
    const size_t parent =
        directories[std::min(random() % directories.size(), random() % directories.size())];
    plan.push_back({parent, RandomName(&random, i), RandomInode(&random, i)});
    if (plan.back().inode.IsDirectory()) directories.push_back(i);
  }
  Tree tree;
  std::vector<size_t> order(count);
  for (size_t i = 0; i < count; ++i) order[i] = i + 1;
  if (order_seed != 0) {
    std::mt19937_64 shuffle(order_seed);
    std::shuffle(order.begin(), order.end(), shuffle);
  }
  std::vector<InodeIndex> indices(count + 1, Tree::kRoot);
  for (const size_t i : order) indices[i] = Must(tree.AddInode(Clone(plan[i].inode)));
  for (const size_t i : order) Must(tree.Link(indices[plan[i].parent], plan[i].name, indices[i]));
  for (size_t i = 1; i <= count; i += 7) {  // Hard links, some of them across directories.
    if (plan[i].inode.IsDirectory()) continue;
    const size_t parent = plan[i / 2].inode.IsDirectory() ? i / 2 : plan[i].parent;
    Must(tree.Link(indices[parent], "link" + std::to_string(i), indices[i]));
  }
  return tree;
}

inline std::string ImageOf(const Tree& tree, WrittenManifest* written = nullptr) {
  UniqueFd fd(::memfd_create("manifest", MFD_CLOEXEC));
  const WrittenManifest result = Must(WriteErofs(tree, fd.get()));
  if (written != nullptr) *written = result;
  return Must(ReadAll(fd.get(), 1u << 30));
}

}  // namespace strata::imaged::testing
