#include "tests/sim/world.h"

#include "vclusterd/master/tables.h"

namespace strata::sim {

using vcluster::VclusterView;

World::World(const WorldOptions& options)
    : random(options.seed),
      network(events, random),
      truth(options.placer, options.owner_nodes_max),
      store(records::MakeMemoryRecordStore(vcluster::DesiredTables())),
      user_records(records::MakeMemoryRecordStore(vcluster::DesiredTables())),
      users(*user_records) {
  MakeMasters(options);
  MakeHosts(options);
}

World::~World() {
  for (const auto& master : masters) master->Kill();
}

void World::Start() {
  for (const auto& master : masters) master->Start();
  for (const auto& host : hosts) host->StartWorker();
}

void World::MakeMasters(const WorldOptions& world) {
  for (unsigned i = 1; i <= world.masters; ++i) {
    SimMasterOptions options;
    options.name = "m" + std::to_string(i);
    options.placer = world.placer;
    options.owner_nodes_max = world.owner_nodes_max;
    options.mistake = world.mistake;
    masters.push_back(std::make_unique<SimMaster>(
        options, events, random, network, *store, *users,
        [this](const auto& changes) { return fate ? fate(changes) : CommitFate::kMade; },
        [this](const auto& changes) {
          truth.Made(changes);
          if (made) made(changes);
        },
        [this](const std::string& name) -> SimHost* {
          for (const auto& host : hosts) {
            if (host->name() == name && host->up()) return host.get();
          }
          return nullptr;
        }));
  }
}

void World::MakeHosts(const WorldOptions& world) {
  for (unsigned i = 1; i <= world.hosts; ++i) {
    SimHostOptions options;
    options.name = "h" + std::to_string(i);
    options.capacity.set_cpus(8);
    options.capacity.set_memory_bytes(uint64_t{16} << 30);
    options.capacity.set_disk_bytes(uint64_t{1} << 40);
    for (const auto& master : masters) options.masters.push_back(master->name());
    options.mistake = world.mistake;
    hosts.push_back(std::make_unique<SimHost>(options, events, random, network, truth,
                                              [this](const std::string& name) -> MasterPort* {
                                                for (const auto& master : masters) {
                                                  if (master->name() == name && master->up())
                                                    return master.get();
                                                }
                                                return nullptr;
                                              }));
  }
}

SimMaster* World::Leader() {
  for (const auto& master : masters) {
    if (master->master() != nullptr && master->master()->Leads() && !master->Stalls()) {
      return master.get();
    }
  }
  return nullptr;
}

std::optional<std::string> World::Await(const std::function<std::string()>& so, Duration most) {
  const Time end = events.now() + most;
  std::string last = "?";
  while (!Failed() && events.now() < end) {
    events.RunUntil(events.now() + seconds(1), [this] { return Failed(); });
    last = so();
    if (last.empty()) return std::nullopt;
  }
  return last;
}

std::string World::UnsettledNode(const VclusterView& view, const master::v1::Node& node) {
  const std::string text = view.vcluster->record.name() + "/" + view.vcluster->NodeName(node);
  if (node.leaving()) return text + " has not left";
  if (node.host().empty()) return text + " has no place";
  const auto where = truth.containers().find({view.vcluster->record.number(), node.index()});
  const auto state = view.states.find(node.index());
  if (state == view.states.end()) return text + ": nothing is known of it";
  if (!node.wanted()) {
    return where == truth.containers().end() ? "" : text + " runs and should not";
  }
  // Its role says that it is not started again by itself.
  if (view.vcluster->RoleOf(node)->restart == vcluster::RestartPolicy::kNever &&
      state->second.state() == host::v1::BREAKDOWN) {
    return "";
  }
  // What it comes after does not run, for that reason.
  if (state->second.state() == host::v1::STOPPED &&
      !vcluster::RolesThatMayStart(*view.vcluster, view.states).contains(node.role())) {
    return "";
  }
  if (where == truth.containers().end() || !where->second.contains(node.host())) {
    return text + " does not run on " + node.host() + ": " +
           host::v1::NodeState_Name(state->second.state());
  }
  const Container& container = where->second.at(node.host());
  if (container.frozen) return text + " is frozen";
  if (container.incarnation != node.incarnation()) return text + " is of another incarnation";
  if (where->second.size() > 1) return text + " is on more hosts than one";
  return state->second.state() == host::v1::READY ? "" : text + " is not ready";
}

std::string World::Unsettled() {
  SimMaster* leader = Leader();
  if (leader == nullptr) return "nobody leads";
  for (const auto& master : masters) {
    if (master->operations() > 0) return "an operation has not ended";
  }
  size_t expected = 0;
  for (const VclusterView& view : leader->master()->All()) {
    const master::v1::Vcluster& record = view.vcluster->record;
    if (record.phase() != master::v1::LIVE) {
      return record.name() + " is " + master::v1::Phase_Name(record.phase());
    }
    // It needs more than there is, and says so.
    const bool full = view.problem.has_value() && view.problem->code() == Code::kResourceExhausted;
    if (view.problem.has_value() && !full) {
      return record.name() + ": " + view.problem->message();
    }
    for (const master::v1::Node& node : record.nodes()) {
      if (full && node.host().empty()) continue;
      if (std::string unsettled = UnsettledNode(view, node); !unsettled.empty()) return unsettled;
      if (truth.containers().contains({record.number(), node.index()})) ++expected;
    }
  }
  if (truth.containers().size() != expected) return "there are nodes of nothing";
  return "";
}

std::string World::Left() {
  for (const auto& host : hosts) {
    if (!host->IsEmpty()) return "left behind on " + host->Contents();
  }
  if (!truth.vclusters().empty()) return "there are still records";
  return "";
}

}  // namespace strata::sim
