#include "common/rpc/tls_server.h"

#include <grpc/grpc_security_constants.h>
#include <grpc/support/log.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <utility>

#include "common/log.h"
#include "common/rpc/tls_channel.h"

namespace strata::rpc {
namespace {

namespace tls = grpc::experimental;

constexpr int kThreadsMax = 512;  // What callers can make us hold, all together.
constexpr int kStreamsPerConnectionMax = 32;
constexpr int kIdleConnectionMs = 300'000;
constexpr int kPingsNotBeforeMs = 5000;  // Half of what our own clients wait between two.

class TlsServerImpl final : public TlsServer {
 public:
  explicit TlsServerImpl(std::vector<std::unique_ptr<grpc::Service>> services)
      : services_(std::move(services)) {}
  ~TlsServerImpl() override { Shutdown(std::chrono::milliseconds(0)); }

  Status Build(const TlsServerOptions& options) {
    grpc::ServerBuilder builder;
    Limit(builder, options);
    ports_.resize(options.addresses.size());
    const auto credentials = Credentials(options);
    std::string listed;
    for (size_t i = 0; i < options.addresses.size(); ++i) {
      builder.AddListeningPort(options.addresses[i], credentials, &ports_[i]);
      listed += (i == 0 ? "" : ", ") + options.addresses[i];
    }
    for (const auto& service : services_) builder.RegisterService(service.get());
    server_ = builder.BuildAndStart();
    if (server_ != nullptr) return Ok();
    return Error(Code::kUnavailable,
                 "cannot listen at " + listed + ": is the address this host's, and the port free?");
  }

  const std::vector<int>& ports() const override { return ports_; }

  void Shutdown(std::chrono::milliseconds grace) override {
    if (server_ == nullptr) return;
    server_->Shutdown(std::chrono::system_clock::now() + grace);
    server_.reset();
  }

 private:
  static void Limit(grpc::ServerBuilder& builder, const TlsServerOptions& options) {
    grpc::ResourceQuota quota("peers");
    quota.SetMaxThreads(kThreadsMax);
    builder.SetResourceQuota(quota);
    builder.SetMaxReceiveMessageSize(kTlsMessageBytesMax);
    builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
    const auto milliseconds = [](std::chrono::milliseconds time) {
      return static_cast<int>(time.count());
    };
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // Two imageds would share a port.
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                               milliseconds(options.handshake_max));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kIdleConnectionMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds(kKeepaliveEvery));
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, milliseconds(kKeepaliveAnswer));
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                               kPingsNotBeforeMs);
  }

  static std::shared_ptr<grpc::ServerCredentials> Credentials(const TlsServerOptions& options) {
    tls::TlsServerCredentialsOptions credentials(
        std::make_shared<tls::FileWatcherCertificateProvider>(
            options.identity_path, options.identity_path, options.authority_path,
            static_cast<unsigned int>(options.reload_every.count())));
    credentials.watch_root_certs();
    credentials.watch_identity_key_cert_pairs();
    credentials.set_cert_request_type(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
    return tls::TlsServerCredentials(credentials);
  }

  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::vector<int> ports_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

Result<std::unique_ptr<TlsServer>> TlsServer::Start(
    const TlsServerOptions& options, std::vector<std::unique_ptr<grpc::Service>> services) {
  auto server = std::make_unique<TlsServerImpl>(std::move(services));
  RETURN_IF_ERROR(server->Build(options));
  return std::unique_ptr<TlsServer>(std::move(server));
}

Result<pki::Certificate> PeerOf(const grpc::ServerContextBase& context) {
  const auto shown = context.auth_context()->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (shown.size() != 1) {
    return Error(Code::kPermissionDenied,
                 "this call is for hosts of the cluster: join it first, with a token");
  }
  ASSIGN_OR_RETURN(auto certificate, pki::Certificate::FromPem({shown[0].data(), shown[0].size()}));
  if (certificate.host_name().empty()) {
    return Error(Code::kPermissionDenied, "the certificate of the caller is not a host's");
  }
  return certificate;
}

std::string PeerAddress(const grpc::ServerContextBase& context) {
  const std::string peer = context.peer();
  return peer.substr(0, peer.rfind(':'));
}

void LogGrpcForDebugging() {
  gpr_set_log_function(
      [](gpr_log_func_args* args) { LOG_DEBUG(std::string("gRPC: ") + args->message); });
}

}  // namespace strata::rpc
