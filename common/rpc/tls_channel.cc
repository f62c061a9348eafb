#include "common/rpc/tls_channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include "common/rpc/status.h"
#include "common/rpc/tls_probe.h"

namespace strata::rpc {
namespace {

namespace tls = grpc::experimental;

int Milliseconds(std::chrono::milliseconds time) { return static_cast<int>(time.count()); }

// gRPC has verified the chain; this compares who it is.
class HostVerifier final : public tls::ExternalCertificateVerifier {
 public:
  HostVerifier(std::string host_name, CertificateCheck check)
      : host_name_(std::move(host_name)), check_(std::move(check)) {}

  bool Verify(tls::TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* sync_status) override {
    *sync_status = ToGrpc(Check(request->peer_cert()));
    return true;
  }
  void Cancel(tls::TlsCustomVerificationCheckRequest*) override {}

 private:
  Status Check(const grpc::string_ref& pem) const {
    ASSIGN_OR_RETURN(const auto certificate, pki::Certificate::FromPem({pem.data(), pem.size()}));
    if (certificate.host_name() != host_name_) {
      return Error(Code::kPermissionDenied,
                   "it is host '" + certificate.host_name() + "', not '" + host_name_ + "'");
    }
    return check_ ? check_(certificate) : Ok();
  }

  const std::string host_name_;
  const CertificateCheck check_;
};

std::shared_ptr<grpc::ChannelCredentials> CredentialsOf(const TlsIdentity& identity,
                                                        const std::string& host_name,
                                                        CertificateCheck check) {
  std::vector<tls::IdentityKeyCertPair> pairs;
  if (!identity.certificate_pem.empty()) {
    pairs.push_back({identity.key_pem, identity.certificate_pem});
  }
  tls::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(
      std::make_shared<tls::StaticDataCertificateProvider>(identity.authority_pem, pairs));
  options.watch_root_certs();
  if (!pairs.empty()) options.watch_identity_key_cert_pairs();
  options.set_certificate_verifier(
      tls::ExternalCertificateVerifier::Create<HostVerifier>(host_name, std::move(check)));
  options.set_check_call_host(false);  // HostVerifier compares the name, once per connection.
  return tls::TlsCredentials(options);
}

grpc::ChannelArguments Arguments(const std::string& host_name) {
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride(host_name);
  arguments.SetMaxReceiveMessageSize(kTlsMessageBytesMax);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(kKeepaliveEvery));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(kKeepaliveAnswer));
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // No end to them.
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  // Another identity must not be served over a connection that this one made.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return arguments;
}

}  // namespace

Result<std::shared_ptr<grpc::Channel>> ConnectTls(const std::string& address,
                                                  const std::string& host_name,
                                                  const TlsIdentity& identity,
                                                  CertificateCheck check,
                                                  std::chrono::milliseconds time_max) {
  const auto deadline = std::chrono::system_clock::now() + time_max;
  // gRPC would retry until the time is over and then say only that it did not connect.
  RETURN_IF_ERROR(ProbeTls(address, host_name, identity, time_max));
  auto channel = grpc::CreateCustomChannel(
      address, CredentialsOf(identity, host_name, std::move(check)), Arguments(host_name));
  if (!channel->WaitForConnected(deadline)) {
    return Error(Code::kUnavailable, host_name + " at " + address +
                                         " answers but no connection comes about: has it been "
                                         "removed from the cluster, or is it overloaded?");
  }
  return channel;
}

}  // namespace strata::rpc
