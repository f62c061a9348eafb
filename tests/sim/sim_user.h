// SimUser: what users and administrators ask for at random, by Clusters, as the service does.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/sim/sim_master.h"

namespace strata::sim {

struct SimUserOptions {
  unsigned names = 4;  // Of Vclusters, for each of two users.
  unsigned nodes_max = 8;
  std::vector<std::string> hosts;
};

class SimUser {
 public:
  SimUser(SimUserOptions options, EventQueue& events, Random& random, Truth& truth,
          std::function<void(const std::string&)> trace);

  // Begins an operation; it ends with the leader or by itself.
  void Operate(SimMaster& leader);
  void CreateFirst(SimMaster& leader, const std::string& name, unsigned nodes);
  void DeleteAll(SimMaster& leader);

  uint64_t failed() const { return failed_; }
  // Those that have not ended.
  std::string Open() const;

 private:
  using Work = std::function<Status(vcluster::Clusters&, const CancelToken&)>;
  // `what`: for people.
  void Begin(SimMaster& leader, const std::string& what, bool may_cancel, Work work);
  vcluster::Definition AnyDefinition(const std::string& name);
  Work AnyWork(const vcluster::Caller& user, const std::string& name, std::string* what);

  const SimUserOptions options_;
  EventQueue& events_;
  Random& random_;
  Truth& truth_;
  const std::function<void(const std::string&)> trace_;
  uint64_t begun_ = 0;
  uint64_t failed_ = 0;
  std::map<uint64_t, std::string> open_;
};

}  // namespace strata::sim
