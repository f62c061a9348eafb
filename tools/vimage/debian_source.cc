#include "tools/vimage/debian_source.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <csignal>
#include <sstream>

#include "common/file_io.h"
#include "common/paths.h"
#include "common/subprocess.h"

namespace strata::tools {
namespace {

constexpr const char* kIndexFormat = "$(REPO_URI) $(ORIGIN) $(RELEASE) $(COMPONENT) $(CREATED_BY)";
constexpr size_t kMessagesLimitBytes = 1 << 20;
constexpr const char* kDefaultEpoch = "1735689600";  // 2025-01-01.
constexpr int kPipeBytes = 1 << 20;
constexpr auto kCleanUpTime = std::chrono::seconds(20);

bool IsName(const std::string& text) {
  return !text.empty() && text[0] != '-' &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '+' || c == '_' ||
                  c == ':' || c == '/' || c == '~';
         });
}

Status CheckNames(const std::string& suite, const SourceArguments& arguments) {
  if (!IsName(suite)) {
    return Error(Code::kInvalidArgument,
                 "'" + suite + "' is not a Debian suite: try debian:bookworm");
  }
  for (const std::string& package : arguments.packages) {
    if (!IsName(package)) {
      return Error(Code::kInvalidArgument, "'" + package + "' is not a Debian package name");
    }
  }
  return Ok();
}

// The messages end up in one line: the last ones that say what failed.
std::string LastMessages(int fd) {
  const off_t end = ::lseek(fd, 0, SEEK_END);
  std::string text(static_cast<size_t>(std::clamp<off_t>(end, 0, kMessagesLimitBytes)), '\0');
  const off_t start = end - static_cast<off_t>(text.size());
  if (!PReadExactly(fd, text.data(), text.size(), static_cast<uint64_t>(start)).ok()) return "";
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with("E: ") || line.starts_with("W: ") || line.find("rror") != line.npos) {
      lines.push_back(line);
    }
  }
  std::string joined;
  const size_t first = lines.size() > 4 ? lines.size() - 4 : 0;
  for (size_t i = first; i < lines.size(); ++i) joined += (i > first ? "; " : "") + lines[i];
  return joined;
}

class MmdebstrapSource : public TarSource {
 public:
  MmdebstrapSource(Subprocess process, UniqueFd out, UniqueFd messages)
      : process_(std::move(process)), out_(std::move(out)), messages_(std::move(messages)) {}

  ~MmdebstrapSource() override {
    if (finished_) return;
    // It has mounts and a temporary root to take away, so it is asked first.
    out_.reset();
    process_.Kill(SIGTERM);
    (void)process_.WaitFor(kCleanUpTime);
  }

  int fd() const override { return out_.get(); }
  bool literal_names() const override { return true; }

  Status Finish() override {
    finished_ = true;
    ASSIGN_OR_RETURN(const int exit_code, process_.Wait());
    if (exit_code == 0) return Ok();
    return Error(Code::kInternal, "mmdebstrap failed (exit code " + std::to_string(exit_code) +
                                      "): " + LastMessages(messages_.get()));
  }

 private:
  Subprocess process_;
  UniqueFd out_;
  UniqueFd messages_;
  bool finished_ = false;
};

std::vector<std::string> MirrorsOfThisMachine(const std::string& suite) {
  const auto output = Run({"apt-get", "indextargets", "--format", kIndexFormat});
  // No apt, or no lists yet: mmdebstrap's default mirror is the answer then.
  if (!output.ok() || output->exit_code != 0) return {};
  return MirrorLines(output->out, suite);
}

}  // namespace

std::vector<std::string> MirrorLines(std::string_view index_targets, const std::string& suite) {
  std::vector<std::string> lines;
  std::istringstream stream{std::string(index_targets)};
  for (std::string line; std::getline(stream, line);) {
    std::istringstream words(line);
    std::string uri, origin, release, component, kind;
    words >> uri >> origin >> release >> component >> kind;
    const bool wanted =
        release == suite || release == suite + "-updates" || release == suite + "-security";
    if (origin != "Debian" || kind != "Packages" || !wanted) continue;
    std::string mirror = "deb " + uri + " " + release + " " + component;
    if (std::find(lines.begin(), lines.end(), mirror) == lines.end()) {
      lines.push_back(std::move(mirror));
    }
  }
  // Updates without the suite itself would not make a system.
  const bool complete = std::any_of(lines.begin(), lines.end(), [&](const std::string& mirror) {
    return mirror.find(" " + suite + " main") != std::string::npos;
  });
  return complete ? lines : std::vector<std::string>();
}

std::vector<std::string> MmdebstrapCommand(const std::string& suite,
                                           const SourceArguments& arguments) {
  std::vector<std::string> command = {"mmdebstrap", "--format=tar",
                                      "--variant=" + arguments.variant};
  std::string packages;
  for (const std::string& package : arguments.packages) {
    packages += (packages.empty() ? "" : ",") + package;
  }
  if (!packages.empty()) command.push_back("--include=" + packages);
  command.insert(command.end(), {"--", suite, "-"});
  command.insert(command.end(), arguments.mirrors.begin(), arguments.mirrors.end());
  return command;
}

Result<std::unique_ptr<TarSource>> StartDebianSource(const std::string& suite,
                                                     const SourceArguments& arguments) {
  RETURN_IF_ERROR(CheckNames(suite, arguments));
  SourceArguments complete = arguments;
  if (complete.mirrors.empty()) complete.mirrors = MirrorsOfThisMachine(suite);

  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return Errno("pipe");
  UniqueFd read_end(fds[0]);
  UniqueFd write_end(fds[1]);
  ::fcntl(read_end.get(), F_SETPIPE_SZ, kPipeBytes);  // Fewer switches; the default works too.
  UniqueFd messages(::memfd_create("mmdebstrap-messages", MFD_CLOEXEC));
  if (!messages.valid()) return Errno("memfd_create");

  SubprocessOptions options;
  options.argv = MmdebstrapCommand(suite, complete);
  options.stdout_fd = write_end.get();
  options.stderr_fd = messages.get();
  // Files that the installation makes get this time or an earlier one, so that the same packages
  // give the same layer. The installed ones keep their own.
  options.extra_env = {"SOURCE_DATE_EPOCH=" + EnvironmentOr("SOURCE_DATE_EPOCH", kDefaultEpoch),
                       "LC_ALL=C"};
  Result<Subprocess> process = Subprocess::Start(options);
  if (!process.ok()) {
    if (process.error().sys_errno() != ENOENT) return process.error();
    return Error(
        Code::kUnsupported,
        "mmdebstrap is not installed: run tools/setup/install, or apt-get install mmdebstrap");
  }
  return std::unique_ptr<TarSource>(std::make_unique<MmdebstrapSource>(
      std::move(*process), std::move(read_end), std::move(messages)));
}

}  // namespace strata::tools
