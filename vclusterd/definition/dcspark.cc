#include "vclusterd/definition/dcspark.h"

#include <algorithm>
#include <cmath>

namespace strata::vcluster::file {
namespace {

// What the images have in their PATH (docs/examples/spark), and the variables that it and Spark's
// own scripts read.
constexpr char kStart[] = "start-spark";
constexpr char kMasterHost[] = "SPARK_MASTER_HOST";
constexpr char kWorkerCores[] = "SPARK_WORKER_CORES";
constexpr char kWorkerMemory[] = "SPARK_WORKER_MEMORY";
constexpr char kFirstMaster[] = "master-0";
// Spark's defaults: where a master takes workers and jobs, and a worker's page, which is there as
// soon as the worker is.
constexpr uint16_t kMasterPort = 7077;
constexpr uint16_t kWorkerPort = 8081;
// A Java on a busy host takes its time.
constexpr std::chrono::minutes kStartMax(5);

// One of the three parts: {"cpu": 2, "memory": "4G"}, and for workers {"number": 6}.
void ReadPart(FieldReader& in, const Field& field, Role* role) {
  in.Place("roles." + role->name, field);
  const auto place = [&](const char* key, const Field& f) {
    in.Place("roles." + role->name + "." + key, f);
  };
  std::vector<Key> keys = {
      {"cpu",
       [&](const Field& f) {
         place("limits.cpus", f);
         in.Number(f, &role->limits.cpus);
       }},
      {"memory",
       [&](const Field& f) {
         place("limits.memory", f);
         in.Bytes(f, &role->limits.memory_bytes);
       }},
      {"image",
       [&](const Field& f) {
         place("image", f);
         in.Text(f, &role->image);
       }},
  };
  std::vector<std::string_view> needed = {"cpu", "memory"};
  if (role->name == "worker") {
    needed.push_back("number");
    keys.push_back({"number", [&](const Field& f) {
                      place("count", f);
                      in.Integer(f, &role->count);
                    }});
  }
  in.Map(field, keys);
  if (field.value->kind != Value::Kind::kMap) return;
  for (const std::string_view key : needed) {
    if (field.value->Find(key) == nullptr) in.Fault(field, "has no '" + std::string(key) + "'");
  }
}

// Nodes do not run what a Dockerfile's CMD says, so the role does.
void StartSpark(uint16_t port, Role* role) {
  role->command = {kStart, role->name};
  role->ready = ReadyCheck();
  role->ready->tcp_port = port;
  role->ready->timeout = kStartMax;
}

Role MakeRole(const std::string& name, Rank rank) {
  Role role;
  role.name = name;
  role.image = "dcspark-" + name;  // The paper's images, in lower case.
  role.placement.rank = rank;
  role.env[kMasterHost] = kFirstMaster;
  if (name != "master") role.after = {"master"};
  return role;
}

// What a worker may give to jobs: without it Spark takes its host's memory for its own. As Spark
// does of a machine's, a GiB is kept for everything else, but not more than half.
std::string MemoryForJobs(uint64_t node_bytes) {
  const uint64_t mib = node_bytes >> 20;
  return std::to_string(mib - std::min<uint64_t>(mib / 2, 1024)) + "m";
}

}  // namespace

bool IsDcspark(const Value& root) {
  return std::any_of(root.entries.begin(), root.entries.end(), [](const Entry& entry) {
    const bool part = entry.key == "master" || entry.key == "driver" || entry.key == "worker";
    return part && (entry.value.Find("cpu") != nullptr || entry.value.Find("memory") != nullptr);
  });
}

Definition ReadDcspark(FieldReader& in) {
  Definition definition;
  definition.name = "dcspark";
  // Ranked as the paper's scheduler does (section 4.4).
  Role master = MakeRole("master", Rank::kLeastRequested);
  Role driver = MakeRole("driver", Rank::kLeastRequested);
  Role worker = MakeRole("worker", Rank::kPack);
  // Nothing runs in the driver until somebody submits a job there.
  StartSpark(kMasterPort, &master);
  StartSpark(kWorkerPort, &worker);
  const Field root = in.root();
  // The image for all comes first, wherever it stands: a part's own is stronger.
  if (const Value* image = root.value->Find("image"); image != nullptr) {
    std::string name;
    in.Text({image, image->at, "image", "roles.*.image"}, &name);
    for (Role* role : {&master, &driver, &worker}) role->image = name;
  }
  in.Map(root, {{"name", [&](const Field& f) { in.Text(f, &definition.name); }},
                {"description", [&](const Field& f) { in.Text(f, &definition.description, true); }},
                {"image", [&](const Field& f) { in.Place("roles.*.image", f); }},
                {"master", [&](const Field& f) { ReadPart(in, f, &master); }},
                {"driver", [&](const Field& f) { ReadPart(in, f, &driver); }},
                {"worker", [&](const Field& f) { ReadPart(in, f, &worker); }}});
  for (const char* part : {"master", "driver", "worker"}) {
    if (root.value->Find(part) == nullptr) {
      in.Fault(root, "has no '" + std::string(part) +
                         "', which DCSpark's JSON must have (in a Vcluster file it would be below "
                         "'roles:')");
    }
  }
  const double cores = std::clamp(std::floor(worker.limits.cpus), 1.0, 4096.0);
  worker.env[kWorkerCores] = std::to_string(static_cast<int>(cores));
  if (worker.limits.memory_bytes > 0) {
    worker.env[kWorkerMemory] = MemoryForJobs(worker.limits.memory_bytes);
  }
  definition.roles = {std::move(master), std::move(driver), std::move(worker)};
  return definition;
}

}  // namespace strata::vcluster::file
