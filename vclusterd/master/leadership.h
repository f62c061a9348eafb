// Leadership: of several masters over one record store, one leads. The leader writes a beat every
// few seconds; who sees none for long enough takes the lead with a transaction that expects the
// record of the leader whose beats ended. Every commit of a leader expects his own record, so one
// who was taken over from can change nothing any more, whatever he believes. Clocks are never
// compared: each master measures with its own how long the records have stayed the same.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "common/records/record_store.h"
#include "common/result.h"
#include "vclusterd/master/master.h"

namespace strata::vcluster {

class Leadership {
 public:
  struct Options {
    MasterOptions master;
    std::chrono::milliseconds beat_every{2000};
    std::chrono::milliseconds takeover_after{6000};
    // MasterOptions::lead_lasts; absent: as long as nobody takes it over.
    std::optional<std::chrono::milliseconds> lead_lasts;
  };
  // On the thread of this. `won`: a master that leads, which is destroyed when `lost` has returned.
  using Won = std::function<void(Master& master)>;
  using Lost = std::function<void(Master& master)>;

  // `store` must outlive this. Without a thread when the master is to have none
  // (MasterOptions::pause): then Step is called every `beat_every`.
  Leadership(Options options, records::RecordStore& store, Won won, Lost lost);
  // Gives the lead up, so that another takes it at once.
  ~Leadership();

  // The host that leads, as the records say; empty: nobody.
  std::string Leader() const;

  // Keeps the lead, or takes it.
  void Step();

 private:
  using Clock = MasterOptions::Clock;

  void Run(const std::stop_token& stop);
  Clock::time_point Now() const { return options_.master.steady_now(); }
  Status Campaign();
  void StepDown(bool give_up);

  const Options options_;
  records::RecordStore& store_;
  const Won won_;
  const Lost lost_;
  std::unique_ptr<Master> master_;  // Of the thread.
  std::optional<std::string> seen_leader_;
  std::optional<std::string> seen_beat_;
  Clock::time_point seen_since_;
  std::string trouble_;       // Of the last campaign; of the thread.
  mutable std::mutex mutex_;  // For wake_ alone.
  std::condition_variable_any wake_;
  std::jthread thread_;  // Last.
};

}  // namespace strata::vcluster
