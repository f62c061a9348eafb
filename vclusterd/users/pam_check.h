// HostPasswords: whether the host's PAM takes a password (pam(3), service "strata").
//
// libpam may be used by several threads, each with a handle of its own (pam(3), "NOTES"), but what
// it loads need not: modules change the environment, the umask, signal handlers and uids of the
// process, wait for children and sleep after a failure. So a program of ours asks PAM, a process
// for each question: strata-pam-check (pam/strata_pam_check.cc has the protocol). It gets name and
// password through a pipe; nothing of them is in an argument or in the environment.
//
// Thread-safe. At most `at_once` questions are asked at a time, each for half a minute at most.
#pragma once

#include <chrono>
#include <semaphore>
#include <string>

#include "common/result.h"

namespace strata::vcluster {

struct HostPasswordOptions {
  std::string program;             // strata-pam-check.
  std::string service = "strata";  // A file in /etc/pam.d.
  std::string config_directory;    // Instead of /etc/pam.d; for tests.
  std::chrono::milliseconds timeout{30'000};
  int at_once = 16;
};

class HostPasswords {
 public:
  explicit HostPasswords(HostPasswordOptions options)
      : options_(std::move(options)), free_(options_.at_once) {}

  // True: it is his, and he may come in. False: wrong name or password, all the same.
  // kPermissionDenied: it is his, but the account or password has expired, or the host does not let
  // him in. kUnavailable: PAM could not be asked, or does not answer.
  Result<bool> Takes(const std::string& name, const std::string& password,
                     const std::string& source);

 private:
  const HostPasswordOptions options_;
  std::counting_semaphore<> free_;
};

}  // namespace strata::vcluster
