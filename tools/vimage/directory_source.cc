#include "tools/vimage/directory_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <thread>

#include "common/cancel.h"
#include "common/file_io.h"
#include "common/sigpipe_blocked.h"
#include "imaged/archive/directory_tar.h"

namespace strata::tools {
namespace {

constexpr int kPipeBytes = 1 << 20;
constexpr size_t kWarningsMax = 100;

class DirectorySource : public TarSource {
 public:
  DirectorySource(std::string directory, UniqueFd read_end, UniqueFd write_end)
      : directory_(std::move(directory)),
        read_end_(std::move(read_end)),
        write_end_(std::move(write_end)),
        thread_([this] { Produce(); }) {}

  ~DirectorySource() override {
    if (!thread_.joinable()) return;
    cancel_.Cancel();
    read_end_.reset();  // Wakes a thread that waits for room in the pipe.
    thread_.join();
  }

  int fd() const override { return read_end_.get(); }
  bool literal_names() const override { return true; }

  Status Finish() override {
    thread_.join();
    return status_;
  }

  std::vector<std::string> warnings() const override { return warnings_; }

 private:
  void Produce() {
    const SigPipeBlocked no_signal;
    imaged::DirectoryTarOptions options;
    options.cancel = &cancel_;
    options.warning = [this](const std::string& warning) {
      if (warnings_.size() < kWarningsMax) warnings_.push_back(warning);
    };
    const auto written = imaged::WriteDirectoryTar(
        directory_, [this](std::string_view data) { return WriteAll(write_end_.get(), data); },
        options);
    if (!written.ok()) status_ = written.error();
    write_end_.reset();
  }

  const std::string directory_;
  UniqueFd read_end_;
  UniqueFd write_end_;
  CancelToken cancel_;
  // Of the thread, until it was joined.
  std::vector<std::string> warnings_;
  Status status_;
  std::thread thread_;  // Last: it uses the others.
};

}  // namespace

Result<std::unique_ptr<TarSource>> StartDirectorySource(const std::string& directory) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return Errno("pipe");
  UniqueFd read_end(fds[0]);
  UniqueFd write_end(fds[1]);
  ::fcntl(read_end.get(), F_SETPIPE_SZ, kPipeBytes);  // Fewer switches; the default works too.
  return std::unique_ptr<TarSource>(
      std::make_unique<DirectorySource>(directory, std::move(read_end), std::move(write_end)));
}

}  // namespace strata::tools
