#include "vclusterd/daemon/host_users.h"

#include "common/file_io.h"
#include "common/log.h"
#include "common/thousandths.h"
#include "vclusterd/master/user_names.h"

namespace strata::vcluster {
namespace {

constexpr std::chrono::minutes kHouseEvery(5);
constexpr MilliCredits kWarnedPart = 5;  // Of the initial balance.

UserOptions OptionsFor(HostPasswords* passwords, CreditOptions credits) {
  UserOptions options;
  options.credits = std::move(credits);
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

Result<CreditOptions> CreditOptionsOf(const Settings& settings) {
  CreditOptions credits;
  ASSIGN_OR_RETURN(credits.prices, ParsePrices(settings.credit_prices), "--credit-prices");
  ASSIGN_OR_RETURN(credits.initial, ParseThousandths(settings.credit_initial), "--credit-initial");
  std::string_view rest = settings.credit_warn;
  while (!rest.empty()) {
    const std::string_view amount = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), amount.size() + 1));
    ASSIGN_OR_RETURN(credits.thresholds.emplace_back(), ParseThousandths(amount), "--credit-warn");
  }
  if (settings.credit_warn.empty() && credits.initial > 0) {
    credits.thresholds = {credits.initial / kWarnedPart};
  }
  return credits;
}

UserCallsContext UserCallsOf(HostUsers& host, ClustersSource clusters) {
  UserCallsContext context;
  context.users = &host.users();
  context.charged = !host.users().credits().prices().IsNothing();
  context.used = [clusters = std::move(clusters)] {
    const auto leading = clusters();
    return leading.ok() ? std::optional((*leading)->Used()) : std::nullopt;
  };
  return context;
}

Result<std::unique_ptr<HostUsers>> HostUsers::Open(const Settings& settings,
                                                   records::RecordStore& store) {
  ASSIGN_OR_RETURN(const std::string programs, ProgramDirectory());
  std::unique_ptr<HostUsers> host(new HostUsers(store));
  if (settings.pam) {
    HostPasswordOptions passwords;
    passwords.program = programs + "/strata-pam-check";
    host->passwords_ = std::make_unique<HostPasswords>(passwords);
  }
  ASSIGN_OR_RETURN(CreditOptions credits, CreditOptionsOf(settings));
  const std::string audit = settings.state_dir + "/vclusterd/audit";
  RETURN_IF_ERROR(MakeDirectories(audit, 0700));
  ASSIGN_OR_RETURN(
      host->users_,
      Users::Open(store, audit, OptionsFor(host->passwords_.get(), std::move(credits))));
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
