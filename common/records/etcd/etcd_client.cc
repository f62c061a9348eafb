#include "common/records/etcd/etcd_client.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "common/file_io.h"
#include "common/printable.h"
#include "common/rpc/status.h"

namespace strata::records {
namespace {

constexpr std::string_view kScheme = "etcd://";
constexpr size_t kEndpointsMax = 16;
constexpr size_t kPemBytesMax = 1 << 20;
// A page of records, or what etcd has collected for a watch that was away.
constexpr int kMessageBytesMax = 128 << 20;
constexpr std::chrono::milliseconds kAttemptMax{2000};
constexpr std::chrono::milliseconds kConnectMax{1000};
constexpr std::chrono::milliseconds kConnectMaxOfSeveral{500};
constexpr std::chrono::milliseconds kPause{100};

bool IsLoopback(const std::string& endpoint) {
  return endpoint.starts_with("127.") || endpoint.starts_with("[::1]:") ||
         endpoint.starts_with("localhost:");
}

Status CheckEndpoint(const std::string& endpoint) {
  const size_t colon = endpoint.rfind(':');
  const bool sound =
      colon != std::string::npos && colon > 0 && colon + 1 < endpoint.size() &&
      endpoint.size() <= 300 &&
      std::all_of(endpoint.begin() + static_cast<ptrdiff_t>(colon) + 1, endpoint.end(),
                  [](unsigned char c) { return std::isdigit(c) != 0; }) &&
      std::all_of(endpoint.begin(), endpoint.end(), [](unsigned char c) {
        return std::isalnum(c) != 0 ||
               std::string_view(".-:[]").find(static_cast<char>(c)) != std::string_view::npos;
      });
  if (sound) return Ok();
  return Error(Code::kInvalidArgument, "'" + endpoint + "' is no HOST:PORT of an etcd");
}

grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  // etcd ends connections that ask more often than every 5 s.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return arguments;
}

Result<std::shared_ptr<grpc::ChannelCredentials>> CredentialsOf(const EtcdLocation& location) {
  if (location.ca_file.empty()) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions options;
  ASSIGN_OR_RETURN(options.pem_root_certs, ReadFile(location.ca_file, kPemBytesMax));
  if (!location.certificate_file.empty()) {
    ASSIGN_OR_RETURN(options.pem_cert_chain, ReadFile(location.certificate_file, kPemBytesMax));
    ASSIGN_OR_RETURN(options.pem_private_key, ReadFile(location.key_file, kPemBytesMax));
  }
  return grpc::SslCredentials(options);
}

std::chrono::system_clock::time_point FromNow(EtcdClient::Clock::duration time) {
  return std::chrono::system_clock::now() +
         std::chrono::duration_cast<std::chrono::system_clock::duration>(time);
}

bool MayPass(const Error& error) {
  return error.code() == Code::kUnavailable || error.code() == Code::kDeadlineExceeded;
}

void Pause(EtcdClient::Clock::time_point deadline) {
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  never.wait_until(lock, std::min(deadline, EtcdClient::Clock::now() + kPause),
                   [] { return false; });
}

// Why there is no connection: a call that does not wait for one is told.
std::string WhyNotConnected(const std::shared_ptr<grpc::Channel>& channel) {
  if (channel->GetState(false) != GRPC_CHANNEL_TRANSIENT_FAILURE) return "";
  grpc::ClientContext context;
  context.set_deadline(FromNow(std::chrono::milliseconds(500)));
  etcdserverpb::RangeRequest request;
  request.set_key("x");
  etcdserverpb::RangeResponse response;
  const grpc::Status status =
      etcdserverpb::KV::NewStub(channel)->Range(&context, request, &response);
  return status.ok() ? "" : ": " + Printable(status.error_message());
}

}  // namespace

std::string EtcdLocation::ToString() const {
  std::string text(kScheme);
  for (size_t i = 0; i < endpoints.size(); ++i) text += (i == 0 ? "" : ",") + endpoints[i];
  return text + prefix;
}

Result<EtcdLocation> ParseEtcdLocation(const std::string& text) {
  if (!text.starts_with(kScheme)) {
    return Error(Code::kInvalidArgument,
                 "'" + text + "' is no place in etcd: write etcd://HOST:PORT,.../PREFIX");
  }
  EtcdLocation location;
  std::string members = text.substr(kScheme.size());
  if (const size_t slash = members.find('/'); slash != std::string::npos) {
    location.prefix = members.substr(slash);
    members.resize(slash);
    while (location.prefix.ends_with('/')) location.prefix.pop_back();
  }
  if (location.prefix.size() < 2 || location.prefix.size() > 128) {
    return Error(Code::kInvalidArgument, "'" + text + "': the prefix has 1-127 bytes");
  }
  for (size_t start = 0; start <= members.size();) {
    const size_t end = std::min(members.find(',', start), members.size());
    location.endpoints.push_back(members.substr(start, end - start));
    RETURN_IF_ERROR(CheckEndpoint(location.endpoints.back()));
    start = end + 1;
  }
  if (location.endpoints.size() > kEndpointsMax) {
    return Error(Code::kInvalidArgument,
                 "at most " + std::to_string(kEndpointsMax) + " members of etcd may be named");
  }
  return location;
}

