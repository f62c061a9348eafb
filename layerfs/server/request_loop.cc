#include "layerfs/server/request_loop.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "common/log.h"
#include "layerfs/server/fuse_wire.h"

namespace strata::layerfs {
namespace {

// The longest request is a write of 1 MiB (fuse_server.cc) and its headers.
constexpr size_t kBufferSize = (size_t{1} << 20) + 4096;

thread_local CurrentRequest this_request;

struct FuseArguments {
  ~FuseArguments() { fuse_opt_free_args(&args); }
  fuse_args args = FUSE_ARGS_INIT(0, nullptr);
};

class Buffer {
 public:
  Buffer()
      : memory_(::mmap(nullptr, kBufferSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                       -1, 0)) {
    // A page that is first touched by a read which a signal kills makes the kernel fail the
    // request; nearly all of them fit into these.
    if (valid()) std::memset(memory_, 0, 8192);
  }
  ~Buffer() {
    if (valid()) ::munmap(memory_, kBufferSize);
  }
  Buffer(const Buffer&) = delete;
  bool valid() const { return memory_ != MAP_FAILED; }
  void* get() const { return memory_; }

 private:
  void* memory_;
};

// The size of a request; 0: the connection has ended. Errors of single requests are passed over.
Result<size_t> ReadRequest(fuse_session* fuse, const Buffer& buffer) {
  while (!fuse_session_exited(fuse)) {
    const ssize_t n = ::read(fuse_session_fd(fuse), buffer.get(), kBufferSize);
    if (n >= static_cast<ssize_t>(sizeof(FuseInHeader))) return static_cast<size_t>(n);
    if (n >= 0) return Error(Code::kInternal, "a short request");
    // ENOENT: the request was aborted while it was read.
    if (errno == EINTR || errno == EAGAIN || errno == ENOENT) continue;
    // ECONNABORTED: a read that raced with the end of the connection.
    if (errno == ENODEV || errno == ECONNABORTED) return 0;
    return Errno("read a request");
  }
  return 0;
}

void Process(fuse_session* fuse, void* memory, size_t size) {
  const auto* header = static_cast<const FuseInHeader*>(memory);
  this_request.number = header->unique & ~kFuseUniqueResend;
  this_request.is_repeated = (header->unique & kFuseUniqueResend) != 0;
  fuse_buf buf = {};
  buf.mem = memory;
  buf.size = size;
  fuse_session_process_buf(fuse, &buf);
}

int Work(fuse_session* fuse, size_t thread) {
  this_request.thread = thread;
  const Buffer buffer;
  if (!buffer.valid()) {
    LOG_ERROR(Errno("request buffer").message());
    return 1;
  }
  while (true) {
    const Result<size_t> size = ReadRequest(fuse, buffer);
    if (!size.ok()) {
      LOG_ERROR(size.error().message());
      fuse_session_exit(fuse);
      return 1;
    }
    if (*size == 0) return 0;
    Process(fuse, buffer.get(), *size);
  }
}

}  // namespace

Result<FuseSessionPtr> OpenFuseSession(UniqueFd connection, const fuse_lowlevel_ops& ops,
                                       void* userdata, bool debug) {
  FuseArguments arguments;
  if (fuse_opt_add_arg(&arguments.args, "layerfs") != 0 ||
      (debug && fuse_opt_add_arg(&arguments.args, "-d") != 0)) {
    return Errno("FUSE session", ENOMEM);
  }
  FuseSessionPtr session(fuse_session_new(&arguments.args, &ops, sizeof(ops), userdata),
                         fuse_session_destroy);
  if (session == nullptr) return Error(Code::kInternal, "libfuse refuses to make a session");
  const std::string device = "/dev/fd/" + std::to_string(connection.get());
  if (fuse_session_mount(session.get(), device.c_str()) != 0) {
    return Error(Code::kInvalidArgument, device + ": not a FUSE connection");
  }
  [[maybe_unused]] const int taken_over = connection.release();
  return session;
}

const CurrentRequest& ThisRequest() { return this_request; }

Status Negotiate(fuse_session* fuse, ServerState& state) {
  const Buffer buffer;
  if (!buffer.valid()) return Errno("request buffer");
  ASSIGN_OR_RETURN(const size_t size, ReadRequest(fuse, buffer));
  if (size == 0) return Ok();  // Unmounted already: the loop sees it too.
  StateHeader& header = state.header();
  if (size > sizeof(header.init)) return Error(Code::kUnsupported, "a long FUSE_INIT request");
  std::memcpy(header.init, buffer.get(), size);
  header.init_size.store(static_cast<uint32_t>(size), std::memory_order_release);
  Process(fuse, buffer.get(), size);
  return Ok();
}

Status NegotiateAgain(fuse_session* fuse, ServerState& state) {
  const StateHeader& header = state.header();
  const uint32_t size = header.init_size.load(std::memory_order_acquire);
  // The server died before it read anything: the kernel's request is still to come.
  if (size == 0) return Negotiate(fuse, state);
  unsigned char init[kInitRequestMax];
  std::memcpy(init, header.init, sizeof(init));
  // The kernel refuses the answer, since it waits for none, and libfuse does not mind.
  Process(fuse, init, std::min<size_t>(size, sizeof(init)));
  const FuseOutHeader resend = {sizeof(FuseOutHeader), kFuseNotifyResend, 0};
  if (::write(fuse_session_fd(fuse), &resend, sizeof(resend)) < 0) {
    if (errno == ENODEV) return Ok();
    const Error error = Errno("have the kernel repeat its requests");
    return Error(Code::kUnsupported, error.message() + " (Linux 6.9 or later can)", errno);
  }
  return Ok();
}

int ServeRequests(fuse_session* fuse, unsigned threads) {
  threads = std::clamp<unsigned>(threads, 1, kServerThreadsMax);
  std::vector<int> codes(threads, 0);
  std::vector<std::thread> others;
  for (unsigned i = 1; i < threads; ++i) {
    others.emplace_back([fuse, i, &codes] { codes[i] = Work(fuse, i); });
  }
  codes[0] = Work(fuse, 0);
  for (std::thread& other : others) other.join();
  return *std::max_element(codes.begin(), codes.end());
}

}  // namespace strata::layerfs
