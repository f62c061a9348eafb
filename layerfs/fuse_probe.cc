#include "layerfs/fuse_probe.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cstring>
#include <span>
#include <thread>
#include <vector>

#include "common/file_io.h"
#include "common/mount.h"

namespace strata::layerfs {
namespace {

// Newer than the headers of Debian 12 (linux/fuse.h of Linux 6.14).
constexpr uint64_t kPassthrough = 1ull << 37;
constexpr uint64_t kHasResend = 1ull << 39;
constexpr uint64_t kAllowIdmap = 1ull << 40;
constexpr uint64_t kOverIoUring = 1ull << 41;
constexpr uint64_t kInitExt = 1ull << 30;
constexpr uint32_t kOpenPassthrough = 1u << 7;
constexpr uint32_t kMaxStackDepth = 1;

struct BackingMap {
  int32_t fd;
  uint32_t flags;
  uint64_t padding;
};
constexpr unsigned long kBackingOpen = _IOW(229, 1, BackingMap);
constexpr unsigned long kBackingClose = _IOW(229, 2, uint32_t);

struct InitReply {  // struct fuse_init_out as of protocol 7.40.
  uint32_t major, minor, max_readahead, flags;
  uint16_t max_background, congestion_threshold;
  uint32_t max_write, time_gran;
  uint16_t max_pages, map_alignment;
  uint32_t flags2, max_stack_depth;
  uint32_t unused[6];
};
static_assert(sizeof(InitReply) == 64);

struct OpenReply {  // struct fuse_open_out with the backing id.
  uint64_t fh;
  uint32_t open_flags;
  int32_t backing_id;
};
static_assert(sizeof(OpenReply) == 16);

constexpr int kAnswerWithinMs = 3000;
constexpr size_t kRequestBytesMax = 256 * 1024;

class OneFileServer {
 public:
  OneFileServer(UniqueFd device, UniqueFd backing)
      : device_(std::move(device)), backing_(std::move(backing)) {}

  // Answers until the mount goes away. When the kernel stays silent too long, closing the device
  // ends the connection and with it whatever waits for us.
  void Serve() {
    std::vector<char> request(kRequestBytesMax);
    while (true) {
      pollfd poll_fd{device_.get(), POLLIN, 0};
      const int ready = ::poll(&poll_fd, 1, kAnswerWithinMs);
      if (ready < 0 && errno == EINTR) continue;
      if (ready <= 0) break;
      const ssize_t n = ::read(device_.get(), request.data(), request.size());
      if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT)) continue;
      if (n < static_cast<ssize_t>(sizeof(fuse_in_header))) break;  // ENODEV: unmounted.
      Answer({request.data(), static_cast<size_t>(n)});
    }
    if (backing_id_ > 0) ::ioctl(device_.get(), kBackingClose, &backing_id_);
    device_.reset();
  }

  const FuseFeatures& features() const { return features_; }

 private:
  void Answer(std::span<const char> request) {
    fuse_in_header header;
    std::memcpy(&header, request.data(), sizeof(header));
    switch (header.opcode) {
      case FUSE_INIT:
        return AnswerInit(header, request.subspan(sizeof(header)));
      case FUSE_GETATTR:
        return AnswerGetattr(header);
      case FUSE_OPEN:
        return AnswerOpen(header);
      case FUSE_RELEASE:
      case FUSE_FLUSH:
        return Reply(header, 0, nullptr, 0);
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
        return;  // Has no answer.
      default:
        return Reply(header, -ENOSYS, nullptr, 0);
    }
  }

  void AnswerInit(const fuse_in_header& header, std::span<const char> body) {
    fuse_init_in in = {};
    std::memcpy(&in, body.data(), std::min(body.size(), sizeof(in)));
    uint64_t offered = in.flags;
    if ((offered & kInitExt) != 0) offered |= static_cast<uint64_t>(in.flags2) << 32;
    features_.protocol_major = in.major;
    features_.protocol_minor = in.minor;
    features_.id_map = (offered & kAllowIdmap) != 0;
    features_.io_uring = (offered & kOverIoUring) != 0;
    features_.resend = (offered & kHasResend) != 0;
    const uint64_t wanted = offered & (kInitExt | kPassthrough);
    InitReply out = {};
    out.major = FUSE_KERNEL_VERSION;
    out.minor = std::min<uint32_t>(in.minor, 40);
    out.max_readahead = in.max_readahead;
    out.flags = static_cast<uint32_t>(wanted);
    out.flags2 = static_cast<uint32_t>(wanted >> 32);
    out.max_write = 4096;
    out.time_gran = 1;
    out.max_stack_depth = (wanted & kPassthrough) != 0 ? kMaxStackDepth : 0;
    if ((wanted & kPassthrough) == 0) features_.passthrough_error = "the kernel does not offer it";
    Reply(header, 0, &out, sizeof(out));
  }

