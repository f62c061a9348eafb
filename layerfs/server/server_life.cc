#include "layerfs/server/server_life.h"

#include <dirent.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <unordered_set>

#include "layerfs/server/request_loop.h"

namespace strata::layerfs {
namespace {

Result<std::vector<int>> OpenDescriptors() {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir("/proc/self/fd"), ::closedir);
  if (stream == nullptr) return Errno("list the open descriptors");
  std::vector<int> numbers;
  while (const dirent* entry = ::readdir(stream.get())) {
    int number;
    const char* end = entry->d_name + std::strlen(entry->d_name);
    const auto [stop, error] = std::from_chars(entry->d_name, end, number);
    if (error != std::errc() || stop != end || number == ::dirfd(stream.get())) continue;
    numbers.push_back(number);
  }
  return numbers;
}

}  // namespace

Result<ServerLife> ServerLife::Begin(ServerState* given) {
  ServerLife life;
  life.state_ = given;
  if (given == nullptr) {
    ASSIGN_OR_RETURN(life.own_, ServerState::Create());
    life.state_ = life.own_.get();
  }
  life.takes_over_ = life.state_->header().serving.load() != 0;
  if (life.takes_over_) {
    ASSIGN_OR_RETURN(life.inherited_, OpenDescriptors());
  }
  return life;
}

Result<int> ServerLife::Serve(fuse_session* session, std::vector<int> kept, unsigned threads,
                              const std::function<void()>& on_ready) {
  if (takes_over_) {
    kept.insert(kept.end(), {0, 1, 2, fuse_session_fd(session), state_->fd()});
    std::unordered_set<int> used(kept.begin(), kept.end());
    for (const int number : state_->DescriptorsInUse()) used.insert(number);
    for (const int number : inherited_) {
      if (!used.contains(number)) ::close(number);
    }
    RETURN_IF_ERROR(NegotiateAgain(session, *state_));
  } else {
    RETURN_IF_ERROR(Negotiate(session, *state_));
    state_->header().serving.store(1);
    if (on_ready) on_ready();
  }
  return ServeRequests(session, *state_, threads);
}

}  // namespace strata::layerfs
