#include "imaged/archive/directory_import.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "common/printable.h"
#include "imaged/archive/directory_walk.h"
#include "imaged/archive/file_access.h"
#include "imaged/archive/file_capture.h"

namespace strata::imaged {
namespace {

// Files that are captured at once or wait for it, one descriptor each.
constexpr size_t kWindowMax = 256;
constexpr uint64_t kProgressEntries = 256;

// The calling thread walks the directory and places what was captured into the tree, in the order
// of the walk; a window of files between the two is captured by the other threads.
class DirectoryImport {
 public:
  DirectoryImport(Ingest& ingest, const DirectoryImportOptions& options,
                  const ImportControl& control)
      : ingest_(ingest), options_(options), control_(control), tree_(options.limits.tree) {
    const unsigned threads = std::max(1u, std::thread::hardware_concurrency());
    for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { CaptureLoop(); });
  }
  ~DirectoryImport() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    queued_.notify_all();
  }
  DirectoryImport(const DirectoryImport&) = delete;
  DirectoryImport& operator=(const DirectoryImport&) = delete;

  Result<ImportedLayer> Run(const std::string& directory) {
    RETURN_IF_ERROR(
        WalkDirectory(directory, [this](WalkedFile file) { return Take(std::move(file)); }));
    while (!window_.empty()) RETURN_IF_ERROR(PlaceOldest());
    if (control_.progress) control_.progress(entries_, content_bytes_);
    return ImportedLayer{std::move(tree_), entries_, content_bytes_, std::move(warnings_)};
  }

 private:
  struct Pending {
    WalkedFile file;
    bool hard_link = false;  // Another name of a file that was taken before.
    Inode inode;
    std::optional<Error> error;
    bool captured = false;  // Guarded by mutex_; the rest is the capturing thread's until then.
  };

  Status Take(WalkedFile file) {
    RETURN_IF_ERROR(control_.Check());
    ++entries_;
    const std::string name = Printable(file.path);
    if (S_ISSOCK(file.st.st_mode)) {
      warnings_.Add(name + ": a socket, left out");
      return Ok();
    }
    if (file.mount_point) {
      warnings_.Add(name + ": something is mounted here, its content is left out");
      if (!S_ISDIR(file.st.st_mode)) return Ok();
    }
    const bool device =
        S_ISBLK(file.st.st_mode) || (S_ISCHR(file.st.st_mode) && file.st.st_rdev != makedev(0, 0));
    if (device && !options_.caller_is_root) {
      return Error(Code::kPermissionDenied, "only root may import device nodes", EPERM);
    }
    Pending pending{std::move(file)};
    if (pending.file.st.st_nlink > 1 && !S_ISDIR(pending.file.st.st_mode)) {
      pending.hard_link =
          !linked_.try_emplace({pending.file.st.st_dev, pending.file.st.st_ino}, Tree::kRoot)
               .second;
    }
    if (pending.hard_link) {
      pending.file.fd.reset();
      pending.captured = true;
    }
    window_.push_back(std::move(pending));
    if (!window_.back().captured) {
      std::lock_guard lock(mutex_);
      queue_.push_back(&window_.back());
      queued_.notify_one();
    }
    return window_.size() < kWindowMax ? Ok() : PlaceOldest();
  }

  void CaptureLoop() {
    std::unique_lock lock(mutex_);
    while (true) {
      queued_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (stopping_) return;
      Pending* pending = queue_.front();
      queue_.pop_front();
      lock.unlock();
      Status status = Capture(pending);
      if (!status.ok()) pending->error = status.error();
      pending->file.fd.reset();
      lock.lock();
      pending->captured = true;
      captured_.notify_one();
    }
  }

  Status Capture(Pending* pending) const {
    RETURN_IF_ERROR(control_.Check());
    const WalkedFile& file = pending->file;
    const auto capture = [&]() -> Status {
      ASSIGN_OR_RETURN(pending->inode, CaptureMetadata(file.fd.get(), file.st));
      if (!S_ISREG(file.st.st_mode)) return Ok();
      return CaptureContent(file.fd.get(), ingest_, &pending->inode);
    };
    RETURN_IF_ERROR(capture(), "/" + Printable(file.path));
    return Ok();
  }

  Status PlaceOldest() {
    {
      std::unique_lock lock(mutex_);
      captured_.wait(lock, [this] { return window_.front().captured; });
    }
    Pending pending = std::move(window_.front());
    window_.pop_front();
    if (pending.error) return *pending.error;
    RETURN_IF_ERROR(Place(&pending), "/" + Printable(pending.file.path));
    if (entries_ % kProgressEntries == 0 && control_.progress) {
      control_.progress(entries_, content_bytes_);
    }
    return Ok();
  }

  void DropForbiddenXattrs(const std::string& path, Inode* inode) {
    std::erase_if(inode->xattrs, [&](const Xattr& xattr) {
      if (MayImportXattr(xattr.name, options_.caller_is_root)) return false;
      warnings_.Add(Printable(path) + ": attribute '" + Printable(xattr.name) +
                    "' is only root's to import");
      return true;
    });
  }

  Status Place(Pending* pending) {
    const std::string& path = pending->file.path;
    const struct stat& st = pending->file.st;
    DropForbiddenXattrs(path, &pending->inode);
    if (path.empty()) return tree_.CopyAttributes(Tree::kRoot, pending->inode);
    const size_t slash = path.rfind('/');
    const std::string_view directory =
        slash == std::string::npos ? "" : std::string_view(path).substr(0, slash);
    if (!parent_ || directory != parent_path_) {
      parent_ = tree_.Find(directory);
      parent_path_ = directory;
    }
    if (!parent_) return Error(Code::kInternal, "its directory was not taken");
    const std::string_view name = std::string_view(path).substr(slash + 1);  // npos + 1 == 0.
    if (pending->hard_link) return tree_.Link(*parent_, name, linked_.at({st.st_dev, st.st_ino}));

    if (pending->inode.IsRegular()) {
      if (pending->inode.size > options_.limits.content_bytes_max - content_bytes_) {
        return Error(
            Code::kResourceExhausted,
            "more than " + std::to_string(options_.limits.content_bytes_max) + " bytes of content");
      }
      content_bytes_ += pending->inode.size;
    }
    ASSIGN_OR_RETURN(const InodeIndex index, tree_.AddInode(std::move(pending->inode)));
    if (const auto it = linked_.find({st.st_dev, st.st_ino});
        it != linked_.end() && !S_ISDIR(st.st_mode)) {
      it->second = index;
    }
    return tree_.Link(*parent_, name, index);
  }

  Ingest& ingest_;
  const DirectoryImportOptions& options_;
  const ImportControl& control_;
  Tree tree_;
  std::deque<Pending> window_;  // In the order of the walk. References stay valid.
  std::map<std::pair<dev_t, ino_t>, InodeIndex> linked_;  // Files with several names.
  std::optional<InodeIndex> parent_;                      // Of the entry placed last.
  std::string parent_path_;
  ImportWarnings warnings_;
  uint64_t entries_ = 0;
  uint64_t content_bytes_ = 0;

  std::mutex mutex_;  // Guards queue_, stopping_ and Pending::captured.
  std::deque<Pending*> queue_;
  std::condition_variable queued_, captured_;
  bool stopping_ = false;
  std::vector<std::jthread> threads_;  // Last: joined before the rest goes.
};

}  // namespace

Result<ImportedLayer> ImportDirectory(const std::string& directory, Ingest& ingest,
                                      const DirectoryImportOptions& options,
                                      const ImportControl& control) {
  return DirectoryImport(ingest, options, control).Run(directory);
}

}  // namespace strata::imaged
