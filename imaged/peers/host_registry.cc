#include "imaged/peers/host_registry.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "common/file_io.h"
#include "common/pki/private_key.h"
#include "common/pki/random.h"
#include "imaged/peers/unix_time.h"

namespace strata::imaged {
namespace {

constexpr size_t kFileBytesMax = 32u << 20;
// What gRPC lets other hosts receive is 4 MiB; the file says the same in more words.
constexpr size_t kListBytesMax = 3u << 20;
constexpr int kRevokedMax = 20'000;

Status Check(const v1::HostList& list) {
  if (list.hosts_size() > kHostsMax || list.revoked_size() > kRevokedMax ||
      list.ByteSizeLong() > kListBytesMax) {
    return Error(Code::kResourceExhausted, "the list of hosts is too long");
  }
  for (const v1::Host& host : list.hosts()) {
    if (!pki::IsHostName(host.name())) return Error(Code::kCorrupt, "a host's name is none");
  }
  return Ok();
}

v1::Host* FindIn(v1::HostList* list, const std::string& name) {
  for (v1::Host& host : *list->mutable_hosts()) {
    if (host.name() == name) return &host;
  }
  return nullptr;
}

Error NoSuchHost(const std::string& name) {
  return Error(Code::kNotFound,
               "there is no host '" + name + "' in the cluster: see 'vimage host list'");
}

Error WasRemoved(const std::string& name) {
  return Error(Code::kPermissionDenied,
               "host '" + name + "' was removed from this cluster: let it join anew");
}

template <typename Repeated>
void DropExpired(Repeated* certificates, pki::Time now) {
  const auto last = std::remove_if(certificates->begin(), certificates->end(), [&](const auto& c) {
    return c.expires_unix_ms() <= UnixMs(now);
  });
  certificates->erase(last, certificates->end());
}

}  // namespace

v1::HostCertificate Describe(const pki::Certificate& certificate) {
  v1::HostCertificate described;
  described.set_serial(certificate.serial());
  described.set_sha256(pki::HexOf(certificate.fingerprint()));
  described.set_expires_unix_ms(UnixMs(certificate.not_after()));
  return described;
}

Result<std::unique_ptr<HostRegistry>> HostRegistry::Open(const std::string& path) {
  std::unique_ptr<HostRegistry> registry(new HostRegistry(path));
  if (!PathExists(path)) return registry;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kFileBytesMax));
  const auto parsed = google::protobuf::util::JsonStringToMessage(text, &registry->list_);
  if (!parsed.ok()) {
    return Error(Code::kCorrupt, path + " is not a list of hosts: " + parsed.ToString());
  }
  RETURN_IF_ERROR(Check(registry->list_), path);
  return registry;
}

v1::HostList HostRegistry::List() const {
  const std::lock_guard lock(mutex_);
  v1::HostList list = list_;
  for (v1::Host& host : *list.mutable_hosts()) {
    const auto seen = seen_unix_ms_.find(host.name());
    if (seen != seen_unix_ms_.end()) host.set_last_seen_unix_ms(seen->second);
  }
  return list;
}

Result<v1::Host> HostRegistry::Find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  for (const v1::Host& host : list_.hosts()) {
    if (host.name() == name) return host;
  }
  return NoSuchHost(name);
}

Result<v1::Host> HostRegistry::Issuer() const {
  const std::lock_guard lock(mutex_);
  for (const v1::Host& host : list_.hosts()) {
    if (host.issuer()) return host;
  }
  return Error(Code::kNotFound, "the cluster's issuer is not known");
}

Status HostRegistry::Save(v1::HostList next) {
  RETURN_IF_ERROR(Check(next));
  std::string text;
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  const auto printed = google::protobuf::util::MessageToJsonString(next, &text, options);
  if (!printed.ok()) return Error(Code::kInternal, "print " + path_ + ": " + printed.ToString());
  RETURN_IF_ERROR(pki::SaveSecret(path_, text));
  list_ = std::move(next);
  return Ok();
}

Status HostRegistry::Commit(v1::HostList next) {
  next.set_generation(list_.generation() + 1);
  return Save(std::move(next));
}

