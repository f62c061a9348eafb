// World: hosts, masters and their records, with what is between them, in the time of one queue.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/sim_host.h"
#include "tests/sim/sim_master.h"
#include "tests/unit/vclusterd/test_users.h"

namespace strata::sim {

struct WorldOptions {
  uint64_t seed = 1;
  unsigned hosts = 3;    // "h1", …
  unsigned masters = 1;  // "m1", …
  vcluster::PlacerOptions placer{4, 2};
  uint32_t owner_nodes_max = UINT32_MAX;
  Mistake mistake = Mistake::kNone;
};

class World {
 public:
  explicit World(const WorldOptions& options);
  ~World();

  EventQueue events;
  Random random;
  Network network;
  Truth truth;
  std::unique_ptr<records::RecordStore> store;
  std::unique_ptr<records::RecordStore> user_records;
  vcluster::TestUsers users;
  // Of every commit; absent: it is made.
  FaultyStore::Fate fate;
  FaultyStore::Made made;
  std::vector<std::unique_ptr<SimHost>> hosts;
  std::vector<std::unique_ptr<SimMaster>> masters;

  void Start();
  // nullptr: nobody leads who can be asked.
  SimMaster* Leader();
  bool Failed() const { return truth.failure().has_value(); }
  // Until `so` says nothing; its last words after `most`.
  std::optional<std::string> Await(const std::function<std::string()>& so, Duration most);
  // What is not as the records want it, or is nobody's.
  std::string Unsettled();
  // What there is still when everything was deleted.
  std::string Left();

 private:
  void MakeMasters(const WorldOptions& world);
  void MakeHosts(const WorldOptions& world);
  std::string UnsettledNode(const vcluster::VclusterView& view, const master::v1::Node& node);
};

}  // namespace strata::sim