Result<std::unique_ptr<EtcdClient>> EtcdClient::Open(const EtcdLocation& location) {
  if (location.ca_file.empty() && !location.insecure) {
    for (const std::string& endpoint : location.endpoints) {
      if (IsLoopback(endpoint)) continue;
      return Error(Code::kInvalidArgument,
                   "etcd at " + endpoint + " without TLS could be read and changed by anybody on " +
                       "the way: give --etcd-ca, --etcd-cert and --etcd-key, or --etcd-insecure");
    }
  }
  std::unique_ptr<EtcdClient> client(new EtcdClient(location));
  ASSIGN_OR_RETURN(const auto credentials, CredentialsOf(location));
  for (const std::string& endpoint : location.endpoints) {
    client->channels_.push_back(grpc::CreateCustomChannel(endpoint, credentials, Arguments()));
  }
  return client;
}

Error EtcdClient::Unreachable(const Error& last) const {
  return Error(Code::kUnavailable,
               location_.ToString() + " does not answer (" + last.message() +
                   "): see that a majority of its etcd members run and can be reached from here, " +
                   (location_.ca_file.empty() ? "and do not ask for TLS (--etcd-ca)"
                                              : "and that --etcd-ca signed their certificates, and "
                                                "their authority --etcd-cert"));
}

Status EtcdClient::Connect(Clock::time_point deadline) {
  const auto wait = channels_.size() == 1 ? kConnectMax : kConnectMaxOfSeveral;
  const size_t member = current_ % channels_.size();
  // gRPC connects only while somebody waits for it.
  if (channels_[member]->WaitForConnected(
          FromNow(std::min<Clock::duration>(deadline - Clock::now(), wait)))) {
    return Ok();
  }
  TryNextMember();
  return Error(Code::kUnavailable, "no connection to " + location_.endpoints[member] +
                                       WhyNotConnected(channels_[member]));
}

template <typename Call>
Status EtcdClient::Attempt(const Call& call, Clock::time_point deadline) {
  RETURN_IF_ERROR(Connect(deadline));
  grpc::ClientContext context;
  context.set_deadline(FromNow(std::min<Clock::duration>(deadline - Clock::now(), kAttemptMax)));
  const grpc::Status status = call(*etcdserverpb::KV::NewStub(Channel()), &context);
  if (status.ok()) return Ok();
  if (status.error_code() == grpc::StatusCode::OUT_OF_RANGE) {
    return Error(Code::kNotFound, "etcd: " + status.error_message());
  }
  if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
    return Error(Code::kResourceExhausted,
                 "etcd: " + status.error_message() +
                     ": compact and defragment it, or give it more room (docs/cluster-catalog.md)");
  }
  // etcd tells a member without a leader so; nothing is known of what was asked.
  Error error = rpc::FromGrpc(status);
  if (MayPass(error)) TryNextMember();
  return error.Wrap("etcd");
}

template <typename Call>
Status EtcdClient::Repeat(const Call& call, Clock::time_point deadline) {
  while (true) {
    Status done = Attempt(call, deadline);
    if (done.ok() || !MayPass(done.error())) return done;
    if (Clock::now() >= deadline) return Unreachable(done.error());
    Pause(deadline);
  }
}

Result<etcdserverpb::TxnResponse> EtcdClient::Txn(const etcdserverpb::TxnRequest& request,
                                                  Clock::time_point deadline) {
  etcdserverpb::TxnResponse response;
  RETURN_IF_ERROR(Attempt(
      [&](auto& stub, auto* context) { return stub.Txn(context, request, &response); }, deadline));
  return response;
}

Result<etcdserverpb::RangeResponse> EtcdClient::Range(const etcdserverpb::RangeRequest& request,
                                                      Clock::time_point deadline) {
  etcdserverpb::RangeResponse response;
  RETURN_IF_ERROR(
      Repeat([&](auto& stub, auto* context) { return stub.Range(context, request, &response); },
             deadline));
  return response;
}

Result<etcdserverpb::PutResponse> EtcdClient::Put(const etcdserverpb::PutRequest& request,
                                                  Clock::time_point deadline) {
  etcdserverpb::PutResponse response;
  RETURN_IF_ERROR(Repeat(
      [&](auto& stub, auto* context) { return stub.Put(context, request, &response); }, deadline));
  return response;
}

Result<etcdserverpb::CompactionResponse> EtcdClient::Compact(
    const etcdserverpb::CompactionRequest& request, Clock::time_point deadline) {
  etcdserverpb::CompactionResponse response;
  RETURN_IF_ERROR(
      Repeat([&](auto& stub, auto* context) { return stub.Compact(context, request, &response); },
             deadline));
  return response;
}

std::unique_ptr<etcdserverpb::Watch::Stub> EtcdClient::WatchStub() const {
  return etcdserverpb::Watch::NewStub(Channel());
}

}  // namespace strata::records
