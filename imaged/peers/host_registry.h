// HostRegistry: the hosts of the cluster and the certificates that are no longer good. The issuer's
// changes; the other hosts hold copies of it. A file of protobuf JSON (v1::HostList).
//
// Thread-safe. Durable when a change returns, but for when a host was last seen: that is kept in
// memory alone.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "common/pki/certificate.h"
#include "common/result.h"
#include "imaged/api/peer.pb.h"

namespace strata::imaged {

constexpr int kHostsMax = 1000;
constexpr int kCertificatesMax = 4;  // Of a host, not expired.

class HostRegistry {
 public:
  // `path` need not exist. kCorrupt for a file that is none of ours.
  static Result<std::unique_ptr<HostRegistry>> Open(const std::string& path);

  v1::HostList List() const;
  // kNotFound.
  Result<v1::Host> Find(const std::string& name) const;
  // kNotFound when this registry is empty.
  Result<v1::Host> Issuer() const;

  // kAlreadyExists; kResourceExhausted with kHostsMax of them.
  Status Add(v1::Host host, const pki::Certificate& certificate);
  // A further certificate of the host that `caller` is one of. kPermissionDenied when the list does
  // not have that one (any more: its host was removed, though another may have the name now);
  // kResourceExhausted with kCertificatesMax of them.
  Status AddCertificate(const pki::Certificate& caller, const pki::Certificate& certificate,
                        pki::Time now);
  // Takes the host out and revokes all its certificates. kNotFound; kFailedPrecondition for the
  // issuer itself.
  Status Remove(const std::string& name, pki::Time now);
  // Takes over the list of the cluster that this host is joining, whatever was here before.
  Status Adopt(const v1::HostList& list);
  // Takes the issuer's list over; one that is not newer than ours is left aside.
  Status Follow(const v1::HostList& list);

  // Ok: the certificate may be used. kPermissionDenied: it is revoked, or has expired.
  Status Admit(const pki::Certificate& certificate, pki::Time now) const;
  void Seen(const std::string& name, pki::Time now);

 private:
  explicit HostRegistry(std::string path) : path_(std::move(path)) {}
  // Writes `next` with a higher generation, and makes it ours.
  Status Commit(v1::HostList next);
  Status Save(v1::HostList next);
  Status TakeOver(v1::HostList list);

  const std::string path_;
  mutable std::mutex mutex_;  // Guards all below, and the file.
  v1::HostList list_;
  std::map<std::string, int64_t> seen_unix_ms_;
};

v1::HostCertificate Describe(const pki::Certificate& certificate);

}  // namespace strata::imaged
