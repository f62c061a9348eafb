// HostUsers: the users of this Strata (vclusterd/users/users.h) over the records of its master,
// with the host's own accounts and passwords, and housekeeping.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "common/records/record_store.h"
#include "common/result.h"
#include "vclusterd/daemon/settings.h"
#include "vclusterd/users/pam_check.h"
#include "vclusterd/users/users.h"

namespace strata::vcluster {

class HostUsers {
 public:
  // Follows `store`, which must outlive the result. The audit log is in <state>/vclusterd/audit.
  static Result<std::unique_ptr<HostUsers>> Open(const Settings& settings,
                                                 records::RecordStore& store);
  ~HostUsers();

  Users& users() { return *users_; }

 private:
  explicit HostUsers(records::RecordStore& store) : store_(store) {}
  void KeepHouse(const std::stop_token& stop);

  records::RecordStore& store_;
  std::unique_ptr<HostPasswords> passwords_;
  std::unique_ptr<Users> users_;
  std::mutex mutex_;  // For wake_ alone.
  std::condition_variable_any wake_;
  std::jthread thread_;  // Last.
};

}  // namespace strata::vcluster
