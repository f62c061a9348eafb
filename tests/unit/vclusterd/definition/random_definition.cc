#include "tests/unit/vclusterd/definition/random_definition.h"

#include <algorithm>
#include <random>

namespace strata::vcluster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Texts that a careless writer of YAML gets wrong.
constexpr const char* kTexts[] = {"",
                                  " ",
                                  "~",
                                  "null",
                                  "True",
                                  "no",
                                  "0x1f",
                                  "1e5",
                                  "12",
                                  "4G",
                                  "30s",
                                  "1:30",
                                  "2026-12-31",
                                  "- a",
                                  "a: b",
                                  "a:",
                                  "a:b",
                                  "# not a comment",
                                  "a # b",
                                  "&a",
                                  "*a",
                                  "!a",
                                  "@a",
                                  "%a",
                                  "|",
                                  ">",
                                  "{a}",
                                  "[a, b]",
                                  "a, b",
                                  "'quoted'",
                                  "\"quoted\"",
                                  "back\\slash",
                                  "größe 中文 😀",
                                  " leading",
                                  "trailing ",
                                  "tab\tinside",
                                  "\ttab",
                                  "two\nlines",
                                  "two\nlines\n",
                                  "\nfirst empty",
                                  "last empty\n\n",
                                  "in\n\nbetween",
                                  "  indented\nless",
                                  "if true; then\n  echo \"$A\"\nfi\n",
                                  "blank at end \nx",
                                  "---",
                                  "...",
                                  "a\n---\nb",
                                  "a\n...\nb\n",
                                  "spark://master-0:7077",
                                  "?",
                                  "? a",
                                  "<<",
                                  "=",
                                  "-",
                                  "\xe2\x80\xa8 separator",
                                  "\xef\xbb\xbf mark"};

class Source {
 public:
  explicit Source(uint64_t seed) : random_(seed) {}

  // From `min` to `max`, both included.
  template <typename T>
  T Number(T min, T max) {
    return std::uniform_int_distribution<T>(min, max)(random_);
  }
  bool OneIn(int n) { return Number(1, n) == 1; }
  template <typename T>
  T OneOf(const std::vector<T>& values) {
    return values[Number<size_t>(0, values.size() - 1)];
  }
  std::string Text() { return kTexts[Number<size_t>(0, std::size(kTexts) - 1)]; }
  double Real(double min, double max) {
    if (OneIn(2)) return std::floor(std::uniform_real_distribution(min, max)(random_)) + 1;
    return std::uniform_real_distribution(min, max)(random_);
  }
  // Round ones too, which are written with units.
  uint64_t Size(uint64_t min, uint64_t max) {
    const uint64_t size = Number(min, max);
    return OneIn(2) ? std::max(min, size >> 20 << 20) : size;
  }
  seconds Duration(int64_t min, int64_t max) {
    const int64_t count = Number(min, max);
    return seconds(OneIn(2) ? std::max(min, count / 3600 * 3600) : count);
  }
  std::vector<std::string> Command() {
    std::vector<std::string> argv = {"/bin/sh", "-c", Text()};
    if (OneIn(3)) argv = {"run"};
    while (OneIn(2)) argv.push_back(Text());
    return argv;
  }
  // Some of `names`, in any order.
  std::vector<std::string> Some(std::vector<std::string> names) {
    std::shuffle(names.begin(), names.end(), random_);
    names.resize(Number<size_t>(0, names.size()));
    return names;
  }

 private:
  std::mt19937_64 random_;
};

Limits RandomLimits(Source& source) {
  Limits limits;
  if (source.OneIn(2)) limits.cpus = source.Real(0.01, 4000);
  if (source.OneIn(2)) limits.memory_bytes = source.Size(4 << 20, 1ull << 50);
  if (source.OneIn(2)) limits.processes = source.Number<uint64_t>(8, 4'194'304);
  if (source.OneIn(3)) limits.disk_bytes = source.Size(16 << 20, 1ull << 50);
  if (source.OneIn(8)) limits.disk_bytes = 0;
  if (source.OneIn(3)) limits.network_bits_per_s = source.Number<uint64_t>(8, 1'000'000) * 1000;
  if (source.OneIn(3)) limits.io_bytes_per_s = source.Size(64 << 10, 1ull << 50);
  return limits;
}

