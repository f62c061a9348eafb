// SignIn: from a name and a password, or from what an issuer says, to an account, whatever is wrong
// and however often somebody tries.
//
// Every refusal of a wrong password says the same and takes as long, whether there is such an
// account or not: an unknown name costs a hash too, and where the host's PAM is asked, it is asked
// after every password that was not right here. Only who knows the password hears that the account
// is locked or waits.
//
// Thread-safe. A call lasts as long as a hash, and PAM, take: seconds at worst.
#pragma once

#include <functional>
#include <string>

#include "common/result.h"
#include "vclusterd/users/account_book.h"
#include "vclusterd/users/id_token.h"
#include "vclusterd/users/sign_in_guard.h"
#include "vclusterd/users/unix_clock.h"

namespace strata::vcluster {

struct SignInOptions {
  // Whether the host takes this password (pam_check.h); an error when it could not be asked. Empty:
  // the host is not asked.
  std::function<Result<bool>(const std::string& name, const std::string& password,
                             const std::string& source)>
      host_takes;
  // What becomes of somebody without an account whom the host, or an issuer, knows: he gets none,
  // one that waits for approval, or one.
  enum class Newcomer { kRefuse, kWaits, kActive };
  Newcomer new_host_user = Newcomer::kRefuse;
  Newcomer new_open_id_user = Newcomer::kRefuse;
};

class SignIn {
 public:
  // Both must outlive this.
  SignIn(AccountBook& accounts, SignInGuard& guard, SignInOptions options, UnixClock now)
      : accounts_(accounts), guard_(guard), options_(std::move(options)), now_(std::move(now)) {}

  // `source`: the address that he comes from. kPermissionDenied: wrong name or password, or the
  // account is not active; kResourceExhausted: too many failures, or too many at once;
  // kUnavailable: the host could not be asked.
  Result<AccountPtr> WithPassword(const std::string& name, const std::string& password,
                                  const std::string& source);
  // `claims` are verified (open_id.h). The subject alone says who he is: names and addresses of
  // mail are what somebody made of them. kPermissionDenied: he has no account, or it is not active.
  Result<AccountPtr> WithClaims(const IdClaims& claims);

 private:
  Result<AccountPtr> AskHost(const std::string& name, const std::string& password,
                             const std::string& source);

  Result<AccountPtr> AddNewcomer(const IdClaims& claims);

  AccountBook& accounts_;
  SignInGuard& guard_;
  const SignInOptions options_;
  const UnixClock now_;
};

// A user's name made of what an issuer calls him: "Alice.Smith@example.org" -> "alice-smith".
std::string UserNameOf(const std::string& wanted);

// Ok for an active account; otherwise kPermissionDenied says why not, for its user.
Status CheckActive(const users::v1::Account& account);

}  // namespace strata::vcluster
