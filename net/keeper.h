// NetworkKeeper: has the networks of one host as they should be, and keeps them so: after a change
// of any that is ours, whoever made it, and every ten seconds anyway, it compares what is there
// with what should be (net/host_network.h) and mends the difference. It checks where balanced
// forwards lead to, and leaves out who takes no connections (net/health.h).
//
// Of the network namespace of the threads that use it. Thread-safe: one plan is carried out at a
// time. One per run directory, of all processes.
//
// Durability: what was Put is kept in the run directory, so that a keeper which takes over has the
// same; a reboot forgets it, as it does everything that it is about.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "net/dns/control.h"
#include "net/network_maker.h"
#include "net/plan_text.h"
#include "net/secure/host_fabric.h"

namespace strata::net {

class HealthChecker;
class HostNetwork;
class NetworkWatch;

class NetworkKeeper final : public NetworkMaker {
 public:
  // A change that was made, or that could not be; or a forward that is ending, or whose node is on
  // another host, has no connections any more ("= forward …").
  struct Event {
    int64_t unix_ms = 0;
    bool repair = false;  // Of what somebody else had changed; otherwise it was asked for.
    std::vector<std::string> changes;
    std::string problem;
  };
  // How the host's nodes are joined.
  struct Means {
    Driver driver = Driver::kLinux;
    bool fast_path = false;                        // Of kLinux, where the kernel has it.
    std::string ovs_run_dir = "/run/openvswitch";  // Of kOvs, as what follows.
    bool gre = false;                              // Tunnels are GRE, not VXLAN.
    std::string controller;                        // Whose flows are used instead of ours.
    std::string names_program;  // vnet-names; empty: gateways answer no questions for names.
  };
  struct Options {
    std::string instance;  // Of what it keeps; nothing else is touched.
    std::string run_dir;
    std::string state_dir;  // Of the fabric's keys; empty: there can be no fabric.
    // Says how networks should be, instead of Put; read again when it has changed.
    std::string file;
    Means means;
    std::chrono::milliseconds every{10'000};
    // After a change it waits for so long, for more of them, up to ten times as long; longer where
    // looking takes long.
    std::chrono::milliseconds gather{50};
    // While some host changes its key in the fabric: nothing tells when it has.
    std::chrono::milliseconds every_of_keys{1000};
    // From any thread, one call at a time. It must not call this object.
    std::function<void(const Event&)> listener = [](const Event&) {};
  };
  struct State {
    std::optional<DesiredNetwork> desired;  // Of names, which are served is said, too.
    std::optional<Error> problem;           // Why it is not so.
    uint64_t looks = 0;    // How often what is there was compared with what should be…
    uint64_t repairs = 0;  // …and something was mended that somebody else had changed.
    int64_t last_repair_unix_ms = 0;
    std::optional<uint64_t> fast_frames;  // That took the fast path; nullopt: there is none.
    std::optional<Error> names_problem;   // Why some questions for names are not answered.
    NameCounts name_counts;
  };

  // Takes over what an earlier one has kept. What cannot be made now is tried again. Before that
  // and a first Put nothing is touched. kFailedPrecondition: another one keeps them.
  static Result<std::unique_ptr<NetworkKeeper>> Open(Options options);
  // The networks stay.
  ~NetworkKeeper() override;

  Status Put(DesiredNetwork desired) override;
  bool JoinsLinks() const override { return options_.means.driver == Driver::kOvs; }
  bool ServesNames() const override { return !options_.means.names_program.empty(); }
  bool NeedsChecksums() const override { return needs_checksums_; }
  Result<FabricKeys> KeysOfFabric() override;
  // What would be changed now. Of what is to be: absent for what should be already.
  Result<PlannedChanges> Plan(const std::optional<DesiredNetwork>& desired);
  State Look() const;
  // The host's keys of the fabric, which are made when it has none, and how its part of it is.
  Result<FabricView> LookAtFabric();
  const Means& means() const { return options_.means; }

 private:
  explicit NetworkKeeper(Options options);
  void Run();
  // REQUIRES of what follows: mutex_ is held.
  void HearOut();  // By the thread of Run.
  Status TakeOver();
  Status ReadFileAgain();
  void LookAgain();
  // Tells the listener, too.
  Status Make(bool asked);
  Status MakeSo(bool asked, Event* event);
  // The listener, once, of forwards that somebody waits for to have no connections any more.
  void TellOfDrained();
  // What should be, but for targets that take no connections.
  DesiredNetwork Reachable() const;
  bool KeysChange() const;
  std::string KeptPath() const { return options_.run_dir + "/networks"; }

  const Options options_;
  UniqueFd lock_;  // Set by Open, as what follows.
  bool needs_checksums_ = false;
  std::unique_ptr<NetworkWatch> watch_;
  std::unique_ptr<HealthChecker> health_;
  std::atomic<bool> targets_changed_ = false;  // Some of balanced forwards are up or down now.
  mutable std::mutex mutex_;                   // Guards what follows.
  std::unique_ptr<HostNetwork> network_;
  State state_;
  std::string file_text_;              // As it was followed last…
  std::optional<Error> file_problem_;  // …and why it is not as it is now.
  std::set<std::string> drained_;      // Forwards without connections, that were told of.
  bool look_soon_ = false;             // Something was heard while a look was under way.
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace strata::net
