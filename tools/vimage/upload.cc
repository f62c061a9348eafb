#include "tools/vimage/upload.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/log.h"

namespace strata::tools {
namespace {

constexpr size_t kChunkBytes = 1 << 20;  // The contract's limit.

// False when `stop_fd` was written.
Result<bool> WaitReadable(int fd, int stop_fd) {
  while (true) {
    pollfd fds[2] = {{fd, POLLIN, 0}, {stop_fd, POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return Errno("poll");
    }
    return fds[1].revents == 0;
  }
}

}  // namespace

Upload::Upload(Stream& stream, grpc::ClientContext& context, TarSource& source,
               const imaged::v1::ImportOptions& options)
    : stream_(stream), context_(context), source_(source), stop_fd_(::eventfd(0, EFD_CLOEXEC)) {
  CHECK(stop_fd_.valid());
  thread_ = std::thread([this, options] { Send(options); });
}

Upload::~Upload() {
  if (!thread_.joinable()) return;
  context_.TryCancel();
  (void)Stop();  // Somebody is already leaving with an error.
}

Status Upload::Stop() {
  const uint64_t one = 1;
  CHECK(::write(stop_fd_.get(), &one, sizeof(one)) == sizeof(one));
  thread_.join();
  return status_;
}

void Upload::Send(const imaged::v1::ImportOptions& options) {
  imaged::v1::ImportRequest request;
  *request.mutable_options() = options;
  if (!stream_.Write(request)) return;
  const Result<bool> sent = SendAll();
  if (!sent.ok()) {
    status_ = sent.error();
    context_.TryCancel();
  } else if (*sent) {
    request.set_end(true);
    if (stream_.Write(request)) stream_.WritesDone();
  }
}

Result<bool> Upload::SendAll() {
  imaged::v1::ImportRequest request;
  while (true) {
    ASSIGN_OR_RETURN(const bool readable, WaitReadable(source_.fd(), stop_fd_.get()));
    if (!readable) return false;
    std::string* chunk = request.mutable_tar();
    chunk->resize(kChunkBytes);
    const ssize_t n = ::read(source_.fd(), chunk->data(), chunk->size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno("read the archive");
    if (n == 0) break;
    chunk->resize(static_cast<size_t>(n));
    if (!stream_.Write(request)) return false;
  }
  RETURN_IF_ERROR(source_.Finish());
  return true;
}

}  // namespace strata::tools
