#include "common/records/etcd/etcd_watch.h"

#include <chrono>
#include <vector>

#include "common/log.h"

namespace strata::records {
namespace {

constexpr int64_t kPageRecords = 64;  // Of at most 1.5 MiB each.
constexpr std::chrono::milliseconds kPause{200};

}  // namespace

std::string PrefixEnd(std::string prefix) {
  ++prefix.back();  // It ends with '/'.
  return prefix;
}

Status EtcdWatch::Load() {
  std::vector<RecordMirror::Item> all;
  etcdserverpb::RangeRequest request;
  request.set_key(prefix_);
  request.set_range_end(PrefixEnd(prefix_));
  request.set_limit(kPageRecords);
  while (true) {
    ASSIGN_OR_RETURN(const auto page, client_.Range(request, client_.Deadline()));
    // All pages are of the moment of the first.
    if (request.revision() == 0) {
      request.set_revision(page.header().revision());
      cluster_id_ = page.header().cluster_id();
    }
    for (const auto& kv : page.kvs()) {
      all.push_back({kv.key().substr(prefix_.size()), kv.value(), kv.mod_revision()});
    }
    if (!page.more() || page.kvs().empty()) break;
    request.set_key(page.kvs().rbegin()->key() + '\0');
  }
  mirror_.Reset(request.revision(), std::move(all));
  return Ok();
}

void EtcdWatch::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

Status EtcdWatch::Health() const {
  const std::lock_guard lock(mutex_);
  if (health_) return *health_;
  return Ok();
}

void EtcdWatch::SetHealth(Status health) {
  const std::lock_guard lock(mutex_);
  if (!health.ok() && !health_) LOG_WARNING(health.error().message());
  if (health.ok() && health_) LOG_INFO("etcd answers again");
  health_ = health.ok() ? std::nullopt : std::optional<Error>(health.error());
}

void EtcdWatch::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const Error ended = WatchOnce(stop);
    if (stop.stop_requested()) return;
    SetHealth(ended.code() == Code::kCorrupt ? ended : client_.Unreachable(ended));
    std::unique_lock lock(mutex_);
    if (ended.code() == Code::kCorrupt) {
      LOG_ERROR(ended.message());
      wake_.wait(lock, stop, [] { return false; });
      return;
    }
    wake_.wait_for(lock, stop, kPause, [] { return false; });
  }
}

Status EtcdWatch::CheckSameData() {
  etcdserverpb::RangeRequest request;
  request.set_key(prefix_ + "id");
  // Asks a majority: what is older than the mirror is not merely late.
  ASSIGN_OR_RETURN(const auto response, client_.Range(request, client_.Deadline()));
  const bool same = response.kvs_size() == 1 && mirror_.Get("id") == response.kvs(0).value();
  if (same && response.header().cluster_id() == cluster_id_ &&
      response.header().revision() >= mirror_.revision()) {
    return Ok();
  }
  return Error(Code::kCorrupt,
               "etcd has other data than before (an earlier state, or other records): nothing more "
               "is taken from it; when it is as it should be, start this program again");
}

Error EtcdWatch::WatchOnce(const std::stop_token& stop) {
  if (Status same = CheckSameData(); !same.ok()) return same.error();
  if (reload_) {
    if (Status loaded = Load(); !loaded.ok()) return loaded.error();
    reload_ = false;
  }
  if (Status connected = client_.Connect(client_.Deadline()); !connected.ok()) {
    return connected.error();
  }
  grpc::ClientContext context;
  const std::stop_callback end(stop, [&context] { context.TryCancel(); });
  context.AddMetadata("hasleader", "true");  // A member that lost its majority ends the watch.
  const auto stub = client_.WatchStub();
  const auto stream = stub->Watch(&context);
  etcdserverpb::WatchRequest request;
  auto* create = request.mutable_create_request();
  create->set_key(prefix_);
  create->set_range_end(PrefixEnd(prefix_));
  create->set_start_revision(mirror_.revision() + 1);
  stream->Write(request);
  etcdserverpb::WatchResponse response;
  std::string why;
  while (stream->Read(&response)) {
    if (response.canceled()) {
      why = response.cancel_reason();
      if (response.compact_revision() > 0) {
        reload_ = true;
        why = "what changed meanwhile is compacted: everything is read again";
      }
      break;
    }
    if (response.created()) SetHealth(Ok());
    Take(response);
  }
  if (!why.empty()) context.TryCancel();
  const grpc::Status status = stream->Finish();
  if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) reload_ = true;
  if (!reload_) client_.TryNextMember();
  return Error(Code::kUnavailable, why.empty() ? status.error_message() : why);
}

// One revision after the other: each is a commit.
void EtcdWatch::Take(const etcdserverpb::WatchResponse& response) {
  std::vector<RecordMirror::Item> changes;
  int64_t revision = 0;
  for (const etcdserverpb::Event& event : response.events()) {
    const auto& kv = event.kv();
    if (kv.mod_revision() != revision && !changes.empty()) {
      mirror_.Apply(revision, std::exchange(changes, {}));
    }
    revision = kv.mod_revision();
    std::optional<std::string> value;
    if (event.type() == etcdserverpb::Event::PUT) value = kv.value();
    changes.push_back({kv.key().substr(prefix_.size()), std::move(value), revision});
  }
  if (!changes.empty()) mirror_.Apply(revision, std::move(changes));
}

}  // namespace strata::records
