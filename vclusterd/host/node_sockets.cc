#include "vclusterd/host/node_sockets.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "common/file_io.h"
#include "common/log.h"
#include "vclusterd/host/node_call.h"
#include "vclusterd/runtime/node_files.h"

namespace strata::vcluster {
namespace {

using std::chrono::milliseconds;

constexpr int kBacklog = 16;  // Who comes then waits in connect(2).

Status Give(int directory, const std::string& name, uid_t owner, mode_t mode) {
  if (::fchownat(directory, name.c_str(), owner, owner, AT_SYMLINK_NOFOLLOW) != 0) {
    return Errno("chown " + name);
  }
  // Nobody but this process can change the directory, so it is what was just made.
  if (::fchmodat(directory, name.c_str(), mode, 0) != 0) return Errno("chmod " + name);
  return Ok();
}

// Paths of sockets are short, and a node's directory may be deep.
Result<UniqueFd> Listen(int directory, uid_t owner) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Errno("socket");
  if (::unlinkat(directory, kNodeSocketName, 0) != 0 && errno != ENOENT) {
    return Errno("unlink an earlier socket");
  }
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(directory) + "/" + kNodeSocketName;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return Errno("bind a node's socket");
  }
  RETURN_IF_ERROR(Give(directory, kNodeSocketName, owner, 0600));
  if (::listen(fd.get(), kBacklog) != 0) return Errno("listen at a node's socket");
  return fd;
}

// Never waits: what an answer may have fits into the socket.
void Send(int fd, std::string_view text) {
  if (::send(fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    LOG_DEBUG(Errno("a node's call is not answered").message());
  }
}

}  // namespace

Result<std::unique_ptr<NodeSockets>> NodeSockets::Start(NodeSocketsOptions options) {
  std::unique_ptr<NodeSockets> sockets(new NodeSockets(options));
  sockets->wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!sockets->wake_.valid()) return Errno("eventfd");
  sockets->thread_ = std::thread([raw = sockets.get()] { raw->Run(); });
  return sockets;
}

NodeSockets::~NodeSockets() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  if (thread_.joinable()) {
    Wake();
    thread_.join();
  }
  workers_.Close();
}

void NodeSockets::Wake() {
  const uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof(one)) < 0 && errno != EAGAIN) {
    LOG_ERROR(Errno("write an eventfd").message());
  }
}

Status NodeSockets::Open(const AskingNode& node) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = doors_.find(node.id);
    if (found != doors_.end() && found->second->node.turn == node.turn) return Ok();
  }
  Close(node.id);
  auto door = std::make_shared<Door>();
  door->node = node;
  door->bucket = RateBucket(options_.calls_per_s, options_.calls_burst);
  ASSIGN_OR_RETURN(door->directory,
                   strata::Open(node.directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  ASSIGN_OR_RETURN(door->listener, Listen(door->directory.get(), node.root_uid));
  {
    const std::lock_guard lock(mutex_);
    doors_[node.id] = door;
  }
  Wake();
  FetchTokenLater(door, options_.retry_pause, milliseconds(0));
  return Ok();
}

void NodeSockets::Close(const std::string& id) {
  DoorPtr door;
  {
    const std::lock_guard lock(mutex_);
    const auto found = doors_.find(id);
    if (found == doors_.end()) return;
    door = std::move(found->second);
    doors_.erase(found);
  }
  Wake();  // It is listened to until then.
  const std::lock_guard lock(door->mutex);
  for (const char* name : {kNodeSocketName, kNodeTokenName}) {
    if (::unlinkat(door->directory.get(), name, 0) != 0 && errno != ENOENT) {
      LOG_WARNING(Errno("node " + id + ": unlink its " + name).message());
    }
  }
  door->directory.reset();
}

void NodeSockets::SetDesk(std::shared_ptr<NodeDesk> desk) {
  const std::unique_lock lock(desk_mutex_);
  desk_ = std::move(desk);
}

template <typename Response, typename Ask>
Result<Response> NodeSockets::AskDesk(const Ask& ask) {
  const std::shared_lock lock(desk_mutex_);
  if (desk_ == nullptr) {
    return Error(Code::kUnavailable, "this host's vclusterd is not ready yet: try again");
  }
  return ask(*desk_);
}

// --- Calls --------------------------------------------------------------------------------------

void NodeSockets::Run() {
  while (true) {
    std::vector<pollfd> fds = {{wake_.get(), POLLIN, 0}};
    std::vector<DoorPtr> listening;
    auto next = Clock::time_point::max();
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return;
      const auto now = Clock::now();
      for (const auto& [id, door] : doors_) {
        if (door->calls >= options_.calls_at_once) continue;  // The end of one wakes us.
        const auto ready = door->bucket.ReadyAt(now);
        next = std::min(next, ready > now ? ready : next);
        if (ready > now) continue;
        fds.push_back({door->listener.get(), POLLIN, 0});
        listening.push_back(door);
      }
    }
    for (const Call& call : reading_) {
      fds.push_back({call.fd.get(), POLLIN, 0});
      next = std::min(next, call.until);
    }
    int timeout_ms = -1;
    if (next != Clock::time_point::max()) {
      const auto left = std::chrono::ceil<milliseconds>(next - Clock::now()).count();
      timeout_ms = static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
    }
    if (::poll(fds.data(), fds.size(), timeout_ms) < 0 && errno != EINTR) {
      LOG_ERROR(Errno("poll the sockets of nodes").message());
      return;
    }
    uint64_t count = 0;
    if (fds[0].revents != 0 && ::read(wake_.get(), &count, sizeof(count)) < 0 && errno != EAGAIN) {
      LOG_ERROR(Errno("read an eventfd").message());
    }
    const auto now = Clock::now();
    std::vector<Call> still;
    for (size_t i = 0; i < reading_.size(); ++i) {
      Call& call = reading_[i];
      const bool readable = fds[1 + listening.size() + i].revents != 0;
      if (call.until > now && (!readable || Read(&call))) {
        still.push_back(std::move(call));
      } else if (call.fd.valid()) {
        End(call.door);  // Too slow, or gone.
      }
    }
    reading_ = std::move(still);
    for (size_t i = 0; i < listening.size(); ++i) {
      if (fds[1 + i].revents != 0) Accept(listening[i]);
    }
  }
}

