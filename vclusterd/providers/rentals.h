// Rentals: rents machines when Vclusters find no room, and gives them back when nobody uses them.
//
// A machine costs money, so it is in the records before it is asked for and until it is gone; every
// step is taken from what the records say, and may be repeated (docs/providers.md has the stages).
// A machine with our tag that no record names is stopped. Of several masters only the one that
// leads has this: its records cannot be written by another (RentalSite::Store).
//
// One thread, or Step() called by a test. One call of a provider at a time.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"
#include "vclusterd/api/machines.pb.h"
#include "vclusterd/providers/provider_file.h"
#include "vclusterd/providers/rental_plan.h"

namespace strata::vcluster {

// What Rentals needs of the cluster. Thread-safe.
class RentalSite {
 public:
  virtual ~RentalSite() = default;

  struct Host {
    bool present = false;
    bool draining = false;
    bool looked = false;  // Drained: what stays is known.
    uint32_t nodes = 0;   // Also those that are on their way from it.
    bool stays = false;   // Some nodes will not leave.
    double cpus = 0;
    uint64_t memory_bytes = 0;
    uint64_t disk_bytes = 0;
  };
  virtual std::map<std::string, Host> Hosts() = 0;

  // Vclusters that find no room, and the state that they were tried with. The providers, and what
  // is coming, are left empty.
  virtual RentalQuestion WantedRoom() = 0;
  // Who is not to wait is told why at once.
  virtual void Answer(const std::map<uint32_t, RoomAnswer>& answers) = 0;

  // Durable, and nothing is placed there when it returns. Also of a host that nobody knows yet: it
  // is drained then when it joins.
  virtual Status Drain(const std::string& host, bool drain) = 0;
  // The host is not trusted any more, and its name may be given again. Ok when it was not known.
  virtual Status Forget(const std::string& host) = 0;
  // A secret with which one machine may join.
  virtual Result<std::string> JoinToken() = 0;

  // Records by tag, durable when it returns. kFailedPrecondition: another master leads.
  virtual Status Store(const std::string& tag, const std::optional<std::string>& record) = 0;
  virtual Result<std::map<std::string, std::string>> Stored() = 0;
  virtual Status StillLeads() = 0;
  virtual int64_t NowUnixMs() = 0;
  // What hosts cost, by name.
  struct Rent {
    std::string provider;
    double price_per_hour = 0;
  };
  virtual void ShowRents(const std::map<std::string, Rent>& rents) = 0;
};

struct RentalOptions {
  std::string tag_prefix;  // Of this cluster's machines: "strata-3f2a91c0-".
  std::string masters;     // What a worker is started with.
  std::chrono::milliseconds every{1000};
  std::chrono::milliseconds look_every{60'000};  // What providers have and offer.
  // After a failed start; doubled each time, up to the second one.
  std::chrono::milliseconds back_off{30'000};
  std::chrono::milliseconds back_off_max{3'600'000};
  // A host that is drained and does not get empty is used again.
  std::chrono::milliseconds drain_max{600'000};
  // A machine that was stopped and is still listed is stopped again.
  std::chrono::milliseconds stop_again{3'600'000};
  bool threaded = true;
};

class Rentals {
 public:
  struct Lender {
    ProviderConfig config;
    std::unique_ptr<HostProvider> provider;
  };
  // `site` must outlive the result. kCorrupt: a record cannot be read.
  static Result<std::unique_ptr<Rentals>> Open(RentalOptions options, std::vector<Lender> lenders,
                                               RentalSite& site);
  // Machines stay as they are.
  ~Rentals();

  struct View {
    ProviderRules rules;
    std::vector<Offer> offers;
    std::vector<master::v1::MachineRecord> machines;
    double price_per_hour = 0;
    std::string problem;
    uint64_t strays = 0;
  };
  std::vector<View> Views();  // Thread-safe.
  void Step();                // REQUIRES: not threaded.

 private:
  struct State {
    Lender lender;
    std::vector<Offer> offers;
    std::string problem;                        // Of the last call that told offers or machines.
    int64_t looked_ms = 0;                      // 0: never.
    int64_t listed_ms = 0;                      // When `listed` was told; 0: never.
    int64_t not_before_ms = 0;                  // The next start.
    std::string last_failure;                   // Why not, when starts have failed.
    uint32_t failures = 0;                      // Of starts, in a row.
    std::map<std::string, std::string> listed;  // Ids of machines by tag, at the last look.
    std::map<std::string, int64_t> strays;      // Since when they are seen, by tag.
    std::map<std::string, int64_t> stopped;     // When, by id: they may be listed for a while.
    uint64_t strays_stopped = 0;
    // What machines of an offer really had, where it was less.
    std::map<std::string, Offer> seen;
  };

  Rentals(RentalOptions options, RentalSite& site) : options_(std::move(options)), site_(site) {}
  void Work(const std::stop_token& stop);
  State* FindLender(const std::string& name);
  void Look(State& state);
  void StopStrays(State& state);
  void StopAgain(State& state, const std::string& id);
  void Advance(master::v1::MachineRecord& machine,
               const std::map<std::string, RentalSite::Host>& hosts);
  void AdvanceStarting(State& state, master::v1::MachineRecord& machine);
  void AdvanceRunning(State& state, master::v1::MachineRecord& machine,
                      const RentalSite::Host* host);
  void AdvanceReturning(master::v1::MachineRecord& machine, const RentalSite::Host* host);
  void AdvanceStopping(State& state, master::v1::MachineRecord& machine,
                       const RentalSite::Host* host);
  bool StaysEmpty(master::v1::MachineRecord& machine, const RentalSite::Host* host);
  void UseAgain(master::v1::MachineRecord& machine, const RentalSite::Host& host);
  bool Drain(const std::string& host, bool drain);
  void Plan();
  Offer AsSeen(State& state, Offer offer);
  void StartMachine(State& state, const Offer& offer);
  void FailStart(State& state, const std::string& why);
  // The stage is durable when it returns true.
  bool SetStage(master::v1::MachineRecord& machine, master::v1::MachineStage stage,
                const std::string& problem);
  bool Store(const master::v1::MachineRecord& machine);
  void Publish();

  const RentalOptions options_;
  RentalSite& site_;
  std::vector<State> states_;
  std::map<std::string, master::v1::MachineRecord> machines_;  // By tag.
  std::map<std::string, int64_t> idle_since_ms_;               // By tag.
  CancelToken closing_;
  std::mutex mutex_;  // Guards views_, and is for wake_.
  std::vector<View> views_;
  std::condition_variable_any wake_;
  std::jthread thread_;  // Last.
};

}  // namespace strata::vcluster