  void AnswerGetattr(const fuse_in_header& header) {
    struct stat st = {};
    if (::fstat(backing_.get(), &st) != 0) return Reply(header, -EIO, nullptr, 0);
    fuse_attr_out out = {};
    out.attr.ino = FUSE_ROOT_ID;
    out.attr.mode = S_IFREG | 0444;
    out.attr.nlink = 1;
    out.attr.size = static_cast<uint64_t>(st.st_size);
    Reply(header, 0, &out, sizeof(out));
  }

  void AnswerOpen(const fuse_in_header& header) {
    const BackingMap map{.fd = backing_.get(), .flags = 0, .padding = 0};
    backing_id_ = ::ioctl(device_.get(), kBackingOpen, &map);
    if (backing_id_ <= 0) {
      features_.passthrough_error = Errno("register a backing file").message();
      return Reply(header, -EIO, nullptr, 0);
    }
    const OpenReply out{.fh = 1, .open_flags = kOpenPassthrough, .backing_id = backing_id_};
    Reply(header, 0, &out, sizeof(out));
  }

  void Reply(const fuse_in_header& request, int error, const void* body, size_t size) {
    fuse_out_header header = {};
    header.len = static_cast<uint32_t>(sizeof(header) + size);
    header.error = error;
    header.unique = request.unique;
    std::string answer(reinterpret_cast<const char*>(&header), sizeof(header));
    if (size > 0) answer.append(static_cast<const char*>(body), size);
    // A failed answer shows as a failed probe: the kernel drops the request.
    if (::write(device_.get(), answer.data(), answer.size()) < 0) device_error_ = errno;
  }

  UniqueFd device_;
  UniqueFd backing_;
  int backing_id_ = -1;
  int device_error_ = 0;
  FuseFeatures features_;
};

Status CompareThroughMount(int mount_fd, const std::string& expected) {
  ASSIGN_OR_RETURN(const UniqueFd file,
                   Open("/proc/self/fd/" + std::to_string(mount_fd), O_RDONLY));
  ASSIGN_OR_RETURN(const std::string content, ReadAll(file.get(), 1u << 20));
  if (content != expected) return Error(Code::kUnsupported, "reads return something else");
  return Ok();
}

}  // namespace

Result<FuseFeatures> ProbeFuse(const std::string& backing_path) {
  ASSIGN_OR_RETURN(const std::string expected, ReadFile(backing_path, 1u << 20));
  ASSIGN_OR_RETURN(UniqueFd backing, Open(backing_path, O_RDONLY));
  Result<UniqueFd> device = Open("/dev/fuse", O_RDWR | O_NONBLOCK);
  if (!device.ok()) return Error(Code::kUnsupported, device.error().message());
  const std::string fd_text = std::to_string(device->get());
  ASSIGN_OR_RETURN(UniqueFd mount, CreateDetachedMount({.type = "fuse",
                                                        .options = {{"source", "strata-probe"},
                                                                    {"fd", fd_text},
                                                                    {"rootmode", "100444"},
                                                                    {"user_id", "0"},
                                                                    {"group_id", "0"}}}));
  OneFileServer server(std::move(*device), std::move(backing));
  std::thread thread([&server] { server.Serve(); });
  const Status read = CompareThroughMount(mount.get(), expected);
  mount.reset();
  thread.join();
  FuseFeatures features = server.features();
  features.passthrough = read.ok() && features.passthrough_error.empty();
  if (!read.ok() && features.passthrough_error.empty()) {
    features.passthrough_error = read.error().message();
  }
  return features;
}

}  // namespace strata::layerfs
