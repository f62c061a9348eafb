// SimMaster: the process of a master in a simulation: the real Leadership, Master, HostSessions and
// Clusters, which have no threads here.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/faulty_store.h"
#include "tests/sim/fiber.h"
#include "tests/sim/network.h"
#include "tests/sim/sim_host.h"
#include "vclusterd/master/clusters.h"
#include "vclusterd/master/leadership.h"
#include "vclusterd/remote/master_service.h"

namespace strata::sim {

struct SimMasterOptions {
  std::string name;
  vcluster::PlacerOptions placer;
  uint32_t owner_nodes_max = UINT32_MAX;  // The quota of every owner.
  milliseconds every{10'000};
  milliseconds takeover_after{6000};
  milliseconds lost_after{15'000};
  milliseconds recreate_after{60'000};
  Mistake mistake = Mistake::kNone;
};

class SimMaster final : public MasterPort {
 public:
  using FindHost = std::function<SimHost*(const std::string& name)>;

  SimMaster(SimMasterOptions options, EventQueue& events, Random& random, Network& network,
            records::RecordStore& store, vcluster::Users& users, FaultyStore::Fate fate,
            FaultyStore::Made made, FindHost find_host);
  ~SimMaster() override { Kill(); }

  const std::string& name() const { return options_.name; }
  bool up() const { return leadership_ != nullptr; }
  FaultyStore& store() { return *store_; }
  // nullptr: it does not lead.
  vcluster::Master* master() { return master_; }

  void Start();
  // kill -9: whatever it was doing changes nothing any more.
  void Kill();
  // It ends as an administrator ends it.
  void Stop();
  // SIGSTOP: it does nothing for so long, and then everything that came meanwhile.
  void Stall(milliseconds time);
  bool Stalls() const { return events_.now() < awake_from_; }

  // A user's operation. REQUIRES: it leads.
  void Operate(std::function<void(vcluster::Clusters&)> work);
  size_t operations() const { return operations_.size(); }

  void Hello(const std::string& host, std::shared_ptr<const host::v1::HelloRequest> request,
             HelloAnswer answer) override;
  void Report(const std::string& host, std::shared_ptr<const host::v1::ReportRequest> request,
              ReportAnswer answer) override;

 private:
  // When it is awake, as long as the process lives.
  void Later(milliseconds delay, std::function<void()> what);
  void Won(vcluster::Master& master);
  void Lost(vcluster::Master& master);
  void Beat();
  void LookAtSessions();
  // Soon: what is to be done after any change.
  void Pump();
  void PumpNow();
  void Send(vcluster::Master::Dispatch dispatch);
  void ContinueOperations();
  void Wake();

  const SimMasterOptions options_;
  EventQueue& events_;
  Random& random_;
  Network& network_;
  records::RecordStore& shared_store_;
  vcluster::Users& users_;
  const FaultyStore::Fate fate_;
  const FaultyStore::Made made_;
  const FindHost find_host_;
  uint64_t processes_ = 0;
  Time awake_from_;
  std::vector<std::function<void()>> waiting_;  // For its end of stalling.
  bool pump_asked_ = false;
  std::unique_ptr<FaultyStore> store_;
  vcluster::Master* master_ = nullptr;  // While it leads.
  std::shared_ptr<vcluster::HostSessions> sessions_;
  std::shared_ptr<vcluster::Clusters> clusters_;
  std::vector<std::unique_ptr<Fiber>> operations_;
  std::unique_ptr<vcluster::Leadership> leadership_;
};

}  // namespace strata::sim