std::optional<Hook> RandomHook(Source& source) {
  if (source.OneIn(2)) return std::nullopt;
  Hook hook{source.Command()};
  if (source.OneIn(2)) hook.timeout = source.Duration(1, 86'400);
  return hook;
}

std::optional<ReadyCheck> RandomReady(Source& source) {
  if (source.OneIn(2)) return std::nullopt;
  ReadyCheck ready;
  if (source.OneIn(2)) {
    ready.argv = source.Command();
  } else {
    ready.tcp_port = source.Number<uint16_t>(1, 65535);
  }
  if (source.OneIn(2)) ready.timeout = source.Duration(4000, 86'400);
  if (source.OneIn(2)) ready.every = milliseconds(source.Number(100, 100'000));
  return ready;
}

std::optional<Autoscale> RandomAutoscale(Source& source) {
  if (source.OneIn(2)) return std::nullopt;
  Autoscale scale;
  scale.min = source.Number(1u, 5u);
  scale.max = source.Number(scale.min, 20u);
  if (source.OneIn(2)) {
    scale.cpu_percent = source.Real(1, 99);
  } else {
    scale.argv = source.Command();
    scale.target_per_node = source.Real(0.001, 1e6);
  }
  if (source.OneIn(2)) scale.every = source.Duration(1, 3600);
  if (source.OneIn(2)) scale.shrink_after = source.Duration(1, 86'400);
  return scale;
}

std::optional<ScaleFromNodes> RandomScaleFromNodes(Source& source) {
  if (source.OneIn(2)) return std::nullopt;
  ScaleFromNodes scale;
  if (source.OneIn(2)) scale.min = source.Number(0u, 5u);
  if (source.OneIn(2)) scale.max = source.Number(5u, 250u);
  return scale;
}

void AddPlacement(Source& source, const std::vector<std::string>& roles, Placement* placement) {
  placement->rank = source.OneOf<Rank>({Rank::kLeastRequested, Rank::kPack, Rank::kSpread});
  for (const std::string& role : source.Some(roles)) {
    (source.OneIn(2) ? placement->near : placement->apart).push_back(role);
  }
  placement->strict = source.OneIn(2);
  placement->require = source.Some({"ssd", "gpu=a100", "no", "12", "rack/7"});
  if (source.OneIn(2)) placement->priority = source.Number(-100, 100);
}

void AddMounts(Source& source, const Definition& definition, Role* role) {
  std::vector<std::string> volumes = {"home"};
  for (const Volume& volume : definition.volumes) volumes.push_back(volume.name);
  for (const char* path : {"/srv/data", "/home/me", "/opt/with space", "/größe"}) {
    if (source.OneIn(3)) role->volumes.push_back({source.OneOf(volumes), path, source.OneIn(2)});
  }
}

void AddPorts(Source& source, Role* role, uint16_t* next_host_port) {
  const bool may_choose = role->count <= 1 && (!role->autoscale || role->autoscale->max == 1);
  for (uint16_t port = 80; port < 83; ++port) {
    if (source.OneIn(2)) continue;
    PortForward& forward = role->ports.emplace_back();
    forward.node_port = port;
    forward.balance =
        source.OneOf<Balance>({Balance::kNone, Balance::kRoundRobin, Balance::kSticky});
    const bool may_name = may_choose || forward.balance != Balance::kNone;
    if (may_name && source.OneIn(2)) forward.host_port = (*next_host_port)++;
    forward.protocol = source.OneOf<Protocol>({Protocol::kTcp, Protocol::kUdp});
  }
}

void AddAccept(Source& source, const std::vector<std::string>& roles, Role* role) {
  if (source.OneIn(2)) return;
  role->accept.emplace();
  while (!source.OneIn(3)) {
    Accept& accept = role->accept->emplace_back();
    std::vector<std::string> from = source.Some(roles);
    if (source.OneIn(4)) from.push_back("outside");
    if (!from.empty()) accept.from = from;
    for (auto* ports : {&accept.tcp, &accept.udp}) {
      while (source.OneIn(3)) {
        const auto first = source.Number<uint16_t>(1, 60'000);
        ports->push_back({first, source.OneIn(2) ? first : source.Number<uint16_t>(first, 65'535)});
      }
    }
    accept.icmp = source.OneIn(3);
  }
}

void FillRole(Source& source, const Definition& definition, const std::vector<std::string>& all,
              size_t index, uint16_t* next_host_port, Role* role) {
  role->name = all[index];
  role->image =
      source.OneOf<std::string>({"debian", "alice/spark:3.5", "12", "true", "a@0123abcd"});
  while (source.OneIn(4))
    role->images.push_back(source.OneOf<std::string>({"true", "b/x@0123abcd"}));
  role->limits = RandomLimits(source);
  for (const char* name : {"A", "B_2", "yes", "_"}) {
    if (source.OneIn(2)) role->env[name] = source.Text();
  }
  if (source.OneIn(2)) role->command = source.Command();
  role->hooks = {RandomHook(source), RandomHook(source), RandomHook(source)};
  role->ready = RandomReady(source);
  role->after = source.Some({all.begin(), all.begin() + static_cast<ptrdiff_t>(index)});
  role->autoscale = RandomAutoscale(source);
  role->count = role->autoscale ? source.Number(role->autoscale->min, role->autoscale->max)
                                : source.Number(1u, 4u);
  AddPorts(source, role, next_host_port);
  AddAccept(source, all, role);
  AddMounts(source, definition, role);
  AddPlacement(source, all, &role->placement);
  role->restart = source.OneOf<RestartPolicy>(
      {RestartPolicy::kOnFailure, RestartPolicy::kAlways, RestartPolicy::kNever});
  role->host_loss = source.OneOf<HostLoss>({HostLoss::kWait, HostLoss::kRecreate});
  role->migration = source.OneOf<MigrationPolicy>(
      {MigrationPolicy::kAuto, MigrationPolicy::kStopStart, MigrationPolicy::kNever});
  role->scale_from_nodes = RandomScaleFromNodes(source);
  role->scale_in = source.OneOf<ScaleIn>({ScaleIn::kNewest, ScaleIn::kOldest, ScaleIn::kIdlest});
}

}  // namespace

Definition RandomDefinition(uint64_t seed) {
  Source source(seed);
  Definition definition;
  definition.name = source.OneOf<std::string>({"spark", "a", "no", "true", "null", "class-lab-2"});
  if (source.OneIn(2)) definition.description = source.Text();
  for (const std::string& name : source.Some({"data", "n", "on", "scratch-2"})) {
    definition.volumes.push_back({name});
  }
  definition.peers = source.Some({"storage", "b-2", "alice/lab", "_x/y"});
  // Larger than all that the roles may become.
  if (source.OneIn(3)) definition.nodes_max = static_cast<uint32_t>(source.Number(200, 249));
  if (source.OneIn(3)) {
    definition.lifetime = source.Duration(60, 86'400 * 3000);
  } else if (source.OneIn(2)) {
    definition.expires =
        std::chrono::sys_seconds(seconds(source.Number(1'000'000'000L, 9'000'000'000L)));
  }
  if (source.OneIn(2)) definition.on_expiry = ExpiryAction::kDelete;
  if (source.OneIn(2)) definition.idle_stop = source.Duration(60, 86'400);
  std::vector<std::string> names = {"master", "worker", "y", "null", "roles", "gpu-2"};
  if (source.OneIn(3)) names = {std::string(kDefaultRole)};
  names.resize(source.Number<size_t>(1, names.size()));
  uint16_t next_host_port = 8000;
  for (size_t i = 0; i < names.size(); ++i) {
    FillRole(source, definition, names, i, &next_host_port, &definition.roles.emplace_back());
  }
  return definition;
}

}  // namespace strata::vcluster
