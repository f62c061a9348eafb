// The kernel and fsck.erofs as readers of a manifest.
#include <dirent.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mount.h"
#include "common/subprocess.h"
#include "common/xattr.h"
#include "tests/unit/manifest/sample_trees.h"

namespace strata::imaged {
namespace {

using namespace testing;  // NOLINT

class RootOnly : public ::testing::Environment {
  void SetUp() override {
    if (::geteuid() == 0) return;
    std::cerr << "mounting needs root\n";
    std::exit(77);
  }
};
const auto* const kRootOnly = ::testing::AddGlobalTestEnvironment(new RootOnly);

class ErofsKernel : public ::testing::Test {
 protected:
  void SetUp() override {
    Must(MakeDirectories(mount_));
    Must(MakeDirectories(lower_));
    Must(MakeDirectories(union_));
    Must(MakeDirectories(objects_));
  }
  void TearDown() override {
    for (const std::string& path : {union_, mount_, lower_}) {
      Must(Unmount(path));
      EXPECT_FALSE(Must(IsMountPoint(path)));
    }
  }
  void Mount(const Tree& tree) {
    Must(WriteFileAtomically(image_, ImageOf(tree)));
    const UniqueFd mount =
        Must(CreateDetachedMount({"erofs", {{"source", image_}}, MOUNT_ATTR_RDONLY}));
    Must(AttachMount(mount.get(), mount_));
  }
  std::string Fsck() {
    const CommandOutput output = Must(strata::Run({"fsck.erofs", image_}));
    return output.exit_code == 0 ? "ok" : output.out + output.err;
  }

