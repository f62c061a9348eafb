#include "imaged/peers/prestager.h"

#include <algorithm>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "imaged/service/call.h"

namespace strata::imaged {
namespace {

constexpr int kHostsMax = 256;
// Hosts before one that it may ask: with two, a dead host in the chain costs this host nothing.
constexpr int kAncestors = 2;

Status CheckHosts(const v1::PrestageRequest& request) {
  if (request.hosts_size() > kHostsMax) {
    return Error(Code::kInvalidArgument, "name at most " + std::to_string(kHostsMax) + " hosts");
  }
  std::set<std::string> seen;
  for (const std::string& host : request.hosts()) {
    if (!seen.insert(host).second) {
      return Error(Code::kInvalidArgument, "host '" + host + "' is named twice");
    }
  }
  return Ok();
}

class Prestage {
 public:
  Prestage(ImagePuller* puller, uid_t caller, const v1::PrestageRequest& request, std::string there,
           const std::function<void(const v1::PrestageHost&)>& report, const CancelToken& cancel)
      : puller_(puller),
        caller_(caller),
        request_(request),
        there_(std::move(there)),
        report_(report),
        cancel_(cancel) {}

  void Run() {
    std::vector<std::jthread> threads;
    for (int i = 0; i < request_.hosts_size(); ++i) {
      threads.emplace_back([this, i] { Serve(i); });
    }
  }

 private:
  bool chained() const { return request_.hosts_size() > 1; }

  void Serve(int index) {
    v1::PrestageHost state;
    state.set_host(request_.hosts(index));
    RateLimit limit;
    const ImagePuller::Progress progress = [&](const v1::PullProgress& at) {
      if (!limit.Pass()) return;
      *state.mutable_progress() = at;
      Report(state);
    };
    auto result = puller_->Push(caller_, RequestOf(index), progress, cancel_);
    if (result.ok()) {
      *state.mutable_result() = std::move(*result);
    } else {
      state.set_error(result.error().message());
    }
    Report(state);
  }

  v1::PushRequest RequestOf(int index) const {
    v1::PushRequest push;
    push.set_reference(request_.reference());
    push.set_host(request_.hosts(index));
    push.set_replace(request_.replace());
    push.set_bytes_per_second(request_.bytes_per_second());
    if (!chained()) return push;
    push.mutable_chain();
    for (int i = index - 1; i >= 0 && i >= index - kAncestors; --i) {
      v1::PeerImageSource* source = push.mutable_chain()->add_sources();
      source->set_host(request_.hosts(i));
      source->set_reference(there_);
    }
    return push;
  }

  void Report(const v1::PrestageHost& state) {
    const std::lock_guard lock(report_mutex_);
    report_(state);
  }

  ImagePuller* const puller_;
  const uid_t caller_;
  const v1::PrestageRequest& request_;
  const std::string there_;
  const std::function<void(const v1::PrestageHost&)>& report_;
  const CancelToken& cancel_;
  std::mutex report_mutex_;  // One report at a time.
};

}  // namespace

Status CheckPrestage(const ImagePuller& puller, uid_t caller, const v1::PrestageRequest& request) {
  RETURN_IF_ERROR(CheckHosts(request));
  ASSIGN_OR_RETURN(const std::vector<std::string> others, puller.OtherHosts());
  for (const std::string& host : request.hosts()) {
    if (std::find(others.begin(), others.end(), host) == others.end()) {
      return Error(Code::kNotFound,
                   "there is no other host '" + host +
                       "' in the cluster that takes calls: see 'vimage host list'");
    }
  }
  if (others.empty()) {
    return Error(Code::kFailedPrecondition, "no other host of the cluster takes calls");
  }
  const auto there = puller.ReferenceThere(caller, request.reference());
  return there.ok() ? Ok() : Status(there.error());
}

Status PrestageImage(ImagePuller* puller, uid_t caller, const v1::PrestageRequest& request,
                     const std::function<void(const v1::PrestageHost&)>& report,
                     const CancelToken& cancel) {
  RETURN_IF_ERROR(CheckHosts(request));
  ASSIGN_OR_RETURN(const std::string there, puller->ReferenceThere(caller, request.reference()));
  v1::PrestageRequest named = request;
  if (named.hosts_size() == 0) {
    ASSIGN_OR_RETURN(const std::vector<std::string> others, puller->OtherHosts());
    if (others.empty()) {
      return Error(Code::kFailedPrecondition, "no other host of the cluster takes calls");
    }
    named.mutable_hosts()->Add(others.begin(), others.end());
  }
  Prestage(puller, caller, named, there, report, cancel).Run();
  return cancel.Check();
}

}  // namespace strata::imaged
