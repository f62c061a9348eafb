// The context of a build: a directory of the user's.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "common/file_io.h"
#include "common/open_in_root.h"
#include "common/printable.h"
#include "tools/vimage/build/copy_source.h"

namespace strata::tools {
namespace {

constexpr size_t kDepthMax = 200;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

Result<std::vector<std::string>> NamesIn(UniqueFd fd, const std::string& path) {
  const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(fd.get()));
  if (directory == nullptr) return Errno(Printable(path));
  (void)fd.release();  // The stream closes it.
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
    errno = 0;
  }
  if (errno != 0) return Errno(Printable(path));
  std::sort(names.begin(), names.end());
  return names;
}

class ContextTree : public CopySource {
 public:
  ContextTree(UniqueFd root, const imaged::build::IgnoreFile& ignore)
      : root_(std::move(root)), ignore_(ignore) {}

  Result<std::vector<std::string>> List(const std::string& path) override {
    std::vector<std::string> names;
    const UniqueFd fd = OpenBelow(path, O_PATH);
    struct stat st;
    if (!fd.valid() || ::fstat(fd.get(), &st) != 0 || !S_ISDIR(st.st_mode)) return names;
    ASSIGN_OR_RETURN(names, NamesIn(OpenBelow(path, O_RDONLY | O_DIRECTORY), path));
    std::erase_if(names, [&](const std::string& name) {
      return ignore_.Ignores(path.empty() ? name : path + "/" + name);
    });
    return names;
  }

  Result<bool> IsDirectory(const std::string& path) override {
    const UniqueFd fd = OpenBelow(path, O_PATH);
    struct stat st;
    if (!fd.valid() || ::fstat(fd.get(), &st) != 0) {
      return Error(Code::kNotFound, "'" + Printable(path) + "' is not in the build's context");
    }
    if (!path.empty() && ignore_.Ignores(path) &&
        !(S_ISDIR(st.st_mode) && ignore_.has_exceptions())) {
      return Error(Code::kNotFound,
                   "'" + Printable(path) + "' is left out of the context by .dockerignore");
    }
    return S_ISDIR(st.st_mode);
  }

  Status Walk(const std::string& path, const EntryVisitor& visit) override {
    const UniqueFd fd = OpenBelow(path, O_PATH);
    if (!fd.valid()) return Errno(Printable(path));
    return Visit(fd, path, "", visit, 0);
  }

  Result<UniqueFd> OpenFile(const std::string& path) override {
    UniqueFd fd = OpenBelow(path, O_RDONLY | O_NONBLOCK);
    if (!fd.valid()) return Errno(Printable(path));
    return fd;
  }

 private:
  // Symbolic links stay within the context.
  UniqueFd OpenBelow(const std::string& path, uint64_t flags) const {
    return OpenInRoot(root_.get(), path.empty() ? "." : path.c_str(), flags);
  }

  // `at`: what `path`, `relative` for the visitor, is.
  Status Visit(const UniqueFd& at, const std::string& path, const std::string& relative,
               const EntryVisitor& visit, size_t depth) {
    if (depth > kDepthMax) {
      return Error(Code::kResourceExhausted, "directories are deeper than 200: " + Printable(path));
    }
    struct stat st;
    if (::fstat(at.get(), &st) != 0) return Errno(Printable(path));
    imaged::PaxEntry entry;
    // As buildah: a file of a user's directory gets nobody else's rights in an image. --chmod
    // gives.
    entry.mode = st.st_mode & ~static_cast<mode_t>(S_ISUID | S_ISGID);
    entry.mtime_s = st.st_mtim.tv_sec;
    entry.mtime_ns = static_cast<uint32_t>(st.st_mtim.tv_nsec);
    if (S_ISREG(st.st_mode)) return VisitFile(at, path, relative, std::move(entry), visit);
    if (S_ISLNK(st.st_mode)) {
      char target[PATH_MAX];
      const ssize_t n = ::readlinkat(at.get(), "", target, sizeof(target));
      if (n < 0) return Errno(Printable(path));
      entry.link.assign(target, static_cast<size_t>(n));
    } else if (S_ISSOCK(st.st_mode)) {
      return Ok();  // Nothing keeps one.
    } else if (!S_ISDIR(st.st_mode) && !S_ISFIFO(st.st_mode)) {
      return Error(Code::kInvalidArgument, Printable(path) + " is a device: it cannot be copied");
    }
    const bool is_directory = S_ISDIR(st.st_mode);
    if (!is_directory || path.empty() || !ignore_.Ignores(path)) {
      RETURN_IF_ERROR(visit(relative, std::move(entry), NoContent()));
    }
    return is_directory ? VisitBelow(at, path, relative, visit, depth) : Ok();
  }

  static FileContent NoContent() {
    return [](const imaged::ByteSink&) { return Ok(); };
  }

  Status VisitBelow(const UniqueFd& at, const std::string& path, const std::string& relative,
                    const EntryVisitor& visit, size_t depth) {
    ASSIGN_OR_RETURN(UniqueFd list, OpenAt(at.get(), ".", O_RDONLY | O_DIRECTORY), Printable(path));
    ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(std::move(list), path));
    for (const std::string& name : names) {
      const std::string below = path.empty() ? name : path + "/" + name;
      ASSIGN_OR_RETURN(const UniqueFd next, OpenAt(at.get(), name, O_PATH | O_NOFOLLOW));
      if (ignore_.Ignores(below)) {
        struct stat st;
        if (::fstat(next.get(), &st) != 0) return Errno(Printable(below));
        // An exception may take something below back in.
        if (!S_ISDIR(st.st_mode) || !ignore_.has_exceptions()) continue;
      }
      RETURN_IF_ERROR(
          Visit(next, below, relative.empty() ? name : relative + "/" + name, visit, depth + 1));
    }
    return Ok();
  }

  Status VisitFile(const UniqueFd& at, const std::string& path, const std::string& relative,
                   imaged::PaxEntry entry, const EntryVisitor& visit) {
    ASSIGN_OR_RETURN(const UniqueFd fd, Open("/proc/self/fd/" + std::to_string(at.get()), O_RDONLY),
                     Printable(path));
    struct stat st;
    if (::fstat(fd.get(), &st) != 0) return Errno(Printable(path));
    entry.size = static_cast<uint64_t>(st.st_size);
    const uint64_t size = entry.size;
    return visit(relative, std::move(entry), [&](const imaged::ByteSink& sink) -> Status {
      std::string buffer(imaged::kSinkBytesMax, '\0');
      for (uint64_t done = 0; done < size;) {
        const size_t n = std::min<uint64_t>(buffer.size(), size - done);
        if (!PReadExactly(fd.get(), buffer.data(), n, done).ok()) {
          return Error(Code::kFailedPrecondition, Printable(path) + " changed during the build");
        }
        RETURN_IF_ERROR(sink({buffer.data(), n}));
        done += n;
      }
      return Ok();
    });
  }

  const UniqueFd root_;
  const imaged::build::IgnoreFile& ignore_;
};

}  // namespace

Result<std::unique_ptr<CopySource>> OpenContext(const std::string& path,
                                                const imaged::build::IgnoreFile& ignore) {
  ASSIGN_OR_RETURN(UniqueFd root, Open(path, O_PATH | O_DIRECTORY), "the build's context");
  return std::unique_ptr<CopySource>(std::make_unique<ContextTree>(std::move(root), ignore));
}

}  // namespace strata::tools
