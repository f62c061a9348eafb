// EspSession: the key pair of this host's present session (net/secure/esp_keys.h), and with whom it
// has been used, in one file of the run directory. A reboot forgets both, as it does what the
// kernel has.
//
// Used by one thread at a time.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "net/secure/keys.h"

namespace strata::net {

class EspSession {
 public:
  explicit EspSession(std::string path) : path_(std::move(path)) {}

  // Reads the session, or begins one. What is no session is replaced by a new one.
  Status Open();
  // Another one. The one before is still known, to this object alone.
  Status Renew();
  // Keys with these sessions of others are about to be put into the kernel. Known for certain, even
  // if this process ends at once, when this is Ok.
  Status Use(const std::vector<PublicKey>& others);
  Status Forget();
  bool IsKept() const;

  const SecretKey& current() const { return current_; }
  const std::optional<SecretKey>& previous() const { return previous_; }
  const std::set<PublicKey>& used() const { return used_; }

 private:
  Status Save() const;
  bool Read(std::string_view text);

  const std::string path_;
  SecretKey current_;
  std::optional<SecretKey> previous_;
  std::set<PublicKey> used_;
};

}  // namespace strata::net
