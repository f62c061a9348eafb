#include "tests/unit/layerfs/fuse_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <vector>

#include "common/digest.h"
#include "common/mount.h"
#include "common/xattr.h"
#include "layerfs/fuse/fuse_server.h"
#include "layerfs/fuse/overlay_format.h"

namespace strata::layerfs {
namespace {

void Require(const Status& status) { ASSERT_TRUE(status.ok()) << status.error().message(); }

}  // namespace

std::unique_ptr<FuseRoot> FuseRoot::Create(const testing::TestImage& image,
                                           const std::string& parent) {
  auto directory = TemporaryDirectory::Create(parent, "layerfs-fuse.");
  EXPECT_TRUE(directory.ok()) << directory.error().message();
  auto root = std::unique_ptr<FuseRoot>(new FuseRoot(std::move(*directory)));
  const std::string& base = root->directory_.path();
  EXPECT_EQ(::chmod(base.c_str(), 0755), 0);  // Other users of a test come in.
  Require(image.WriteImage(base));
  Require(MakeDirectories(base + "/mnt"));
  root->spec_ = {base + "/tree", base + "/objects", base + "/upper", base + "/work", {}};
  Require(PrepareUpper(root->spec_));
  return root;
}

void FuseRoot::UseVolume(const std::string& volume_dir) {
  spec_.upper_dir = volume_dir + "/upper";
  spec_.work_dir = volume_dir + "/work";
  Require(PrepareUpper(spec_));
}

FuseRoot::~FuseRoot() { Unmount(); }

std::string FuseRoot::path(const std::string& name) const {
  return directory_.path() + "/mnt" + (name.empty() ? "" : "/" + name);
}

void FuseRoot::Mount(Driver driver, bool passthrough) {
  if (driver == Driver::kFuse) {
    MountFuse(passthrough);
  } else {
    auto mount = MountRoot(Driver::kKernel, spec_);
    ASSERT_TRUE(mount.ok()) << mount.error().message();
    Require(AttachMount(mount->get(), path()));
  }
  mounted_ = true;
}

void FuseRoot::MountFuse(bool passthrough) {
  auto connection = Open("/dev/fuse", O_RDWR);
  ASSERT_TRUE(connection.ok()) << connection.error().message();
  auto mount = CreateDetachedMount({.type = "fuse",
                                    .options = {{"source", "layerfs-test"},
                                                {"fd", std::to_string(connection->get())},
                                                {"rootmode", "40755"},
                                                {"user_id", "0"},
                                                {"group_id", "0"},
                                                {"allow_other", ""},
                                                {"default_permissions", ""}}});
  ASSERT_TRUE(mount.ok()) << mount.error().message();
  int pipe_fds[2];
  ASSERT_EQ(::pipe2(pipe_fds, O_CLOEXEC), 0);
  const UniqueFd ready(pipe_fds[0]);
  UniqueFd tell(pipe_fds[1]);
  server_ = ::fork();
  ASSERT_GE(server_, 0);
  if (server_ == 0) {
    mount->reset();
    FuseServerOptions options;
    options.fuse_fd = connection->release();
    options.root = spec_;
    options.passthrough = passthrough;
    options.on_ready = [&tell] { tell.reset(); };
    const Result<int> served = ServeFuse(options);
    if (!served.ok()) {
      const std::string message = served.error().message() + "\n";
      [[maybe_unused]] const ssize_t n = ::write(2, message.data(), message.size());
    }
    ::_exit(served.ok() ? *served : 1);
  }
  tell.reset();
  char byte;
  EXPECT_EQ(::read(ready.get(), &byte, 1), 0);  // Closed when it serves, or at its end.
  Require(AttachMount(mount->get(), path()));
}

void FuseRoot::Unmount() {
  if (!mounted_) return;
  mounted_ = false;
  const Status status = strata::Unmount(path());
  EXPECT_TRUE(status.ok()) << status.error().message();
  if (!status.ok()) {
    EXPECT_TRUE(strata::Unmount(path(), /*lazy=*/true).ok());
  }
  if (server_ < 0) return;
  int exit_status = 0;
  EXPECT_EQ(::waitpid(server_, &exit_status, 0), server_);
  EXPECT_EQ(exit_status, 0) << "the server did not end well";
  server_ = -1;
}

std::string ReadText(const std::string& path) {
  auto text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.error().message();
  return text.ok() ? *text : std::string();
}

void WriteText(const std::string& path, std::string_view content, int flags) {
  auto fd = Open(path, O_WRONLY | O_CREAT | (flags == 0 ? O_TRUNC : flags), 0644);
  ASSERT_TRUE(fd.ok()) << fd.error().message();
  Require(WriteAll(fd->get(), content));
  Require(fd->Close());
}

struct stat StatOf(const std::string& path) {
  struct stat st = {};
  EXPECT_EQ(::lstat(path.c_str(), &st), 0) << path << ": " << Errno("stat").message();
  return st;
}

bool IsWhiteoutAt(const std::string& path) {
  struct stat st = {};
  return ::lstat(path.c_str(), &st) == 0 && IsWhiteout(st);
}

std::string XattrAt(const std::string& path, const std::string& name) {
  auto fd = Open(path, O_PATH | O_NOFOLLOW);
  EXPECT_TRUE(fd.ok()) << fd.error().message();
  if (!fd.ok()) return "";
  auto value = GetXattr(fd->get(), name);
  return value.ok() ? *value : "";
}

namespace {

using InodeNames = std::map<ino_t, size_t>;

std::string DescribeOne(const std::string& path, const struct stat& st, InodeNames* inodes) {
  std::string line = " mode " + std::to_string(st.st_mode) + " owner " + std::to_string(st.st_uid) +
                     ":" + std::to_string(st.st_gid);
  if (!S_ISDIR(st.st_mode)) {
    const size_t number = inodes->try_emplace(st.st_ino, inodes->size()).first->second;
    line += " inode " + std::to_string(number) + " links " + std::to_string(st.st_nlink);
  }
  if (S_ISREG(st.st_mode)) {
    line += " size " + std::to_string(st.st_size);
    auto text = ReadFile(path);
    line += text.ok() ? " " + Hasher::Of(*text).Short() : " " + text.error().message();
  } else if (S_ISLNK(st.st_mode)) {
    char target[256] = {};
    line += ::readlink(path.c_str(), target, sizeof(target) - 1) > 0 ? target : " unreadable";
  } else if (!S_ISDIR(st.st_mode)) {
    line += " device " + std::to_string(st.st_rdev);
  }
  auto fd = Open(path, O_PATH | O_NOFOLLOW);
  if (!fd.ok()) return line + " " + fd.error().message();
  auto xattrs = ReadXattrs(fd->get());
  if (!xattrs.ok()) return line + " " + xattrs.error().message();
  for (const Xattr& xattr : *xattrs) line += " " + xattr.name + "=" + xattr.value;
  return line;
}

void DescribeInto(const std::string& directory, const std::string& relative, InodeNames* inodes,
                  std::string* out) {
  std::vector<std::string> names;
  DIR* stream = ::opendir(directory.c_str());
  if (stream == nullptr) {
    *out += relative + ": " + Errno("opendir").message() + "\n";
    return;
  }
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  ::closedir(stream);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const std::string path = directory + "/" + name;
    struct stat st;
    if (::lstat(path.c_str(), &st) != 0) {
      *out += relative + "/" + name + ": listed, but " + Errno("stat").message() + "\n";
      continue;
    }
    *out += relative + "/" + name + DescribeOne(path, st, inodes) + "\n";
    if (S_ISDIR(st.st_mode)) DescribeInto(path, relative + "/" + name, inodes, out);
  }
}

}  // namespace

std::string Describe(const std::string& directory) {
  InodeNames inodes;
  std::string out;
  DescribeInto(directory, "", &inodes, &out);
  return out;
}

}  // namespace strata::layerfs
