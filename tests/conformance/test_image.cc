#include "tests/conformance/test_image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "common/digest.h"
#include "common/file_io.h"
#include "common/log.h"
#include "imaged/manifest/erofs_writer.h"

namespace strata::testing {
namespace {

std::pair<std::string_view, std::string_view> SplitPath(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

Status Dress(const std::string& path, const imaged::Inode& inode) {
  if (::lchown(path.c_str(), inode.uid, inode.gid) != 0) return Errno("chown " + path);
  if (!S_ISLNK(inode.mode) && ::chmod(path.c_str(), inode.mode & 07777) != 0) {
    return Errno("chmod " + path);
  }
  for (const Xattr& xattr : inode.xattrs) {
    if (::lsetxattr(path.c_str(), xattr.name.c_str(), xattr.value.data(), xattr.value.size(), 0)) {
      return Errno("setxattr " + path);
    }
  }
  return Ok();
}

Status SetMtime(const std::string& path) {
  const timespec times[2] = {{.tv_sec = TestImage::kMtime, .tv_nsec = 0},
                             {.tv_sec = TestImage::kMtime, .tv_nsec = 0}};
  if (::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return Errno(path);
  return Ok();
}

}  // namespace

TestImage::TestImage() {
  contents_.resize(1);
  tree_.mutable_inode(imaged::Tree::kRoot).mtime_s = kMtime;
}

imaged::InodeIndex TestImage::Add(std::string_view path, imaged::Inode inode,
                                  const EntryAttributes& attributes) {
  const uint32_t fallback = S_ISDIR(inode.mode) ? 0755 : S_ISLNK(inode.mode) ? 0777 : 0644;
  inode.mode |= attributes.mode != 0 ? attributes.mode : fallback;
  inode.uid = attributes.uid;
  inode.gid = attributes.gid;
  inode.xattrs = attributes.xattrs;
  inode.mtime_s = kMtime;
  const auto index = tree_.AddInode(std::move(inode));
  CHECK(index.ok());
  contents_.resize(*index + 1);
  Name(path, *index);
  return *index;
}

void TestImage::Name(std::string_view path, imaged::InodeIndex index) {
  const auto [parent, name] = SplitPath(path);
  const auto directory = tree_.Find(parent);
  CHECK(directory.has_value());
  CHECK(tree_.Link(*directory, name, index).ok());
}

void TestImage::Directory(std::string_view path, EntryAttributes attributes) {
  imaged::Inode inode;
  inode.mode = S_IFDIR;
  Add(path, std::move(inode), attributes);
}

void TestImage::File(std::string_view path, std::string content, EntryAttributes attributes) {
  imaged::Inode inode;
  inode.mode = S_IFREG;
  inode.size = content.size();
  if (content.size() > imaged::kInlineSizeMax) {
    inode.object = Hasher::Of(content);
  } else {
    inode.data = content;
  }
  contents_[Add(path, std::move(inode), attributes)] = std::move(content);
}

void TestImage::Symlink(std::string_view path, std::string_view target) {
  imaged::Inode inode;
  inode.mode = S_IFLNK;
  inode.size = target.size();
  inode.data = target;
  Add(path, std::move(inode), {});
}

void TestImage::Special(std::string_view path, uint32_t type, dev_t rdev,
                        EntryAttributes attributes) {
  imaged::Inode inode;
  inode.mode = type;
  inode.rdev = rdev;
  Add(path, std::move(inode), attributes);
}

void TestImage::HardLink(std::string_view path, std::string_view existing) {
  const auto index = tree_.Find(existing);
  CHECK(index.has_value());
  Name(path, *index);
}

Status TestImage::WriteImage(const std::string& directory) const {
  RETURN_IF_ERROR(MakeDirectories(directory + "/objects"));
  for (imaged::InodeIndex i = 0; i < tree_.inode_count(); ++i) {
    const imaged::Inode& inode = tree_.inode(i);
    if (!inode.IsRegular() || inode.object.IsZero()) continue;
    const std::string hex = inode.object.Hex();
    const std::string parent = directory + "/objects/" + hex.substr(0, 2);
    RETURN_IF_ERROR(MakeDirectories(parent));
    RETURN_IF_ERROR(WriteFileAtomically(parent + "/" + hex.substr(2), contents_[i], 0444));
  }
  ASSIGN_OR_RETURN(UniqueFd fd, Open(directory + "/tree", O_RDWR | O_CREAT | O_EXCL, 0444));
  RETURN_IF_ERROR(imaged::WriteErofs(tree_, fd.get()));
  return fd.Close();
}

Status TestImage::WriteInode(const std::string& path, imaged::InodeIndex index,
                             std::vector<std::string>* made) const {
  const imaged::Inode& inode = tree_.inode(index);
  std::string& first = (*made)[index];
  if (!first.empty()) {
    if (::link(first.c_str(), path.c_str()) != 0) return Errno("link " + path);
    return Ok();
  }
  first = path;
  int made_it = 0;
  if (inode.IsDirectory()) {
    made_it = index == imaged::Tree::kRoot ? 0 : ::mkdir(path.c_str(), 0700);
  } else if (inode.IsRegular()) {
    ASSIGN_OR_RETURN(const UniqueFd file, Open(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
    RETURN_IF_ERROR(WriteAll(file.get(), contents_[index]), path);
  } else if (S_ISLNK(inode.mode)) {
    made_it = ::symlink(inode.data.c_str(), path.c_str());
  } else {
    made_it = ::mknod(path.c_str(), inode.mode & S_IFMT, inode.rdev);
  }
  if (made_it != 0) return Errno("make " + path);
  return Dress(path, inode);
}

Status TestImage::WritePlain(const std::string& directory) const {
  std::vector<std::string> made(tree_.inode_count());
  std::vector<std::string> paths;
  RETURN_IF_ERROR(tree_.Walk([&](const std::string& path, imaged::InodeIndex index) {
    paths.push_back(path.empty() ? directory : directory + "/" + path);
    return WriteInode(paths.back(), index, &made);
  }));
  for (auto path = paths.rbegin(); path != paths.rend(); ++path) RETURN_IF_ERROR(SetMtime(*path));
  return Ok();
}

}  // namespace strata::testing