Status HostRegistry::Add(v1::Host host, const pki::Certificate& certificate) {
  const std::lock_guard lock(mutex_);
  v1::HostList next = list_;
  if (FindIn(&next, host.name()) != nullptr) {
    return Error(Code::kAlreadyExists, "there is a host '" + host.name() +
                                           "' in the cluster: choose another name, or remove it "
                                           "with 'vimage host remove'");
  }
  if (next.hosts_size() >= kHostsMax) {
    return Error(Code::kResourceExhausted,
                 "the cluster has " + std::to_string(kHostsMax) + " hosts: remove one first");
  }
  *host.add_certificates() = Describe(certificate);
  *next.add_hosts() = std::move(host);
  return Commit(std::move(next));
}

Status HostRegistry::AddCertificate(const pki::Certificate& caller,
                                    const pki::Certificate& certificate, pki::Time now) {
  const std::lock_guard lock(mutex_);
  v1::HostList next = list_;
  v1::Host* const host = FindIn(&next, caller.host_name());
  if (host == nullptr) return WasRemoved(caller.host_name());
  const auto& known = host->certificates();
  if (std::none_of(known.begin(), known.end(),
                   [&](const auto& c) { return c.serial() == caller.serial(); })) {
    return WasRemoved(caller.host_name());
  }
  DropExpired(host->mutable_certificates(), now);
  if (known.size() >= kCertificatesMax) {
    return Error(Code::kResourceExhausted,
                 "host '" + host->name() + "' has " + std::to_string(kCertificatesMax) +
                     " certificates that have not expired: let it be removed, and join anew");
  }
  *host->add_certificates() = Describe(certificate);
  return Commit(std::move(next));
}

Status HostRegistry::Remove(const std::string& name, pki::Time now) {
  const std::lock_guard lock(mutex_);
  v1::HostList next = list_;
  const v1::Host* const host = FindIn(&next, name);
  if (host == nullptr) return NoSuchHost(name);
  if (host->issuer()) {
    return Error(Code::kFailedPrecondition,
                 "'" + name + "' holds the cluster's authority and cannot be removed");
  }
  for (const v1::HostCertificate& certificate : host->certificates()) {
    v1::RevokedCertificate* const revoked = next.add_revoked();
    revoked->set_host(name);
    revoked->set_serial(certificate.serial());
    revoked->set_expires_unix_ms(certificate.expires_unix_ms());
  }
  DropExpired(next.mutable_revoked(), now);
  const auto is_it = [&](const v1::Host& other) { return other.name() == name; };
  auto* const hosts = next.mutable_hosts();
  hosts->erase(std::remove_if(hosts->begin(), hosts->end(), is_it), hosts->end());
  RETURN_IF_ERROR(Commit(std::move(next)));
  seen_unix_ms_.erase(name);
  return Ok();
}

Status HostRegistry::Adopt(const v1::HostList& list) {
  const std::lock_guard lock(mutex_);
  return TakeOver(list);
}

Status HostRegistry::Follow(const v1::HostList& list) {
  const std::lock_guard lock(mutex_);
  return list.generation() <= list_.generation() ? Ok() : TakeOver(list);
}

Status HostRegistry::TakeOver(v1::HostList list) {
  // What the issuer saw is not what we saw.
  for (v1::Host& host : *list.mutable_hosts()) host.clear_last_seen_unix_ms();
  return Save(std::move(list));
}

Status HostRegistry::Admit(const pki::Certificate& certificate, pki::Time now) const {
  const std::string& name = certificate.host_name();
  if (certificate.not_after() <= now) {
    return Error(Code::kPermissionDenied, name + "'s certificate has expired");
  }
  const std::lock_guard lock(mutex_);
  for (const v1::RevokedCertificate& revoked : list_.revoked()) {
    if (revoked.serial() == certificate.serial()) {
      return WasRemoved(name);
    }
  }
  return Ok();
}

void HostRegistry::Seen(const std::string& name, pki::Time now) {
  const std::lock_guard lock(mutex_);
  seen_unix_ms_[name] = UnixMs(now);
}

}  // namespace strata::imaged
