#include "imaged/peers/cluster.h"

#include <unistd.h>

#include "common/file_io.h"
#include "common/pki/verify.h"
#include "common/rpc/status.h"
#include "common/rpc/tls_channel.h"
#include "common/rpc/tls_probe.h"
#include "imaged/api/peer.grpc.pb.h"
#include "imaged/peers/join_token.h"
#include "imaged/peers/unix_time.h"

namespace strata::imaged {
namespace {

constexpr std::chrono::seconds kCallTimeMax{5};
constexpr std::chrono::seconds kRefreshPause{5};  // After one that failed.

void Bound(grpc::ClientContext* context) {
  context->set_deadline(std::chrono::system_clock::now() + kCallTimeMax);
}

Status RemoveIfThere(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return Ok();
  return Errno("unlink " + path);
}

// Asks the host that made the token to enrol us; the answer is for our key, or it is refused.
Result<v1::EnrolResponse> AskToEnrol(const JoinToken& token, const v1::EnrolRequest& request) {
  ASSIGN_OR_RETURN(const auto authority,
                   rpc::FindAuthority(token.address, token.host_name, token.authority_sha256,
                                      rpc::kConnectTimeMax));
  ASSIGN_OR_RETURN(const auto channel,
                   rpc::ConnectTls(token.address, token.host_name, {authority.ToPem(), "", ""}));
  grpc::ClientContext context;
  Bound(&context);
  v1::EnrolResponse response;
  const grpc::Status status =
      v1::EnrolService::NewStub(channel)->Enrol(&context, request, &response);
  if (!status.ok()) return rpc::FromGrpc(status).Wrap(token.host_name);
  response.set_authority_pem(authority.ToPem());
  return response;
}

}  // namespace

Result<std::unique_ptr<Cluster>> Cluster::Open(Options options) {
  const size_t slash = options.directory.rfind('/');
  RETURN_IF_ERROR(MakeDirectories(options.directory.substr(0, slash)));
  RETURN_IF_ERROR(pki::MakeSecretDirectory(options.directory));
  ASSIGN_OR_RETURN(auto registry, HostRegistry::Open(options.directory + "/hosts.json"));
  std::unique_ptr<Cluster> cluster(new Cluster(std::move(options), std::move(registry)));
  if (PathExists(cluster->IdentityPath())) RETURN_IF_ERROR(cluster->Load());
  return cluster;
}

Status Cluster::Load() {
  ASSIGN_OR_RETURN(const std::string identity, ReadFile(IdentityPath(), 64 * 1024));
  ASSIGN_OR_RETURN(const std::string authority_pem, ReadFile(AuthorityPath(), 64 * 1024));
  ASSIGN_OR_RETURN(const auto key, pki::PrivateKey::FromPem(identity), IdentityPath());
  ASSIGN_OR_RETURN(auto certificate, pki::Certificate::FromPem(identity), IdentityPath());
  if (certificate.host_name().empty()) {
    return Error(Code::kCorrupt, IdentityPath() + " holds no host's certificate");
  }
  ASSIGN_OR_RETURN(std::string key_pem, key.ToPem());
  const std::lock_guard lock(mutex_);
  member_.emplace(
      Member{{authority_pem, certificate.ToPem(), std::move(key_pem)}, std::move(certificate)});
  if (issuer_ != nullptr || !PathExists(Path("ca.key"))) return Ok();
  ASSIGN_OR_RETURN(const std::string authority_key, ReadFile(Path("ca.key"), 64 * 1024));
  ASSIGN_OR_RETURN(auto authority, pki::Authority::Load(authority_pem, authority_key),
                   Path("ca.key"));
  ASSIGN_OR_RETURN(issuer_, Issuer::Open(std::move(authority), registry_.get(), Path("tokens")));
  return Ok();
}

bool Cluster::IsMember() const {
  const std::lock_guard lock(mutex_);
  return member_.has_value();
}

Result<Cluster::Member> Cluster::Self() const {
  const std::lock_guard lock(mutex_);
  if (member_.has_value()) return *member_;
  return Error(Code::kFailedPrecondition,
               "this host is in no cluster: 'vimage host init' makes one, 'vimage host join' joins "
               "one");
}

Result<Issuer*> Cluster::AsIssuer() const {
  RETURN_IF_ERROR(Self());
  {
    const std::lock_guard lock(mutex_);
    if (issuer_ != nullptr) return issuer_.get();
  }
  ASSIGN_OR_RETURN(const v1::Host issuer, registry_->Issuer());
  return Error(Code::kFailedPrecondition, "only host '" + issuer.name() +
                                              "', which holds the cluster's authority, can do "
                                              "this: run it there");
}

Status Cluster::CheckNoMember() const {
  const auto self = Self();
  if (!self.ok()) return Ok();
  return Error(Code::kAlreadyExists, "this host is already '" + self->certificate.host_name() +
                                         "' of a cluster: to leave it, stop imaged and remove " +
                                         options_.directory);
}

Result<std::string> Cluster::NameFor(const std::string& asked) const {
  const std::string name = asked.empty() ? options_.host_name : asked;
  RETURN_IF_ERROR(pki::CheckHostName(name), "'" + name.substr(0, 100) + "'");
  return name;
}

Result<std::string> Cluster::AddressFor(const std::string& asked) const {
  const std::string& listen = options_.listen_address;
  if (listen.empty()) {
    if (asked.empty()) return std::string();
    return Error(
        Code::kFailedPrecondition,
        "imaged does not listen for other hosts: start it with --peer-listen ADDRESS:PORT");
  }
  if (!asked.empty()) {
    RETURN_IF_ERROR(rpc::CheckAddress(asked));
    return asked;
  }
  if (listen.starts_with("0.0.0.0:") || listen.starts_with("[::]:")) {
    return Error(Code::kInvalidArgument, "imaged listens at every address of this host (" + listen +
                                             "): say with --address which one others reach");
  }
  return listen;
}

Status Cluster::Adopt(const pki::PrivateKey& key, const pki::Certificate& certificate,
                      const std::string& authority_pem) {
  ASSIGN_OR_RETURN(const std::string key_pem, key.ToPem());
  RETURN_IF_ERROR(pki::SaveSecret(IdentityPath(), key_pem + certificate.ToPem() + authority_pem));
  return Load();
}

Status Cluster::Init(const v1::InitClusterRequest& request, pki::Time now) {
  const std::lock_guard lock(change_mutex_);
  RETURN_IF_ERROR(CheckNoMember());
  ASSIGN_OR_RETURN(const std::string name, NameFor(request.host_name()));
  ASSIGN_OR_RETURN(const std::string address, AddressFor(request.address()));
  if (address.empty()) {
    return Error(
        Code::kFailedPrecondition,
        "imaged does not listen for other hosts: start it with --peer-listen ADDRESS:PORT");
  }
  ASSIGN_OR_RETURN(const auto authority, pki::Authority::Create(now));
  ASSIGN_OR_RETURN(const std::string authority_key, authority.KeyPem());
  const std::string authority_pem = authority.certificate().ToPem();
  RETURN_IF_ERROR(RemoveIfThere(Path("tokens")));  // Of an attempt that broke off.
  RETURN_IF_ERROR(pki::SaveSecret(Path("ca.key"), authority_key));
  RETURN_IF_ERROR(pki::SaveSecret(AuthorityPath(), authority_pem));

  ASSIGN_OR_RETURN(const auto key, pki::PrivateKey::Generate());
  ASSIGN_OR_RETURN(const std::string der, pki::MakeRequest(key, name));
  ASSIGN_OR_RETURN(const auto signing, pki::ParseRequest(der));
  ASSIGN_OR_RETURN(const auto certificate, authority.SignHost(signing, now));
  v1::HostList list;
  list.set_generation(1);
  v1::Host* const self = list.add_hosts();
  self->set_name(name);
  self->set_address(address);
  self->set_issuer(true);
  self->set_enrolled_unix_ms(UnixMs(now));
  *self->add_certificates() = Describe(certificate);
  RETURN_IF_ERROR(registry_->Adopt(list));
  return Adopt(key, certificate, authority_pem);
}

Status Cluster::Join(const v1::JoinRequest& request) {
  const std::lock_guard lock(change_mutex_);
  RETURN_IF_ERROR(CheckNoMember());
  ASSIGN_OR_RETURN(const JoinToken token, ParseToken(request.token()));
  ASSIGN_OR_RETURN(const auto key, pki::PrivateKey::Generate());
  v1::EnrolRequest enrol;
  enrol.set_token_secret(token.secret);
  ASSIGN_OR_RETURN(*enrol.mutable_host_name(), NameFor(request.host_name()));
  ASSIGN_OR_RETURN(*enrol.mutable_address(), AddressFor(request.address()));
  ASSIGN_OR_RETURN(*enrol.mutable_request_der(), pki::MakeRequest(key, enrol.host_name()));
  ASSIGN_OR_RETURN(v1::EnrolResponse response, AskToEnrol(token, enrol));

  ASSIGN_OR_RETURN(const auto certificate, pki::Certificate::FromPem(response.certificate_pem()));
  ASSIGN_OR_RETURN(const auto authority, pki::Certificate::FromPem(response.authority_pem()));
  RETURN_IF_ERROR(pki::VerifyHost(certificate, authority, std::chrono::system_clock::now()));
  if (certificate.host_name() != enrol.host_name()) {
    return Error(Code::kCorrupt, token.host_name + " signed another name than ours");
  }
  RETURN_IF_ERROR(RemoveIfThere(Path("ca.key")));  // Of an attempt to init that broke off.
  RETURN_IF_ERROR(pki::SaveSecret(AuthorityPath(), response.authority_pem()));
  RETURN_IF_ERROR(registry_->Adopt(response.hosts()));
  return Adopt(key, certificate, response.authority_pem());
}

Result<v1::ClusterState> Cluster::State() const {
  ASSIGN_OR_RETURN(const Member self, Self());
  v1::ClusterState state;
  state.set_self(self.certificate.host_name());
  *state.mutable_list() = registry_->List();
  return state;
}

Result<v1::MakeTokenResponse> Cluster::MakeToken(std::chrono::seconds ttl, pki::Time now) {
  ASSIGN_OR_RETURN(Issuer* const issuer, AsIssuer());
  ASSIGN_OR_RETURN(const v1::Host self, registry_->Issuer());
  return issuer->MakeToken(self, ttl.count() == 0 ? kTokenTtlDefault : ttl, now);
}

Status Cluster::Remove(const std::string& name, pki::Time now) {
  RETURN_IF_ERROR(AsIssuer());
  return registry_->Remove(name, now);
}

Result<v1::EnrolResponse> Cluster::Enrol(const v1::EnrolRequest& request, const std::string& caller,
                                         pki::Time now) {
  ASSIGN_OR_RETURN(Issuer* const issuer, AsIssuer());
  return issuer->Enrol(request, caller, now);
}

Result<pki::Certificate> Cluster::SignRenewal(const pki::Certificate& caller,
                                              const std::string& request_der, pki::Time now) {
  ASSIGN_OR_RETURN(Issuer* const issuer, AsIssuer());
  return issuer->Renew(caller, request_der, now);
}

Result<pki::Certificate> Cluster::Obtain(const Member& self, const std::string& request_der,
                                         pki::Time now) {
  if (const auto issuer = AsIssuer(); issuer.ok()) {
    return (*issuer)->Renew(self.certificate, request_der, now);
  }
  ASSIGN_OR_RETURN(const v1::Host issuer, registry_->Issuer());
  ASSIGN_OR_RETURN(const auto channel, Connect(issuer.name()));
  grpc::ClientContext context;
  Bound(&context);
  v1::RenewCertificateRequest request;
  request.set_request_der(request_der);
  v1::RenewCertificateResponse response;
  const grpc::Status status =
      v1::PeerService::NewStub(channel)->RenewCertificate(&context, request, &response);
  if (!status.ok()) return rpc::FromGrpc(status).Wrap(issuer.name());
  return pki::Certificate::FromPem(response.certificate_pem());
}

Status Cluster::Renew(pki::Time now) {
  const std::lock_guard lock(change_mutex_);
  ASSIGN_OR_RETURN(const Member self, Self());
  const std::string name = self.certificate.host_name();
  ASSIGN_OR_RETURN(const auto key, pki::PrivateKey::Generate());
  ASSIGN_OR_RETURN(const std::string der, pki::MakeRequest(key, name));
  ASSIGN_OR_RETURN(const auto certificate, Obtain(self, der, now));
  ASSIGN_OR_RETURN(const auto authority, pki::Certificate::FromPem(self.identity.authority_pem));
  RETURN_IF_ERROR(pki::VerifyHost(certificate, authority, now), "the renewed certificate");
  if (certificate.host_name() != name) {
    return Error(Code::kCorrupt, "the renewed certificate is of another host");
  }
  return Adopt(key, certificate, self.identity.authority_pem);
}

Status Cluster::RenewIfDue(pki::Time now) {
  ASSIGN_OR_RETURN(const Member self, Self());
  return pki::RenewalIsDue(self.certificate, now) ? Renew(now) : Ok();
}

Status Cluster::Refresh() {
  if (AsIssuer().ok()) return Ok();
  ASSIGN_OR_RETURN(const v1::Host issuer, registry_->Issuer());
  ASSIGN_OR_RETURN(const auto channel, Connect(issuer.name()));
  grpc::ClientContext context;
  Bound(&context);
  v1::HostList list;
  const grpc::Status status = v1::PeerService::NewStub(channel)->Hosts(&context, {}, &list);
  if (!status.ok()) return rpc::FromGrpc(status).Wrap(issuer.name());
  registry_->Seen(issuer.name(), std::chrono::system_clock::now());
  return registry_->Follow(list);
}

Result<v1::Host> Cluster::Find(const std::string& host_name) {
  auto host = registry_->Find(host_name);
  if (host.ok() || host.error().code() != Code::kNotFound) return host;
  // It may have joined since we last read the list. An issuer that is silent is not asked by all.
  const std::lock_guard lock(refresh_mutex_);
  host = registry_->Find(host_name);
  if (host.ok()) return host;
  const auto now = std::chrono::steady_clock::now();
  if (!refreshed_.has_value() || refreshed_->ok() || now >= refresh_again_) {
    refreshed_ = Refresh();
    refresh_again_ = std::chrono::steady_clock::now() + kRefreshPause;
  }
  if (refreshed_->ok()) return registry_->Find(host_name);
  return Error(Code::kNotFound, host.error().message() + "; the newest list could not be read: " +
                                    refreshed_->error().message());
}

Result<std::shared_ptr<grpc::Channel>> Cluster::Connect(const std::string& host_name) {
  ASSIGN_OR_RETURN(const Member self, Self());
  ASSIGN_OR_RETURN(const v1::Host host, Find(host_name));
  if (host.address().empty()) {
    return Error(Code::kFailedPrecondition,
                 "host '" + host_name +
                     "' does not listen for others: start its imaged with "
                     "--peer-listen and let it join anew");
  }
  return rpc::ConnectTls(host.address(), host_name, self.identity,
                         [registry = registry_](const pki::Certificate& certificate) {
                           return registry->Admit(certificate, std::chrono::system_clock::now());
                         });
}

}  // namespace strata::imaged
