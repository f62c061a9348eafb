// CreditCharger: charges hours of use, and stops the Vclusters of who has nothing left. It is the
// leader's.
//
// At every look it adds what running nodes use, by their hosts' last samples, to a meter
// (credit_meter.h), and writes that once a minute. An hour that is over is charged to each user by
// CreditBook::Charge, which charges no hour twice. So a crash or another leader loses what was used
// since the last write, and what was used while nobody led; nothing is charged twice. What root of
// the host has is not charged.
//
// Thread-safe. Lock order: mutex_ comes before the master's and the books'.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/records/record_store.h"
#include "common/result.h"
#include "vclusterd/master/credit_meter.h"
#include "vclusterd/master/master.h"
#include "vclusterd/users/users.h"

namespace strata::vcluster {

class CreditCharger {
 public:
  // All must outlive this.
  CreditCharger(records::RecordStore& store, Master& master, Users& users)
      : store_(store), master_(master), users_(users) {}
  ~CreditCharger();

  // From here on it looks every ten seconds, on a thread of its own.
  void Start();
  // The first one takes over what the last leader's meter held. kFailedPrecondition: another leads
  // now; nothing is charged. Of other errors the next look makes up.
  Status Look();

 private:
  // REQUIRES of all below: mutex_ is held.
  Status TakeOver();
  void Measure(int64_t now_ms);
  Status Write(int64_t now_ms);
  Status Charge(int64_t now_ms);
  Status StopWhoHasNothing();

  records::RecordStore& store_;
  Master& master_;
  Users& users_;
  std::atomic<bool> closing_ = false;  // A look under way ends soon.
  std::mutex mutex_;                   // Guards what follows, but for thread_.
  bool taken_over_ = false;
  CreditMeter meter_;
  std::optional<std::string> written_;  // As it is in the store.
  int64_t written_ms_ = 0;
  std::optional<int64_t> measured_ms_;  // Of the last look.
  std::mutex wake_mutex_;               // For wake_ alone.
  std::condition_variable_any wake_;
  std::jthread thread_;
};

}  // namespace strata::vcluster
