#include "vclusterd/daemon/rest_service.h"

#include "common/file_io.h"
#include "common/http/client.h"
#include "common/log.h"

namespace strata::vcluster {
namespace {

constexpr size_t kSecretBytesMax = 4096;

// A client is one thread's, and an issuer is asked seldom: each question has its own.
Result<http::Incoming> Fetch(const http::Outgoing& request) {
  ASSIGN_OR_RETURN(const auto client, http::Client::Create({}));
  return client->Perform(request, nullptr, CancelToken());
}

Result<std::unique_ptr<OpenIdProvider>> MakeOpenId(const Settings& settings) {
  if (settings.openid_issuer.empty()) return std::unique_ptr<OpenIdProvider>();
  if (settings.openid_client.empty() || settings.openid_redirect.empty()) {
    return Error(Code::kInvalidArgument,
                 "--openid-issuer needs --openid-client and --openid-redirect");
  }
  OpenIdClient client;
  client.issuer = settings.openid_issuer;
  client.client_id = settings.openid_client;
  client.redirect_uri = settings.openid_redirect;
  if (!settings.openid_secret_file.empty()) {
    ASSIGN_OR_RETURN(client.client_secret, ReadFile(settings.openid_secret_file, kSecretBytesMax));
    while (!client.client_secret.empty() && client.client_secret.back() == '\n') {
      client.client_secret.pop_back();
    }
  }
  return std::make_unique<OpenIdProvider>(std::move(client), Fetch, HostUnixMs);
}

// The files of the flags, or those of this host in its cluster.
Result<http::CertificateFiles> CertificateOf(const Settings& settings) {
  http::CertificateFiles files{settings.rest_cert, settings.rest_key};
  if (files.certificate.empty() != files.key.empty()) {
    return Error(Code::kInvalidArgument, "--rest-cert and --rest-key go together");
  }
  const std::string identity = settings.state_dir + "/imaged/hosts/host.pem";
  if (files.certificate.empty() && !settings.rest_plain && PathExists(identity)) {
    files = {identity, identity};
  }
  return files;
}

}  // namespace

Result<std::unique_ptr<RestService>> RestService::Start(const Settings& settings,
                                                        rest::ClustersSource clusters,
                                                        rest::ClassesSource classes, Users& users) {
  if (settings.rest.empty()) return std::unique_ptr<RestService>();
  std::unique_ptr<RestService> service(new RestService);
  ASSIGN_OR_RETURN(service->open_id_, MakeOpenId(settings));
  rest::RestServerOptions options;
  options.address = settings.rest;
  options.registration = settings.rest_registration;
  ASSIGN_OR_RETURN(options.certificate, CertificateOf(settings));
  if (options.certificate.certificate.empty() && !settings.rest_plain) {
    return Error(Code::kInvalidArgument,
                 "REST needs a certificate: give --rest-cert and --rest-key, make this host a "
                 "member of a cluster, or choose --rest-plain at a loopback address");
  }
  ASSIGN_OR_RETURN(service->server_,
                   rest::RestServer::Start(options, std::move(clusters), std::move(classes), users,
                                           service->open_id_.get()));
  LOG_INFO(std::string("serves REST at ") + (service->server_->tls() ? "https://" : "http://") +
           settings.rest.substr(0, settings.rest.rfind(':') + 1) +
           std::to_string(service->server_->port()));
  return service;
}

}  // namespace strata::vcluster
