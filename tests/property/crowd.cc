#include "tests/property/crowd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "common/file_io.h"
#include "tests/property/follower.h"
#include "tests/property/generator.h"
#include "tests/property/sample_image.h"

namespace strata::property {
namespace {

using conformance::Backend;

constexpr char kShared[] = "shared";
constexpr unsigned kSharers = 2;

std::string DirectoryOf(unsigned thread) { return "own" + std::to_string(thread); }

// A model of the whole image in which only `name` is followed.
Model Describe(const std::string& name, const EpisodeOptions& options, testing::TestImage* image) {
  Model model(QuirksOf(options.target));
  Inode directory;
  directory.mode = S_IFDIR | 0755;
  directory.mtime_kind = MtimeKind::kUnknown;
  image->Directory(name);
  model.AddImage(name, std::move(directory));
  DescribeSample(name + "/", image, &model);
  return model;
}

// The first thing that went wrong anywhere.
class Verdict {
 public:
  void Say(const std::string& text) {
    const std::lock_guard lock(mutex_);
    if (text_.empty()) text_ = text;
    failed_ = !text_.empty();
  }
  bool failed() const { return failed_; }
  const std::string& text() const { return text_; }

 private:
  std::mutex mutex_;  // Guards text_.
  std::string text_;
  std::atomic<bool> failed_{false};
};

void Follow(Follower* follower, const std::string& directory, uint64_t seed, uint64_t operations,
            const EpisodeOptions& options, const std::atomic<bool>& stop, Verdict* verdict) {
  Generator generator(seed, directory + "/");
  for (uint64_t i = 1; i <= operations && !stop && !verdict->failed(); ++i) {
    const Operation op = generator.Next(follower->model());
    if (op.kind == Kind::kRemount) continue;
    std::string text = follower->Step(op);
    if (text.empty() && i % options.check_every == 0) text = follower->CheckAll(directory);
    if (!text.empty()) verdict->Say(op.Text() + ": " + text);
  }
}

// What others may have done meanwhile explains these.
bool MayHappen(const Operation& op, int error) {
  constexpr int kErrors[] = {ENOENT,  ENOTDIR, EEXIST, EISDIR,     ENOTEMPTY,   EINVAL, ELOOP,
                             ENODATA, EPERM,   EACCES, EBADF,      ENXIO,       EXDEV,  EAGAIN,
                             ESPIPE,  ENODEV,  ERANGE, EOPNOTSUPP, ENAMETOOLONG};
  if (op.kind == Kind::kReopen && error == ESTALE) return true;  // An old reader.
  return error == 0 ||
         std::find(std::begin(kErrors), std::end(kErrors), error) != std::end(kErrors);
}

void Share(const std::string& root, const Model& model, uint64_t seed, uint64_t operations,
           const std::atomic<bool>& stop, Verdict* verdict) {
  Generator generator(seed, std::string(kShared) + "/");
  Executor executor(root);
  for (uint64_t i = 1; i <= operations && !stop && !verdict->failed(); ++i) {
    const Operation op = generator.Next(model);
    // A mapping of a file that another truncates ends in SIGBUS, as everywhere.
    if (op.kind == Kind::kRemount || op.kind == Kind::kMapWrite) continue;
    const Outcome outcome = executor.Apply(op);
    if (!MayHappen(op, outcome.error)) {
      verdict->Say("shared: " + op.Text() + " answers " + ::strerror(outcome.error));
    }
  }
}

// All that is below `path`, in `*tree`. What went wrong.
std::string Survey(const std::string& path, std::map<std::string, std::string>* tree) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(path.c_str()), ::closedir);
  if (stream == nullptr) return "opendir " + path + ": " + ::strerror(errno);
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const std::string below = path + "/" + name;
    const UniqueFd fd(::open(below.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    Seen seen;
    const int error = fd.valid() ? Look(fd.get(), &seen) : errno;
    if (error != 0) return below + ": " + ::strerror(error);
    std::string text = std::to_string(seen.st.st_mode) + " " + std::to_string(seen.st.st_uid);
    if (!S_ISDIR(seen.st.st_mode)) text += " links " + std::to_string(seen.st.st_nlink);
    for (const auto& [key, value] : seen.xattrs) text += " " + key + "=" + value;
    if (S_ISREG(seen.st.st_mode)) {
      const auto content = ReadFile(below);
      if (!content.ok()) return content.error().message();
      text += " " + *content;
    }
    if (!tree->emplace(below, std::move(text)).second) return below + " is listed twice";
    if (!S_ISDIR(seen.st.st_mode)) continue;
    if (std::string wrong = Survey(below, tree); !wrong.empty()) return wrong;
  }
  return "";
}

std::string Differing(const std::map<std::string, std::string>& before,
                      const std::map<std::string, std::string>& after) {
  for (const auto& [path, text] : before) {
    const auto found = after.find(path);
    if (found == after.end()) return path + " is gone after the remount";
    if (found->second != text) return path + " is another after the remount";
  }
  return before.size() == after.size() ? "" : "there is more after the remount";
}

}  // namespace

Result<std::string> RunCrowd(const EpisodeOptions& options, uint64_t seed, unsigned threads,
                             uint64_t operations, const std::atomic<bool>& stop) {
  ::umask(022);
  ASSIGN_OR_RETURN(const TemporaryDirectory directory,
                   TemporaryDirectory::Create(options.directory, "layerfs-property."));
  testing::TestImage image;
  std::vector<Model> models;
  for (unsigned i = 0; i < threads; ++i) {
    models.push_back(Describe(DirectoryOf(i), options, &image));
  }
  const Model shared = Describe(kShared, options, &image);
  ASSIGN_OR_RETURN(const std::unique_ptr<Backend> backend,
                   Backend::Create(BackendOf(options.target), directory.path(), image));
  const std::string root = backend->mountpoint();
  std::vector<std::unique_ptr<Follower>> followers;
  Verdict verdict;
  {
    std::vector<std::jthread> running;
    for (unsigned i = 0; i < threads; ++i) {
      followers.push_back(std::make_unique<Follower>(options.target, root, std::move(models[i])));
      running.emplace_back(Follow, followers.back().get(), DirectoryOf(i), seed + i, operations,
                           std::cref(options), std::cref(stop), &verdict);
    }
    for (unsigned i = 0; i < kSharers; ++i) {
      running.emplace_back(Share, root, std::cref(shared), seed + 1000 + i, operations,
                           std::cref(stop), &verdict);
    }
  }
  for (const auto& follower : followers) follower->CloseAll();
  std::map<std::string, std::string> before, after;
  verdict.Say(Survey(root + "/" + kShared, &before));
  const bool switches = options.target == Target::kSwitching;
  RETURN_IF_ERROR(backend->Remount(switches), verdict.text());
  for (unsigned i = 0; i < threads; ++i) {
    followers[i]->ForgetNumbers();
    // The model's files are closed as well.
    Operation close;
    close.kind = Kind::kRemount;
    verdict.Say(followers[i]->Step(close));
    if (!verdict.failed()) verdict.Say(followers[i]->CheckAll(DirectoryOf(i)));
  }
  verdict.Say(Survey(root + "/" + kShared, &after));
  verdict.Say(Differing(before, after));
  RETURN_IF_ERROR(backend->Unmount(), verdict.text());
  return verdict.text();
}

}  // namespace strata::property
