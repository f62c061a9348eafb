// SignInGuard: slows down who guesses passwords, per account and per source address. After a few
// failures each further one doubles the time for which the account, or the address, is not listened
// to, up to a bound; failures are forgotten after a while without any.
//
// Who is locked out:
// - An address that fails is not listened to for up to 15 minutes. For IPv6 the first 64 bits
// count:
//   a host chooses the others. Many failures are free, because a school may come from one address.
// - An account that others fail at is not listened to for up to 15 minutes, an admin's for up to
// one
//   minute; attempts meanwhile are refused without counting, so nobody extends it.
// - From an address from which its user has signed in lately, an account is listened to in spite of
//   both, and failures there count for the two together: a stranger, or a neighbour behind the same
//   address, cannot lock him out. Sessions go on, root of the host comes without a sign-in, and an
//   admin can unlock.
// - Names of nobody are treated alike, so that refusals do not tell them apart.
//
// At the account, an attempt counts as failed from its beginning until it has ended otherwise; so
// attempts at once are not more than attempts one after another.
//
// All in memory, of bounded size (the longest quiet entries go), and lost with the process. Time is
// the caller's. Thread-safe.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "common/result.h"
#include "vclusterd/users/recent_map.h"

namespace strata::vcluster {

// The addresses that are treated as one: an IPv4 address, the first 64 bits of an IPv6 address,
// anything else as it is.
std::string SourceGroup(const std::string& address);

class SignInGuard {
 public:
  static constexpr size_t kEntriesMax = 16'384;  // Of each kind; 4 MB or so.

  // kResourceExhausted says for how long. Ok: the attempt is under way, and ends by one of the
  // three below, with the same name and source.
  Status Begin(const std::string& name, const std::string& source, bool is_admin, int64_t now_ms);
  void Failed(const std::string& source, int64_t now_ms);
  void Succeeded(const std::string& name, const std::string& source, int64_t now_ms);
  // It said nothing about the password: something else was wrong.
  void TakeBack(const std::string& name, const std::string& source, int64_t now_ms);
  // Whether this address is listened to at all.
  Status CheckSource(const std::string& source, int64_t now_ms);

  // An admin's doing: the account, or the address, starts afresh.
  void UnlockAccount(const std::string& name);
  void UnlockSource(const std::string& source);

  size_t entries() const;

 private:
  struct Failures {
    int count = 0;
    int64_t last_ms = 0;
    int64_t until_ms = 0;  // Not listened to until then.
  };
  struct Policy {
    int free;  // Failures without consequence.
    int64_t first_ms;
    int64_t longest_ms;
    int64_t forget_ms;  // After the last failure.
  };
  static const Policy kOfAccount;
  static const Policy kOfAdmin;
  static const Policy kOfSource;

  // What stands against an attempt.
  static Status Check(const Failures& failures, const Policy& policy, int64_t now_ms);
  static void Count(const Policy& policy, int64_t now_ms, Failures* failures);
  bool IsKnown(const std::string& pair, int64_t now_ms);

  mutable std::mutex mutex_;  // Guards what follows.
  RecentMap<Failures> accounts_{kEntriesMax};
  RecentMap<Failures> sources_{kEntriesMax};
  RecentMap<Failures> pairs_{kEntriesMax};  // An account from an address that it is known from.
  RecentMap<int64_t> known_{kEntriesMax};   // When an account last signed in from an address.
};

}  // namespace strata::vcluster
