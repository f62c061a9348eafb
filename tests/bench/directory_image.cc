#include "tests/bench/directory_image.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <map>

#include "common/digest.h"
#include "common/file_io.h"
#include "imaged/manifest/erofs_writer.h"
#include "imaged/manifest/tree.h"

namespace strata::bench {
namespace {

constexpr size_t kFileBytesMax = 1u << 30;

class Builder {
 public:
  explicit Builder(std::string objects) : objects_(std::move(objects)) {}

  Status AddDirectory(const std::string& path, imaged::InodeIndex directory) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
      RETURN_IF_ERROR(AddEntry(entry.path().string(), entry.path().filename().string(), directory));
    }
    if (error) return Errno("list " + path, error.value());
    return Ok();
  }

  const imaged::Tree& tree() const { return tree_; }

 private:
  Status AddEntry(const std::string& path, const std::string& name, imaged::InodeIndex directory) {
    struct stat st = {};
    if (::lstat(path.c_str(), &st) != 0) return Errno(path);
    const std::pair<dev_t, ino_t> key(st.st_dev, st.st_ino);
    if (const auto known = links_.find(key); known != links_.end()) {
      return tree_.Link(directory, name, known->second);
    }
    imaged::Inode inode;
    inode.mode = st.st_mode;
    inode.uid = st.st_uid;
    inode.gid = st.st_gid;
    inode.rdev = st.st_rdev;
    inode.mtime_s = st.st_mtim.tv_sec;
    inode.mtime_ns = static_cast<uint32_t>(st.st_mtim.tv_nsec);
    RETURN_IF_ERROR(FillContent(path, st, &inode), path);
    const bool descend = inode.IsDirectory();
    ASSIGN_OR_RETURN(const imaged::InodeIndex index, tree_.AddInode(std::move(inode)), path);
    RETURN_IF_ERROR(tree_.Link(directory, name, index), path);
    if (descend) return AddDirectory(path, index);
    if (st.st_nlink > 1) links_[key] = index;
    return Ok();
  }

  Status FillContent(const std::string& path, const struct stat& st, imaged::Inode* inode) {
    if (S_ISLNK(st.st_mode)) {
      std::error_code error;
      inode->data = std::filesystem::read_symlink(path, error).string();
      if (error) return Errno("readlink", error.value());
      inode->size = inode->data.size();
      return Ok();
    }
    if (!S_ISREG(st.st_mode)) return Ok();
    ASSIGN_OR_RETURN(std::string content, ReadFile(path, kFileBytesMax));
    inode->size = content.size();
    if (content.size() <= imaged::kInlineSizeMax) {
      inode->data = std::move(content);
      return Ok();
    }
    inode->object = Hasher::Of(content);
    const std::string hex = inode->object.Hex();
    const std::string parent = objects_ + "/" + hex.substr(0, 2);
    RETURN_IF_ERROR(MakeDirectories(parent));
    return WriteFileAtomically(parent + "/" + hex.substr(2), content, 0444);
  }

  std::string objects_;
  imaged::Tree tree_;
  std::map<std::pair<dev_t, ino_t>, imaged::InodeIndex> links_;
};

}  // namespace

Status ImageFromDirectory(const std::string& source, const std::string& target) {
  RETURN_IF_ERROR(MakeDirectories(target + "/objects"));
  Builder builder(target + "/objects");
  RETURN_IF_ERROR(builder.AddDirectory(source, imaged::Tree::kRoot));
  ASSIGN_OR_RETURN(UniqueFd fd, Open(target + "/tree", O_RDWR | O_CREAT | O_TRUNC, 0644));
  RETURN_IF_ERROR(imaged::WriteErofs(builder.tree(), fd.get()));
  return fd.Close();
}

}  // namespace strata::bench