void NodeSockets::Accept(const DoorPtr& door) {
  UniqueFd fd(::accept4(door->listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  const auto now = Clock::now();
  {
    // Also when none came: it is not looked for again and again.
    const std::lock_guard lock(mutex_);
    if (!door->bucket.Take(now) || !fd.valid()) return;
    ++door->calls;
  }
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
      peer.uid != door->node.root_uid) {
    Send(fd.get(), FormatNodeRefusal(Error(Code::kPermissionDenied, "only root may ask")));
    End(door);
    return;
  }
  reading_.push_back({door, std::move(fd), "", now + options_.call_max});
}

bool NodeSockets::Read(Call* call) {
  char buffer[kNodeCallBytesMax];
  const ssize_t n = ::recv(call->fd.get(), buffer, sizeof(buffer), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (n <= 0) return false;
  call->text.append(buffer, static_cast<size_t>(n));
  if (!IsWholeNodeCall(call->text) && call->text.size() <= kNodeCallBytesMax) return true;
  auto whole = std::make_shared<Call>(std::move(*call));
  workers_.Push([this, whole] {
    Answer(whole.get());
    whole->fd.reset();
    End(whole->door);
  });
  return false;
}

void NodeSockets::Answer(Call* call) {
  Result<NodeCall> parsed = ParseNodeCall(call->text);
  if (!parsed.ok()) return Send(call->fd.get(), FormatNodeRefusal(parsed.error()));
  parsed->request.set_number(call->door->node.number);
  parsed->request.set_index(call->door->node.index);
  const auto answer =
      AskDesk<host::v1::NodeAskResponse>([&](NodeDesk& desk) { return desk.Ask(parsed->request); });
  Send(call->fd.get(),
       answer.ok() ? FormatNodeAnswer(*parsed, *answer) : FormatNodeRefusal(answer.error()));
}

void NodeSockets::End(const DoorPtr& door) {
  {
    const std::lock_guard lock(mutex_);
    --door->calls;
  }
  Wake();
}

// --- Tokens -------------------------------------------------------------------------------------

// One that is closed meanwhile is not kept for it.
void NodeSockets::FetchTokenLater(const DoorPtr& door, milliseconds pause, milliseconds delay) {
  workers_.Push(
      [this, pause, weak = std::weak_ptr(door)] {
        if (const DoorPtr open = weak.lock()) FetchToken(open, pause);
      },
      delay);
}

void NodeSockets::FetchToken(const DoorPtr& door, milliseconds pause) {
  const auto life = PutToken(*door);
  {
    const std::lock_guard lock(door->mutex);
    if (!door->directory.valid()) return;
  }
  if (life.ok()) return FetchTokenLater(door, options_.retry_pause, *life / 2);
  LOG_DEBUG("a token for node " + door->node.id + ": " + life.error().message());
  FetchTokenLater(door, std::min(pause * 2, options_.retry_pause_max), pause);
}

Result<milliseconds> NodeSockets::PutToken(Door& door) {
  host::v1::NodeTokenRequest request;
  request.set_number(door.node.number);
  request.set_index(door.node.index);
  ASSIGN_OR_RETURN(const auto made, AskDesk<host::v1::NodeTokenResponse>(
                                        [&](NodeDesk& desk) { return desk.MakeToken(request); }));
  const std::lock_guard lock(door.mutex);
  const int directory = door.directory.get();
  if (!door.directory.valid()) return Error(Code::kCancelled, "it may not ask any more");
  const std::string fresh = std::string(".") + kNodeTokenName;
  if (::unlinkat(directory, fresh.c_str(), 0) != 0 && errno != ENOENT) {
    return Errno("unlink " + fresh);
  }
  ASSIGN_OR_RETURN(UniqueFd file,
                   OpenAt(directory, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  RETURN_IF_ERROR(WriteAll(file.get(), made.token() + "\n"));
  RETURN_IF_ERROR(file.Close());
  RETURN_IF_ERROR(Give(directory, fresh, door.node.root_uid, 0400));
  if (::renameat(directory, fresh.c_str(), directory, kNodeTokenName) != 0) {
    return Errno("rename " + fresh);
  }
  return std::max<milliseconds>(milliseconds(made.life_ms()), std::chrono::seconds(2));
}

}  // namespace strata::vcluster
