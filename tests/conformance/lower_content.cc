#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tests/conformance/cases.h"

namespace strata::conformance {
namespace {

// acl(5) as the kernel stores it: version 2, entries of tag, permissions, id, little endian.
struct AclEntry {
  uint16_t tag;
  uint16_t permissions;
  uint32_t id;
};

std::string Acl(const std::vector<AclEntry>& entries) {
  const uint32_t version = 2;
  std::string value(reinterpret_cast<const char*>(&version), sizeof(version));
  for (const AclEntry& entry : entries) {
    value.append(reinterpret_cast<const char*>(&entry), sizeof(entry));
  }
  return value;
}

constexpr uint32_t kNoId = ~0u;

}  // namespace

std::string BigContent() {
  std::string content(kBigSize, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>('a' + i % 23);
  return content;
}

void DescribeLowerContent(const std::string& directory, testing::TestImage* image) {
  const auto at = [&](std::string_view name) { return directory + "/" + std::string(name); };
  image->Directory(directory);
  image->File(at("file"), kLowerFile);
  image->File(at("private"), "secret\n", {.mode = 0600});
  image->File(at("user_file"), "of 1000\n", {.uid = 1000, .gid = 1000});
  image->File(at("empty"), "");
  image->File(at("small"), std::string(600, 's'));
  image->File(at("run"), "#!/bin/sh\nexit 7\n", {.mode = 0755});
  image->File(at("suid"), std::string(700, 'x'), {.mode = 06755, .uid = 1000, .gid = 1000});
  image->File(at("suid_any"), std::string(700, 'x'), {.mode = 06777, .uid = 0, .gid = 0});
  image->File(at("big"), BigContent());
  image->File(at("big2"), std::string(200000, 'z'));
  image->File(at("l1"), kLinked);
  image->HardLink(at("l2"), at("l1"));
  image->Directory(at("sub"));
  image->HardLink(at("sub/l3"), at("l1"));
  image->Directory(at("dir"));
  image->File(at("dir/a"), "a\n");
  image->File(at("dir/b"), "b\n");
  image->Directory(at("dir/sub"));
  image->File(at("dir/sub/x"), "x\n");
  image->Directory(at("empty_dir"));
  image->Directory(at("deep"));
  image->Directory(at("deep/d1"));
  image->Directory(at("deep/d1/d2"));
  image->File(at("deep/d1/d2/f"), "deep\n");
  image->Directory(at("many"));
  for (int i = 0; i < kMany; ++i) {
    image->File(at("many/" + std::to_string(1000 + i).substr(1)), "");
  }
  image->Directory(at("sticky"), {.mode = 01777});
  image->File(at("sticky/of1000"), "", {.uid = 1000, .gid = 1000});
  image->File(at("sticky/of1001"), "", {.uid = 1001, .gid = 1001});
  image->Directory(at("sgid_dir"), {.mode = 02775, .gid = 1000});
  image->Directory(at("user_dir"), {.uid = 1000, .gid = 1000});
  image->File(at("user_dir/inner"), "inner\n");
  image->Symlink(at("to_file"), "file");
  image->Symlink(at("to_dir"), "dir");
  image->Symlink(at("dangling"), "nowhere");
  image->Special(at("fifo"), S_IFIFO, 0);
  image->Special(at("sock"), S_IFSOCK, 0);
  image->Special(at("null"), S_IFCHR, makedev(1, 3), {.mode = 0666});
  image->Special(at("blk"), S_IFBLK, makedev(7, 200), {.mode = 0660});
  image->File(at("attrs"), "with attributes\n",
              {.xattrs = {{"security.s", "v"}, {"trusted.t", "v"}, {"user.k", "v"}}});
  image->File(
      at("acl"), "acl\n",
      {.mode = 0664,
       .xattrs = {
           {"system.posix_acl_access",
            Acl({{1, 6, kNoId}, {2, 6, 1000}, {4, 4, kNoId}, {16, 6, kNoId}, {32, 4, kNoId}})}}});
  image->Directory(
      at("acl_dir"),
      {.xattrs = {
           {"system.posix_acl_default",
            Acl({{1, 7, kNoId}, {2, 7, 1000}, {4, 5, kNoId}, {16, 7, kNoId}, {32, 0, kNoId}})}}});
}

std::vector<Case> AllCases() {
  std::vector<Case> all;
  for (const auto cases : {OpenCases(), DataCases(), RenameCases(), RemoveCases(), LinkCases(),
                           AttributeCases(), XattrCases(), DirectoryCases(), SpecialCases(),
                           LockCases(), RemountCases(), DescriptorCases()}) {
    all.insert(all.end(), cases.begin(), cases.end());
  }
  return all;
}

}  // namespace strata::conformance
