#include "vclusterd/remote/membership.h"

#include <sys/stat.h>

#include "common/file_io.h"
#include "common/pki/private_key.h"
#include "common/rpc/tls_channel.h"
#include "common/rpc/tls_server.h"

namespace strata::vcluster {
namespace {

constexpr size_t kPemBytesMax = 64 << 10;

}  // namespace

Result<std::shared_ptr<Membership>> Membership::Open(const std::string& state_dir) {
  std::shared_ptr<Membership> membership(new Membership(state_dir + "/imaged/hosts"));
  if (!PathExists(membership->IdentityPath())) {
    return Error(Code::kFailedPrecondition,
                 "this host is in no cluster: 'vimage host init' makes one, 'vimage host join' "
                 "joins one");
  }
  ASSIGN_OR_RETURN(const std::string pem, ReadFile(membership->IdentityPath(), kPemBytesMax));
  ASSIGN_OR_RETURN(const pki::Certificate certificate, pki::Certificate::FromPem(pem),
                   membership->IdentityPath());
  if (certificate.host_name().empty()) {
    return Error(Code::kCorrupt, membership->IdentityPath() + " holds no host's certificate");
  }
  membership->name_ = certificate.host_name();
  const std::lock_guard lock(membership->mutex_);
  RETURN_IF_ERROR(membership->Refresh());
  return membership;
}

Status Membership::Refresh() {
  const std::string path = directory_ + "/hosts.json";
  struct stat st = {};
  if (::stat(path.c_str(), &st) != 0) return Errno(path);
  if (registry_ != nullptr && st.st_mtim.tv_sec == registry_time_.tv_sec &&
      st.st_mtim.tv_nsec == registry_time_.tv_nsec) {
    return Ok();
  }
  ASSIGN_OR_RETURN(registry_, imaged::HostRegistry::Open(path));
  registry_time_ = st.st_mtim;
  return Ok();
}

Status Membership::Admit(const pki::Certificate& certificate) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(Refresh());
  return registry_->Admit(certificate, std::chrono::system_clock::now());
}

Result<std::string> Membership::CallerOf(const grpc::ServerContextBase& context) {
  ASSIGN_OR_RETURN(const pki::Certificate certificate, rpc::PeerOf(context));
  RETURN_IF_ERROR(Admit(certificate));
  return certificate.host_name();
}

Result<rpc::TlsIdentity> Membership::Identity() const {
  ASSIGN_OR_RETURN(const std::string pem, ReadFile(IdentityPath(), kPemBytesMax));
  ASSIGN_OR_RETURN(std::string authority, ReadFile(AuthorityPath(), kPemBytesMax));
  ASSIGN_OR_RETURN(const auto key, pki::PrivateKey::FromPem(pem), IdentityPath());
  ASSIGN_OR_RETURN(const auto certificate, pki::Certificate::FromPem(pem), IdentityPath());
  ASSIGN_OR_RETURN(std::string key_pem, key.ToPem());
  return rpc::TlsIdentity{std::move(authority), certificate.ToPem(), std::move(key_pem)};
}

Result<std::shared_ptr<grpc::Channel>> Membership::Connect(const std::string& address,
                                                           const std::string& host_name) {
  ASSIGN_OR_RETURN(const rpc::TlsIdentity identity, Identity());
  // gRPC may verify a connection after our end; this outlives it with the process.
  return rpc::ConnectTls(address, host_name, identity, [this](const pki::Certificate& certificate) {
    return Admit(certificate);
  });
}

}  // namespace strata::vcluster