  const TemporaryDirectory directory_ =
      Must(TemporaryDirectory::Create("/tmp", "strata-manifest."));
  const std::string image_ = directory_.path() + "/image";
  const std::string mount_ = directory_.path() + "/mount";
  const std::string lower_ = directory_.path() + "/lower";
  const std::string union_ = directory_.path() + "/union";
  const std::string objects_ = directory_.path() + "/objects";
};

std::vector<std::string> ListDirectory(const std::string& path) {
  std::vector<std::string> names;
  DIR* stream = ::opendir(path.c_str());
  EXPECT_NE(stream, nullptr) << path;
  if (stream == nullptr) return names;
  while (const dirent* entry = ::readdir(stream)) names.emplace_back(entry->d_name);
  ::closedir(stream);
  return names;
}

// The attributes as they are stored: escaped, with our own.
std::vector<Xattr> StoredXattrs(const Inode& inode) {
  std::vector<Xattr> stored;
  for (const Xattr& xattr : inode.xattrs)
    stored.push_back({EscapeXattrName(xattr.name), xattr.value});
  if (inode.opaque) stored.push_back({"trusted.overlay.opaque", "y"});
  if (inode.IsRegular() && !inode.object.IsZero()) {
    const std::string hex = inode.object.Hex();
    stored.push_back({"trusted.overlay.metacopy", ""});
    stored.push_back({"trusted.overlay.redirect", "/" + hex.substr(0, 2) + "/" + hex.substr(2)});
  }
  std::sort(stored.begin(), stored.end());
  return stored;
}

void ExpectSame(const Tree& tree, InodeIndex index, const std::string& path) {
  const Inode& inode = tree.inode(index);
  struct stat st;
  ASSERT_EQ(::lstat(path.c_str(), &st), 0) << path << ": " << strerror(errno);
  EXPECT_EQ(st.st_mode, inode.mode) << path;
  EXPECT_EQ(st.st_uid, inode.uid) << path;
  EXPECT_EQ(st.st_gid, inode.gid) << path;
  EXPECT_EQ(st.st_rdev, inode.rdev) << path;
  EXPECT_EQ(st.st_mtim.tv_sec, inode.mtime_s) << path;
  EXPECT_EQ(st.st_mtim.tv_nsec, inode.mtime_ns) << path;
  const UniqueFd fd = Must(Open(path, O_PATH | O_NOFOLLOW));
  // Symbolic links, devices and sockets are read through their path: O_PATH is enough for all.
  EXPECT_EQ(Must(ReadXattrs(fd.get())), StoredXattrs(inode)) << path;
  if (S_ISLNK(inode.mode)) {
    char target[PATH_MAX];
    const ssize_t size = ::readlink(path.c_str(), target, sizeof(target));
    EXPECT_EQ(std::string_view(target, size < 0 ? 0 : size), inode.data) << path;
  } else if (inode.IsRegular()) {
    EXPECT_EQ(static_cast<uint64_t>(st.st_size), inode.size) << path;
    if (inode.object.IsZero()) {
      EXPECT_EQ(Must(ReadFile(path)), inode.data) << path;
    }
  }
  if (!inode.IsDirectory()) {
    EXPECT_EQ(st.st_nlink, inode.nlink) << path;
    return;
  }
  nlink_t links = 2;
  std::vector<std::string> names = {".", ".."};
  for (const auto& [name, child] : *inode.children) {
    names.push_back(name);
    links += tree.inode(child).IsDirectory() ? 1 : 0;
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(ListDirectory(path), names) << path;
  EXPECT_EQ(st.st_nlink, links) << path;
}

TEST_F(ErofsKernel, ShowsEveryTreeAsItIs) {
  for (const uint64_t seed : {1, 2, 3, 4}) {
    const Tree tree = RandomTree(seed, 1500);
    Mount(tree);
    EXPECT_EQ(Fsck(), "ok");
    std::map<InodeIndex, ino_t> inos;
    const auto reader = Must(ErofsReader::Open(image_));
    Must(tree.Walk([&](const std::string& path, InodeIndex index) -> Status {
      ExpectSame(tree, index, mount_ + "/" + path);
      struct stat st;
      EXPECT_EQ(::lstat((mount_ + "/" + path).c_str(), &st), 0);
      EXPECT_EQ(inos.emplace(index, st.st_ino).first->second, st.st_ino) << path;
      EXPECT_EQ(Must(reader->GetInode(st.st_ino)).mode, st.st_mode) << "st_ino is the nid";
      return Ok();
    }));
    Must(Unmount(mount_));
    if (HasFailure()) return;
  }
}

TEST_F(ErofsKernel, ShowsLargeDirectoriesLargeAttributesAndExtremeSizes) {
  Tree tree;
  for (int i = 0; i < 20'000; ++i) {
    Put(&tree, "d/" + std::string(i % 3 == 0 ? "-" : "n") + std::to_string(i), InlineFile(""));
  }
  Put(&tree, "d/" + std::string(255, 'z'), InlineFile("last"));
  Put(&tree, "huge", ObjectFile("h", 1ull << 53));
  Put(&tree, "chunked", ObjectFile("c", (1ull << 43) + 1));
  Inode file = InlineFile(std::string(512, 'i'));
  file.xattrs = {{"user.big", std::string(60'000, 'x')}, {"user.small", "y"}};
  Put(&tree, "big-xattr", std::move(file));
  Inode link = Symlink(std::string(4000, 't'));
  link.xattrs = {{"trusted.a", std::string(5000, 'x')}};
  Put(&tree, "link", std::move(link));
  // Directories of every size around a block: the last name may end at the block's or slot's end.
  for (size_t extra = 1; extra < 255; ++extra) {
    const std::string directory = "edge/" + std::to_string(extra) + "/";
    for (int i = 0; i < 14; ++i) {
      Put(&tree, directory + std::to_string(i) + std::string(250, 'e'), InlineFile(""));
    }
    Put(&tree, directory + std::string(extra, 'z'), InlineFile("tail"));
  }
  Mount(tree);
  EXPECT_EQ(Fsck(), "ok");
  Must(tree.Walk([&](const std::string& path, InodeIndex index) -> Status {
    ExpectSame(tree, index, mount_ + "/" + path);
    return Ok();
  }));
  struct stat st;
  EXPECT_NE(::lstat((mount_ + "/d/absent").c_str(), &st), 0);
  EXPECT_NE(::lstat((mount_ + "/edge/7/zzzzzzzz").c_str(), &st), 0);
}

TEST_F(ErofsKernel, AnswersForAbsentAttributesWithTheNameFilter) {
  Tree tree;
  Put(&tree, "f", ObjectFile("x", 5000));
  Mount(tree);
  const UniqueFd fd = Must(Open(mount_ + "/f", O_RDONLY));
  for (const char* name : {"trusted.overlay.opaque", "trusted.overlay.origin",
                           "security.capability", "system.posix_acl_access", "user.any"}) {
    auto value = GetXattr(fd.get(), name);
    EXPECT_TRUE(!value.ok() && value.error().code() == Code::kNotFound) << name;
  }
  EXPECT_EQ(Must(GetXattr(fd.get(), "trusted.overlay.metacopy")), "");
}

TEST_F(ErofsKernel, GivesOverlayfsTheObjectsContent) {
  Tree tree;
  std::map<std::string, std::string> contents;
  std::mt19937_64 random(1);
  for (int i = 0; i < 50; ++i) {
    const std::string path = "usr/d" + std::to_string(i % 7) + "/f" + std::to_string(i);
    const std::string content = RandomBytes(&random, 513 + random() % 50'000);
    const Digest digest = Hasher::Of(content);
    Inode inode = ObjectFile(content, content.size());
    ASSERT_EQ(inode.object, digest);
    inode.mode = S_IFREG | 0751;
    Put(&tree, path, std::move(inode));
    Must(MakeDirectories(objects_ + "/" + digest.Hex().substr(0, 2)));
    Must(WriteFileAtomically(
        objects_ + "/" + digest.Hex().substr(0, 2) + "/" + digest.Hex().substr(2), content, 0444));
    contents[path] = content;
  }
  Inode foreign = Directory();
  foreign.xattrs = {{"trusted.overlay.opaque", "y"}};
  Put(&tree, "foreign", std::move(foreign));
  contents["small"] = "inline";
  Put(&tree, "small", InlineFile("inline"));
  contents["empty"] = "";
  Put(&tree, "empty", InlineFile(""));
  Mount(tree);
  const UniqueFd overlay = Must(CreateDetachedMount({"overlay",
                                                     {{"source", "manifest-test"},
                                                      {"lowerdir", mount_ + "::" + objects_},
                                                      {"metacopy", "on"},
                                                      {"redirect_dir", "follow"}},
                                                     MOUNT_ATTR_RDONLY}));
  Must(AttachMount(overlay.get(), union_));
  for (const auto& [path, content] : contents) {
    EXPECT_EQ(Must(ReadFile(union_ + "/" + path)), content) << path;
    struct stat st;
    ASSERT_EQ(::stat((union_ + "/" + path).c_str(), &st), 0);
    EXPECT_EQ(static_cast<uint64_t>(st.st_size), content.size());
    EXPECT_EQ(st.st_mode, tree.inode(*tree.Find(path)).mode);
  }
  const UniqueFd fd = Must(Open(union_ + "/foreign", O_RDONLY));
  EXPECT_EQ(Must(GetXattr(fd.get(), "trusted.overlay.opaque")), "y") << "the foreign attribute";
}

TEST_F(ErofsKernel, HidesWithWhiteoutsAndOpaqueDirectoriesAsFlatteningDoes) {
  Tree lower;
  for (const char* path : {"gone", "d/a", "opaque/a", "kept"}) Put(&lower, path, InlineFile("low"));
  Tree upper;
  Put(&upper, "gone", Whiteout());
  Put(&upper, "d/a", Whiteout());
  Put(&upper, "opaque", OpaqueDirectory());
  Put(&upper, "opaque/b", InlineFile("up"));
  const std::string lower_image = directory_.path() + "/lower.image";
  Must(WriteFileAtomically(lower_image, ImageOf(lower)));
  {
    const UniqueFd mount =
        Must(CreateDetachedMount({"erofs", {{"source", lower_image}}, MOUNT_ATTR_RDONLY}));
    Must(AttachMount(mount.get(), lower_));
  }
  Mount(upper);
  {
    const UniqueFd overlay = Must(
        CreateDetachedMount({"overlay",
                             {{"source", "manifest-test"}, {"lowerdir", mount_ + ":" + lower_}},
                             MOUNT_ATTR_RDONLY}));
    Must(AttachMount(overlay.get(), union_));
  }
  Tree flat;
  Must(ApplyLayer(lower, &flat));
  Must(ApplyLayer(upper, &flat));
  Must(flat.Walk([&](const std::string& path, InodeIndex index) -> Status {
    if (!flat.inode(index).IsDirectory()) return Ok();
    std::vector<std::string> names = ListDirectory(union_ + "/" + path);
    std::erase_if(names, [](const std::string& name) { return name == "." || name == ".."; });
    std::sort(names.begin(), names.end());
    std::vector<std::string> expected;
    for (const auto& [name, child] : *flat.inode(index).children) expected.push_back(name);
    EXPECT_EQ(names, expected) << path;
    return Ok();
  }));
}

}  // namespace
}  // namespace strata::imaged
