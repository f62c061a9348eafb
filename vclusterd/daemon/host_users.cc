#include "vclusterd/daemon/host_users.h"

#include "common/file_io.h"
#include "common/log.h"
#include "vclusterd/master/user_names.h"

namespace strata::vcluster {
namespace {

constexpr std::chrono::minutes kHouseEvery(5);

UserOptions OptionsFor(HostPasswords* passwords) {
  UserOptions options;
  options.accounts.host_uid = HostUid;
  options.accounts.host_name = HostUserName;
  if (passwords != nullptr) {
    options.sign_in.host_takes = [passwords](const std::string& name, const std::string& password,
                                             const std::string& source) {
      return passwords->Takes(name, password, source);
    };
    // Who is known to the host is a user here: he could use the socket.
    options.sign_in.new_host_user = SignInOptions::Newcomer::kActive;
  }
  options.sign_in.new_open_id_user = SignInOptions::Newcomer::kWaits;
  return options;
}

}  // namespace

Result<std::unique_ptr<HostUsers>> HostUsers::Open(const Settings& settings,
                                                   records::RecordStore& store) {
  ASSIGN_OR_RETURN(const std::string programs, ProgramDirectory());
  std::unique_ptr<HostUsers> host(new HostUsers(store));
  if (settings.pam) {
    HostPasswordOptions passwords;
    passwords.program = programs + "/strata-pam-check";
    host->passwords_ = std::make_unique<HostPasswords>(passwords);
  }
  const std::string audit = settings.state_dir + "/vclusterd/audit";
  RETURN_IF_ERROR(MakeDirectories(audit, 0700));
  ASSIGN_OR_RETURN(host->users_, Users::Open(store, audit, OptionsFor(host->passwords_.get())));
  RETURN_IF_ERROR(
      store.Follow([users = host->users_.get()](const std::vector<records::RecordChange>& changes) {
        users->Apply(changes);
      }));
  host->thread_ =
      std::jthread([raw = host.get()](const std::stop_token& stop) { raw->KeepHouse(stop); });
  return host;
}

HostUsers::~HostUsers() {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  store_.Unfollow();
}

void HostUsers::KeepHouse(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, stop, kHouseEvery, [] { return false; }) && !stop.stop_requested()) {
    if (Status kept = users_->KeepHouse(); !kept.ok()) {
      LOG_WARNING("tokens: " + kept.error().message());
    }
  }
}

}  // namespace strata::vcluster
