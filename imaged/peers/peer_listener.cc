#include "imaged/peers/peer_listener.h"

#include "common/log.h"
#include "imaged/peers/peer_service.h"

namespace strata::imaged {
namespace {

constexpr std::chrono::seconds kFreshenEvery{10};

}  // namespace

Status PeerListener::StartIfMember() {
  const std::lock_guard lock(mutex_);
  if (!cluster_->IsMember()) return Ok();
  if (server_ == nullptr && !address_.empty()) {
    rpc::TlsServerOptions options;
    options.addresses = {address_};
    options.identity_path = cluster_->IdentityPath();
    options.authority_path = cluster_->AuthorityPath();
    ASSIGN_OR_RETURN(
        server_, rpc::TlsServer::Start(options, MakePeerServices(cluster_, repository_, puller_)));
    LOG_INFO("listens for other hosts at " + address_);
  }
  if (!keeper_.joinable()) {
    keeper_ = std::jthread([this](const std::stop_token& stop) { KeepFresh(stop); });
  }
  return Ok();
}

void PeerListener::Shutdown(std::chrono::milliseconds grace) {
  keeper_.request_stop();
  if (keeper_.joinable()) keeper_.join();
  if (server_ != nullptr) server_->Shutdown(grace);
  server_.reset();
}

// Says a trouble once, and its end.
void PeerListener::Report(const char* what, const Status& status, std::string* last) {
  const std::string now = status.ok() ? "" : status.error().message();
  if (now == *last) return;
  if (now.empty()) {
    LOG_INFO(std::string(what) + ": works again");
  } else {
    LOG_WARNING(std::string(what) + ": " + now);
  }
  *last = now;
}

void PeerListener::KeepFresh(const std::stop_token& stop) {
  std::string renewal_trouble;
  std::string list_trouble;
  while (!stop.stop_requested()) {
    Report("renewal of our certificate", cluster_->RenewIfDue(std::chrono::system_clock::now()),
           &renewal_trouble);
    Report("list of the cluster's hosts", cluster_->Refresh(), &list_trouble);
    std::unique_lock lock(wake_mutex_);
    wake_.wait_for(lock, stop, kFreshenEvery, [] { return false; });
  }
}

}  // namespace strata::imaged
