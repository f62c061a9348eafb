// Trees may come from a container whose user is hostile: nested deeper than there are descriptors,
// or than a recursion has stack. So at most kOpenMax directories are open at once; what lies deeper
// is moved up to the top of the tree, and removed from there.
#include "common/remove_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "common/file_io.h"

namespace strata {
namespace {

constexpr size_t kOpenMax = 64;
constexpr int kNamesTried = 8;

class TreeRemoval {
 public:
  TreeRemoval(std::string path, const CancelToken& cancel)
      : path_(std::move(path)), cancel_(cancel) {}

  Status Run(UniqueFd top) {
    struct stat st;
    if (::fstat(top.get(), &st) != 0) return Errno("stat " + path_);
    device_ = st.st_dev;
    RETURN_IF_ERROR(Enter(std::move(top), ""));
    while (!levels_.empty()) RETURN_IF_ERROR(Step());
    return Ok();
  }

 private:
  struct CloseDirectory {
    void operator()(DIR* stream) const { ::closedir(stream); }
  };
  struct Level {
    std::unique_ptr<DIR, CloseDirectory> stream;
    std::string name;  // In the level above.
  };

  int FdOf(const Level& level) const { return ::dirfd(level.stream.get()); }

  // For errors: the path as far as it is open.
  std::string PathOf(const std::string& name) const {
    std::string path = path_;
    for (size_t i = 1; i < levels_.size(); ++i) path += "/" + levels_[i].name;
    return name.empty() ? path : path + "/" + name;
  }

  Status Enter(UniqueFd directory, const std::string& name) {
    Level level{std::unique_ptr<DIR, CloseDirectory>(::fdopendir(directory.get())), name};
    if (level.stream == nullptr) return Errno("opendir " + PathOf(name));
    static_cast<void>(directory.release());
    levels_.push_back(std::move(level));
    return Ok();
  }

  // One entry of the deepest directory that is open, or the end of that.
  Status Step() {
    RETURN_IF_ERROR(cancel_.Check());
    Level& level = levels_.back();
    errno = 0;
    const dirent* entry = ::readdir(level.stream.get());
    if (entry == nullptr) return errno == 0 ? Leave() : Status(Errno("readdir " + PathOf("")));
    const std::string name = entry->d_name;
    if (name == "." || name == "..") return Ok();
    const int fd = FdOf(level);
    if (::unlinkat(fd, name.c_str(), 0) == 0 || errno == ENOENT) return Ok();
    if (errno != EISDIR && errno != EPERM) return Errno("unlink " + PathOf(name));
    if (::unlinkat(fd, name.c_str(), AT_REMOVEDIR) == 0) return Ok();
    ASSIGN_OR_RETURN(UniqueFd child, OpenAt(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
                     PathOf(""));
    struct stat st;
    if (::fstat(child.get(), &st) != 0) return Errno("stat " + PathOf(name));
    if (st.st_dev != device_) {
      return Error(Code::kFailedPrecondition, PathOf(name) + ": is a mount point, not removed",
                   EBUSY);
    }
    if (levels_.size() < kOpenMax) return Enter(std::move(child), name);
    return MoveUp(name);
  }

  Status MoveUp(const std::string& name) {
    for (int i = 0; i < kNamesTried; ++i) {
      uint64_t random = 0;  // So that nobody has made that name before.
      if (::getrandom(&random, sizeof(random), 0) != sizeof(random)) return Errno("getrandom");
      const std::string moved = ".removed-" + std::to_string(random);
      if (::renameat(FdOf(levels_.back()), name.c_str(), FdOf(levels_.front()), moved.c_str()) ==
          0) {
        moved_up_ = true;
        return Ok();
      }
      if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR) break;
    }
    return Errno("move " + PathOf(name));
  }

  Status Leave() {
    if (levels_.size() == 1 && moved_up_) {  // The listing may not have shown these.
      moved_up_ = false;
      ::rewinddir(levels_.front().stream.get());
      return Ok();
    }
    const std::string name = levels_.back().name;
    levels_.pop_back();
    if (levels_.empty()) return Ok();
    if (::unlinkat(FdOf(levels_.back()), name.c_str(), AT_REMOVEDIR) != 0) {
      return Errno("rmdir " + PathOf(name));
    }
    return Ok();
  }

  const std::string path_;
  const CancelToken& cancel_;
  dev_t device_ = 0;
  std::vector<Level> levels_;
  bool moved_up_ = false;
};

}  // namespace

Status RemoveTree(const std::string& path) { return RemoveTree(path, CancelToken()); }

Status RemoveTree(const std::string& path, const CancelToken& cancel) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return Ok();
  if (errno != EISDIR && errno != EPERM) return Errno("unlink " + path);
  ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  RETURN_IF_ERROR(TreeRemoval(path, cancel).Run(std::move(fd)));
  if (::rmdir(path.c_str()) != 0) return Errno("rmdir " + path);
  return Ok();
}

}  // namespace strata
