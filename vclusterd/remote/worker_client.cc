#include "vclusterd/remote/worker_client.h"

#include <algorithm>

#include "common/log.h"
#include "common/pki/certificate.h"
#include "common/rpc/status.h"

namespace strata::vcluster {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kReportBytesMax = 2u << 20;  // And one part more.

uint64_t NewSession() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

}  // namespace

Result<std::vector<MasterAddress>> ParseMasters(const std::string& text) {
  std::vector<MasterAddress> masters;
  size_t start = 0;
  while (start <= text.size()) {
    const size_t end = std::min(text.find(',', start), text.size());
    const std::string entry = text.substr(start, end - start);
    const size_t equals = entry.find('=');
    if (equals == std::string::npos) {
      return Error(Code::kInvalidArgument,
                   "'" + entry + "' is no HOST=ADDRESS:PORT, as in lab-1=10.0.0.1:7445");
    }
    MasterAddress master{entry.substr(0, equals), entry.substr(equals + 1)};
    RETURN_IF_ERROR(pki::CheckHostName(master.host));
    RETURN_IF_ERROR(rpc::CheckAddress(master.address));
    masters.push_back(std::move(master));
    start = end + 1;
  }
  return masters;
}

WorkerClient::WorkerClient(Options options, Membership& membership, Obedience& obedience,
                           Statuses statuses, Addresses addresses, Load load, Fabric fabric)
    : options_(std::move(options)),
      membership_(membership),
      obedience_(obedience),
      statuses_(std::move(statuses)),
      addresses_(std::move(addresses)),
      load_(std::move(load)),
      fabric_(std::move(fabric)),
      session_(NewSession()),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

WorkerClient::~WorkerClient() {
  thread_.request_stop();
  thread_.join();
}

void WorkerClient::Tell(const host::v1::PartStatus& status) {
  const std::lock_guard lock(mutex_);
  host::v1::PartStatus& last = changed_[status.number()];
  if (status.sequence() > last.sequence()) last = status;
  wake_.notify_all();
}

void WorkerClient::TellFabric() {
  const std::lock_guard lock(mutex_);
  fabric_changed_ = true;
  wake_.notify_all();
}

std::shared_ptr<grpc::Channel> WorkerClient::Leader() {
  const std::lock_guard lock(mutex_);
  return leader_channel_;
}

void WorkerClient::Run(const std::stop_token& stop) {
  std::string trouble;
  size_t next = 0;
  while (!stop.stop_requested()) {
    const MasterAddress& master = options_.masters[next % options_.masters.size()];
    std::string leader;
    const Status hello = SayHello(master, &leader);
    if (hello.ok()) {
      LOG_INFO("master " + master.host + " leads");
      trouble.clear();
      ReportOn(stop);
      const std::lock_guard lock(mutex_);
      leader_channel_.reset();
      continue;  // The same one first: it may only have been restarted.
    }
    if (hello.error().message() != trouble) {
      trouble = hello.error().message();
      LOG_WARNING("no master yet: " + trouble);
    }
    ++next;
    for (size_t i = 0; i < options_.masters.size(); ++i) {
      if (options_.masters[i].host == leader && leader != master.host) next = i;
    }
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, stop, options_.retry_pause, [] { return false; });
  }
}

Status WorkerClient::SayHello(const MasterAddress& master, std::string* leader) {
  host::v1::HelloRequest request;
  request.set_address(options_.address);
  request.set_session(session_);
  *request.mutable_capacity() = options_.capacity;
  request.set_underlay_mtu(options_.underlay_mtu);
  if (fabric_.report) *request.mutable_fabric() = fabric_.report();
  ASSIGN_OR_RETURN(const auto addresses, addresses_());
  request.mutable_used_addresses()->Assign(addresses.begin(), addresses.end());
  {
    // What changes from here on is reported; what was before, is in the statuses.
    const std::lock_guard lock(mutex_);
    changed_.clear();
  }
  const auto statuses = statuses_();
  request.mutable_parts()->Assign(statuses.begin(), statuses.end());
  ASSIGN_OR_RETURN(const auto channel, membership_.Connect(master.address, master.host));
  auto stub = host::v1::MasterService::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + options_.answer_max);
  const uint64_t number = obedience_.BeginHello(Clock::now());
  request.set_hello(number);
  hello_.Clear();
  const grpc::Status status = stub->Hello(&context, request, &hello_);
  if (!status.ok()) return rpc::FromGrpc(status).Wrap("master " + master.host);
  *leader = hello_.leader();
  if (hello_.has_fabric() && fabric_.take) fabric_.take(hello_.fabric());
  if (hello_.has_fabric() && !hello_.leads()) {
    return Error(Code::kUnavailable,
                 "master " + master.host + " calls this host in the fabric, which is being made");
  }
  if (!hello_.leads()) {
    return Error(Code::kUnavailable,
                 "master " + master.host + " does not lead" +
                     (leader->empty() ? "" : ", but says that " + *leader + " does"));
  }
  if (!obedience_.HelloTaken(number)) {
    return Error(Code::kUnavailable, "master " + master.host + " answered too late");
  }
  leader_ = std::move(stub);
  const std::lock_guard lock(mutex_);
  leader_channel_ = channel;
  return Ok();
}

void WorkerClient::ReportOn(const std::stop_token& stop) {
  const std::chrono::milliseconds every(std::clamp<uint32_t>(hello_.report_every_ms(), 10, 60'000));
  while (true) {
    host::v1::ReportRequest request;
    request.set_session(session_);
    request.set_epoch(hello_.epoch());
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, stop, every, [&] { return !changed_.empty() || fabric_changed_; });
      if (stop.stop_requested()) return;
      fabric_changed_ = false;
      // What does not fit follows at once.
      size_t bytes = 0;
      while (!changed_.empty() && bytes < kReportBytesMax) {
        bytes += changed_.begin()->second.ByteSizeLong();
        *request.add_parts() = std::move(changed_.begin()->second);
        changed_.erase(changed_.begin());
      }
    }
    if (fabric_.report) *request.mutable_fabric() = fabric_.report();
    if (auto load = load_()) *request.mutable_load() = std::move(*load);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + options_.answer_max);
    host::v1::ReportResponse response;
    const auto begun = Clock::now();
    const grpc::Status status = leader_->Report(&context, request, &response);
    if (!status.ok()) {
      LOG_WARNING("the leader does not take reports: " + status.error_message());
      return;  // Hello says everything again.
    }
    obedience_.ReportTaken(begun);
    if (response.has_fabric() && fabric_.take) fabric_.take(response.fabric());
    if (obedience_.IsSilent()) return;  // What it ordered before does not count any more.
  }
}

}  // namespace strata::vcluster
