#include "layerfs/server/request_loop.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "common/log.h"
#include "layerfs/server/fuse_wire.h"
#include "layerfs/server/leadership.h"
#include "layerfs/server/poll_window.h"

namespace strata::layerfs {
namespace {

using Clock = std::chrono::steady_clock;

// The longest request is a write of 1 MiB (fuse_server.cc) and its headers.
constexpr size_t kBufferSize = (size_t{1} << 20) + 4096;

thread_local CurrentRequest this_request;

// Of the thread that serves a request.
struct Reader {
  Leadership* leadership = nullptr;
  Leadership::Turn turn;
};
thread_local Reader this_reader;

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

struct ReadResult {
  enum class Kind { kRequest, kNothing, kEnded };
  Kind kind;
  size_t size = 0;
};

// Does not wait. Errors of single requests are passed over.
Result<ReadResult> TryRead(fuse_session* fuse, const Buffer& buffer) {
  while (!fuse_session_exited(fuse)) {
    const ssize_t n = ::read(fuse_session_fd(fuse), buffer.get(), kBufferSize);
    if (n >= static_cast<ssize_t>(sizeof(FuseInHeader))) {
      return ReadResult{ReadResult::Kind::kRequest, static_cast<size_t>(n)};
    }
    if (n >= 0) return Error(Code::kInternal, "a short request");
    if (errno == EAGAIN) return ReadResult{ReadResult::Kind::kNothing};
    // ENOENT: the request was aborted while it was read.
    if (errno == EINTR || errno == ENOENT) continue;
    // ECONNABORTED: a read that raced with the end of the connection.
    if (errno == ENODEV || errno == ECONNABORTED) break;
    return Errno("read a request");
  }
  return ReadResult{ReadResult::Kind::kEnded};
}

// Reads the connection's requests; waits for one in the way that PollWindow says.
class RequestReader {
 public:
  RequestReader(fuse_session* fuse, const Buffer& buffer) : fuse_(fuse), buffer_(buffer) {}

  // `*at_once`: it was there already.
  Result<ReadResult> Wait(bool* at_once) {
    const Clock::time_point start = Clock::now();
    window_.Begin();
    *at_once = true;
    bool sleeps = false;
    while (true) {
      ASSIGN_OR_RETURN(const ReadResult result, TryRead(fuse_, buffer_));
      if (result.kind != ReadResult::Kind::kNothing) {
        if (!*at_once) window_.Waited(Clock::now() - start);
        return result;
      }
      *at_once = false;
      if (!sleeps && window_.LooksAgain(Clock::now() - start)) continue;
      sleeps = true;
      pollfd connection{fuse_session_fd(fuse_), POLLIN, 0};
      if (::poll(&connection, 1, -1) < 0 && errno != EINTR) return Errno("wait for a request");
    }
  }

 private:
  fuse_session* fuse_;
  const Buffer& buffer_;
  PollWindow window_;
};

void Process(fuse_session* fuse, void* memory, size_t size) {
  const auto* header = static_cast<const FuseInHeader*>(memory);
  this_request.number = header->unique & ~kFuseUniqueResend;
  this_request.is_repeated = (header->unique & kFuseUniqueResend) != 0;
  fuse_buf buf = {};
  buf.mem = memory;
  buf.size = size;
  fuse_session_process_buf(fuse, &buf);
}

void ProcessAndCount(fuse_session* fuse, ServerState& state, void* memory, size_t size) {
  const uint32_t opcode = static_cast<const FuseInHeader*>(memory)->opcode;
  const Clock::time_point start = Clock::now();
  Process(fuse, memory, size);
  const std::chrono::nanoseconds took = Clock::now() - start;
  RequestCount& counted = state.header().requests[std::min<size_t>(opcode, kOpcodesMax - 1)];
  counted.count.fetch_add(1, std::memory_order_relaxed);
  counted.nanoseconds.fetch_add(static_cast<uint64_t>(took.count()), std::memory_order_relaxed);
}

Status Work(fuse_session* fuse, ServerState& state, Leadership& leadership, size_t thread,
            const Buffer& buffer) {
  this_request.thread = thread;
  this_reader.leadership = &leadership;
  Leadership::Turn& turn = this_reader.turn;
  RequestReader reader(fuse, buffer);
  while (leadership.Take(&turn)) {
    do {
      bool at_once = true;
      ASSIGN_OR_RETURN(const ReadResult read,
                       turn.leads() ? reader.Wait(&at_once) : TryRead(fuse, buffer));
      if (read.kind == ReadResult::Kind::kEnded) return Ok();
      if (read.kind == ReadResult::Kind::kNothing) break;
      leadership.Begin(&turn, at_once);
      ProcessAndCount(fuse, state, buffer.get(), read.size);
    } while (leadership.Finish(&turn));
  }
  return Ok();
}

// The exit code of a thread. When one ends, all do.
int WorkToTheEnd(fuse_session* fuse, ServerState& state, Leadership& leadership, size_t thread,
                 const Buffer& buffer) {
  const Status worked = Work(fuse, state, leadership, thread, buffer);
  leadership.End();
  if (worked.ok()) return 0;
  LOG_ERROR(worked.error().message());
  fuse_session_exit(fuse);
  return 1;
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
  // Threads wait in poll(2), so that those which help need not wait at all.
  const int flags = ::fcntl(connection.get(), F_GETFL);
  if (flags < 0 || ::fcntl(connection.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return Errno("FUSE connection");
  }
  [[maybe_unused]] const int taken_over = connection.release();
  return session;
}

const CurrentRequest& ThisRequest() { return this_request; }

Status Negotiate(fuse_session* fuse, ServerState& state) {
  const Buffer buffer;
  if (!buffer.valid()) return Errno("request buffer");
  bool at_once;
  ASSIGN_OR_RETURN(const ReadResult read, RequestReader(fuse, buffer).Wait(&at_once));
  if (read.kind == ReadResult::Kind::kEnded) return Ok();  // The loop sees it too.
  const size_t size = read.size;
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

void StandAside() {
  if (this_reader.leadership != nullptr) this_reader.leadership->StandAside(&this_reader.turn);
}

int ServeRequests(fuse_session* fuse, ServerState& state, unsigned threads) {
  threads = std::clamp<unsigned>(threads, 1, kServerThreadsMax);
  std::vector<std::unique_ptr<Buffer>> buffers;
  while (buffers.size() < threads) {
    buffers.push_back(std::make_unique<Buffer>());
    if (buffers.back()->valid()) continue;
    LOG_ERROR(Errno("request buffer").message());
    buffers.pop_back();
    if (buffers.empty()) return 1;
    break;  // Fewer threads serve as well.
  }
  threads = static_cast<unsigned>(buffers.size());
  Leadership leadership(threads);
  std::vector<int> codes(threads, 0);
  std::vector<std::thread> others;
  for (unsigned i = 1; i < threads; ++i) {
    others.emplace_back([fuse, i, &state, &leadership, &codes, &buffers] {
      codes[i] = WorkToTheEnd(fuse, state, leadership, i, *buffers[i]);
    });
  }
  codes[0] = WorkToTheEnd(fuse, state, leadership, 0, *buffers[0]);
  for (std::thread& other : others) other.join();
  this_reader = {};
  return *std::max_element(codes.begin(), codes.end());
}

}  // namespace strata::layerfs
