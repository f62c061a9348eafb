#include <algorithm>
#include <cmath>
#include <set>

#include "common/byte_size.h"
#include "common/printable.h"
#include "vclusterd/definition/document.h"
#include "vclusterd/definition/faults.h"
#include "vclusterd/definition/units.h"
#include "vclusterd/definition/words.h"

namespace strata::vcluster {
namespace {

using file::Fault;
using file::kTextBytesMax;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr double kCpusMin = 0.01;  // A millisecond in each tenth of a second.
constexpr double kCpusMax = 4096;
constexpr uint64_t kMemoryMin = 4ull << 20;
constexpr uint64_t kDiskMin = 16ull << 20;  // As layerfs/volume/volume_store.h.
constexpr uint64_t kSizeMax = 1ull << 50;
constexpr uint64_t kProcessesMin = 8;
constexpr uint64_t kProcessesMax = 4'194'304;
constexpr uint64_t kNetworkMin = 8'000;
constexpr uint64_t kNetworkMax = 1'000'000'000'000;
constexpr uint64_t kIoMin = 64ull << 10;

constexpr size_t kEnvMax = 256;
constexpr size_t kEnvNameMax = 128;
constexpr size_t kEnvBytesMax = 64 << 10;  // Of all of them.
constexpr size_t kWordsMax = 256;          // Of a command.
constexpr size_t kListMax = 64;            // Ports, volumes, labels and so on of a role.
constexpr size_t kLabelMax = 64;
constexpr size_t kImagePartMax = 128;
constexpr size_t kPathMax = 255;
constexpr seconds kDay{86'400};

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlphanumeric(char c) { return IsLetter(c) || IsDigit(c); }

// Letters, digits and `others`, with a letter or digit first.
bool IsWord(std::string_view text, std::string_view others, size_t size_max) {
  return !text.empty() && text.size() <= size_max && IsAlphanumeric(text[0]) &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return IsAlphanumeric(c) || others.find(c) != std::string_view::npos;
         });
}

// [OWNER/]NAME[:TAG] or [OWNER/]NAME@DIGEST, as imaged takes them.
bool IsImage(std::string_view text) {
  const auto is_part = [](std::string_view part) { return IsWord(part, "._-", kImagePartMax); };
  if (const size_t slash = text.find('/'); slash != std::string_view::npos) {
    if (!is_part(text.substr(0, slash))) return false;
    text.remove_prefix(slash + 1);
  }
  const size_t mark = text.find_first_of(":@");
  if (!is_part(text.substr(0, mark))) return false;
  if (mark == std::string_view::npos) return true;
  std::string_view rest = text.substr(mark + 1);
  if (text[mark] == ':') return is_part(rest);
  if (rest.starts_with("blake3:")) rest.remove_prefix(7);
  return rest.size() >= 8 && rest.size() <= 64 &&
         rest.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Collects faults; the reason for an unusual `T` is worded by the caller.
class Collector {
 public:
  void Add(std::string path, std::string reason) {
    faults_.push_back({std::move(path), std::move(reason)});
  }
  // `text` writes a number as the file does.
  template <typename T, typename Text>
  void Range(const std::string& path, T value, T min, T max, Text text) {
    if (value < min) Add(path, text(value) + " is too little: at least " + text(min));
    if (value > max) Add(path, text(value) + " is too much: at most " + text(max));
  }
  // 0 is no limit.
  template <typename T, typename Text>
  void Limit(const std::string& path, T value, T min, T max, Text text) {
    if (value != 0) Range(path, value, min, max, text);
  }
  void Duration(const std::string& path, milliseconds value, milliseconds min, milliseconds max) {
    Range(path, value, min, max, DurationText);
  }
  template <typename T>
  bool Count(const std::string& path, const T& list, size_t max) {
    if (list.size() <= max) return true;
    Add(path, "has " + std::to_string(list.size()) + " entries: at most " + std::to_string(max));
    return false;
  }
  void Plain(const std::string& path, const std::string& text) {
    if (text.size() > kTextBytesMax) {
      Add(path, "has " + std::to_string(text.size()) + " bytes: at most " +
                    std::to_string(kTextBytesMax));
    } else if (PrintablePrefix(text, "\n\t") != text.size()) {
      Add(path, "holds control characters, or is no UTF-8");
    }
  }
  void Command(const std::string& path, const std::vector<std::string>& argv) {
    if (!Count(path, argv, kWordsMax)) return;
    if (!argv.empty() && argv[0].empty()) Add(path, "begins with an empty word: no command");
    for (const std::string& word : argv) Plain(path, word);
  }

  std::vector<Fault> Take() { return std::move(faults_); }

 private:
  std::vector<Fault> faults_;
};

std::string NumberText(double value) {
  char text[64];
  std::snprintf(text, sizeof(text), "%g", value);
  return text;
}
std::string CountText(uint64_t value) { return std::to_string(value); }
std::string Indexed(const std::string& path, size_t index) {
  return path + "[" + std::to_string(index) + "]";
}

void CheckLimitsOf(const Limits& limits, Collector* out) {
  if (!std::isfinite(limits.cpus)) {
    out->Add("limits.cpus", "is no number");
  } else {
    out->Limit("limits.cpus", limits.cpus, kCpusMin, kCpusMax, NumberText);
  }
  out->Limit("limits.memory", limits.memory_bytes, kMemoryMin, kSizeMax, ExactBytes);
  out->Limit("limits.disk", limits.disk_bytes.value_or(0), kDiskMin, kSizeMax, ExactBytes);
  out->Limit("limits.processes", limits.processes, kProcessesMin, kProcessesMax, CountText);
  out->Limit("limits.network", limits.network_bits_per_s, kNetworkMin, kNetworkMax, BitRateText);
  out->Limit("limits.io", limits.io_bytes_per_s, kIoMin, kSizeMax, ExactBytes);
}

void CheckEnv(const Role& role, Collector* out) {
  if (!out->Count("env", role.env, kEnvMax)) return;
  size_t bytes = 0;
  for (const auto& [name, value] : role.env) bytes += name.size() + value.size();
  if (bytes > kEnvBytesMax) {
    out->Add("env", "has " + std::to_string(bytes) + " bytes in all: at most " +
                        std::to_string(kEnvBytesMax));
  }
  for (const auto& [name, value] : role.env) {
    const std::string path = "env." + name;
    const bool good =
        !name.empty() && name.size() <= kEnvNameMax && !IsDigit(name[0]) &&
        std::all_of(name.begin(), name.end(), [](char c) { return IsAlphanumeric(c) || c == '_'; });
    if (!good) {
      out->Add(path, "is no name of a variable: letters, digits and '_', with no digit first");
    }
    out->Plain(path, value);
  }
}

void CheckHook(const std::string& path, const std::optional<Hook>& hook, Collector* out) {
  if (!hook) return;
  if (hook->argv.empty()) out->Add(path, "has no command");
  out->Command(path, hook->argv);
  out->Duration(path + ".timeout", hook->timeout, seconds(1), kDay);
}

void CheckReady(const ReadyCheck& ready, Collector* out) {
  if (ready.argv.empty() == (ready.tcp_port == 0)) {
    out->Add("ready", ready.argv.empty() ? "says neither 'tcp' (a port) nor 'run' (a command)"
                                         : "says both 'tcp' and 'run': one of them is enough");
  }
  out->Command("ready", ready.argv);
  out->Duration("ready.every", ready.every, milliseconds(100), seconds(3600));
  out->Duration("ready.timeout", ready.timeout, seconds(1), kDay);
  if (ready.every > ready.timeout) {
    out->Add("ready.every", DurationText(ready.every) + " is longer than the timeout, " +
                                DurationText(ready.timeout));
  }
}

void CheckPorts(const Role& role, Collector* out) {
  if (!out->Count("ports", role.ports, kListMax)) return;
  const uint32_t most = std::max(role.count, role.autoscale ? role.autoscale->max : 0);
  std::set<std::pair<uint16_t, Protocol>> taken;
  for (size_t i = 0; i < role.ports.size(); ++i) {
    const PortForward& port = role.ports[i];
    const std::string path = Indexed("ports", i);
    if (port.node_port == 0) {
      out->Add(path, "has no port of the node (such as {node: 8080})");
    } else if (!taken.emplace(port.node_port, port.protocol).second) {
      out->Add(path, "forwards the node's port " + std::to_string(port.node_port) + " again");
    }
    if (port.host_port != 0 && most > 1 && port.balance == Balance::kNone) {
      out->Add(path, "one port of the host, " + std::to_string(port.host_port) + ", for up to " +
                         std::to_string(most) +
                         " nodes: leave 'host' out, and each gets a free one, or let it lead to " +
                         "all of them with 'balance'");
    }
  }
}

void CheckRanges(const std::string& path, const std::vector<PortRange>& ranges, Collector* out) {
  out->Count(path, ranges, kListMax);
  for (const PortRange& range : ranges) {
    if (range.first != 0 && range.first <= range.last) continue;
    out->Add(path, std::to_string(range.first) + "-" + std::to_string(range.last) +
                       " are no ports (such as 8000-8010)");
  }
}

void CheckAccept(const std::vector<Accept>& accept, Collector* out) {
  if (!out->Count("accept", accept, kListMax)) return;
  for (size_t i = 0; i < accept.size(); ++i) {
    const std::string path = Indexed("accept", i);
    if (accept[i].from.empty()) out->Add(path + ".from", "is an empty list: from nobody");
    CheckRanges(path + ".tcp", accept[i].tcp, out);
    CheckRanges(path + ".udp", accept[i].udp, out);
  }
}

// Empty: it may be mounted there.
std::string WhyNoMountPath(const std::string& path) {
  if (path.empty() || path[0] != '/') return "is not absolute (such as /srv/data)";
  if (path == "/") return "is the whole node";
  if (path.size() > kPathMax) return "has more than " + std::to_string(kPathMax) + " bytes";
  if (path.find(':') != std::string::npos || PrintablePrefix(path) != path.size()) {
    return "holds a ':' or control characters";
  }
  const std::string slashed = path + "/";
  if (slashed.find("//") != std::string::npos || slashed.find("/./") != std::string::npos ||
      slashed.find("/../") != std::string::npos) {
    return "is not in its shortest form: no '//', '.', '..' or '/' at the end";
  }
  for (const char* system : {"/proc/", "/sys/", "/dev/"}) {
    if (slashed.starts_with(system)) return "belongs to the system";
  }
  return "";
}

void CheckMounts(const Role& role, Collector* out) {
  if (!out->Count("volumes", role.volumes, kListMax)) return;
  for (size_t i = 0; i < role.volumes.size(); ++i) {
    const std::string& path = role.volumes[i].path;
    if (const std::string why = WhyNoMountPath(path); !why.empty()) {
      out->Add(Indexed("volumes", i), "the path " + Quoted(path) + " " + why);
      continue;
    }
    for (size_t earlier = 0; earlier < i; ++earlier) {
      const std::string& other = role.volumes[earlier].path;
      if (path == other) {
        out->Add(Indexed("volumes", i), "something is mounted at " + Quoted(path) + " already");
      } else if (other.starts_with(path + "/")) {
        out->Add(Indexed("volumes", i),
                 Quoted(path) + " would hide " + Quoted(other) + ": write it before that");
      }
    }
  }
}

void CheckPlacement(const Placement& placement, Collector* out) {
  if (out->Count("placement.require", placement.require, kListMax)) {
    std::set<std::string_view> seen;
    for (size_t i = 0; i < placement.require.size(); ++i) {
      const std::string& label = placement.require[i];
      const std::string path = Indexed("placement.require", i);
      if (!IsWord(label, "._=/-", kLabelMax)) {
        out->Add(path, Quoted(label) + " is no label of a host (such as ssd or gpu=a100)");
      }
      if (!seen.insert(label).second) out->Add(path, Quoted(label) + " is there twice");
    }
  }
  if (placement.priority < -100 || placement.priority > 100) {
    out->Add("placement.priority", std::to_string(placement.priority) + " is not from -100 to 100");
  }
}

void CheckAutoscale(const Role& role, const Autoscale& scale, Collector* out) {
  out->Range("autoscale.min", scale.min, 1u, kNodesMax, CountText);
  out->Range("autoscale.max", scale.max, 1u, kNodesMax, CountText);
  if (scale.min > scale.max) {
    out->Add("autoscale.max",
             std::to_string(scale.max) + " is less than min, " + std::to_string(scale.min));
  } else if (role.count < scale.min || role.count > scale.max) {
    out->Add("count", std::to_string(role.count) + " is not between autoscale's min and max, " +
                          std::to_string(scale.min) + " and " + std::to_string(scale.max));
  }
  const bool by_cpu = scale.cpu_percent != 0;
  if (by_cpu == !scale.argv.empty()) {
    out->Add("autoscale", by_cpu ? "says both 'cpu' and 'run': it follows one of them"
                                 : "says neither 'cpu' (percent) nor 'run' (a command)");
  }
  if (by_cpu && !(scale.cpu_percent >= 1 && scale.cpu_percent <= 100)) {
    out->Add("autoscale.cpu", NumberText(scale.cpu_percent) + " is no percentage from 1 to 100");
  }
  const bool has_target = scale.target_per_node != 0;
  if (has_target != !scale.argv.empty()) {
    out->Add("autoscale.target", has_target ? "is of no use without 'run'"
                                            : "is missing: what should the number be per node?");
  } else if (has_target && !(scale.target_per_node > 0 && scale.target_per_node <= 1e15)) {
    out->Add("autoscale.target", NumberText(scale.target_per_node) + " is not above 0");
  }
  out->Command("autoscale.run", scale.argv);
  out->Duration("autoscale.every", scale.every, seconds(1), seconds(3600));
  out->Duration("autoscale.shrink-after", scale.shrink_after, seconds(1), 7 * kDay);
}

void CheckScaleFromNodes(const ScaleFromNodes& scale, Collector* out) {
  out->Range("scale-from-nodes.min", scale.min, 0u, kNodesMax, CountText);
  out->Range("scale-from-nodes.max", scale.max, 1u, kNodesMax, CountText);
  if (scale.min > scale.max) {
    out->Add("scale-from-nodes.max",
             std::to_string(scale.max) + " is less than min, " + std::to_string(scale.min));
  }
}

}  // namespace

namespace file {

std::vector<Fault> FindFaultsOfRole(const Role& role) {
  Collector out;
  if (role.image.empty()) {
    out.Add("image", "is missing: which image are the nodes made from?");
  } else if (!IsImage(role.image)) {
    out.Add("image", Quoted(role.image) +
                         " is no name of an image (such as debian, alice/spark:3.5 or "
                         "alice/spark@DIGEST)");
  }
  if (out.Count("images", role.images, kNodesMax)) {
    for (size_t i = 0; i < role.images.size(); ++i) {
      if (IsImage(role.images[i])) continue;
      out.Add(Indexed("images", i), Quoted(role.images[i]) + " is no name of an image");
    }
  }
  CheckLimitsOf(role.limits, &out);
  CheckEnv(role, &out);
  out.Command("command", role.command);
  CheckHook("hooks.on-create", role.hooks.on_create, &out);
  CheckHook("hooks.on-destroy", role.hooks.on_destroy, &out);
  CheckHook("hooks.on-recovery", role.hooks.on_recovery, &out);
  if (role.ready) CheckReady(*role.ready, &out);
  CheckPorts(role, &out);
  if (role.accept) CheckAccept(*role.accept, &out);
  CheckMounts(role, &out);
  CheckPlacement(role.placement, &out);
  if (role.autoscale) CheckAutoscale(role, *role.autoscale, &out);
  if (role.scale_from_nodes) CheckScaleFromNodes(*role.scale_from_nodes, &out);
  return out.Take();
}

}  // namespace file

Status CheckLimits(const Limits& limits) {
  Collector out;
  CheckLimitsOf(limits, &out);
  const std::vector<Fault> faults = out.Take();
  if (faults.empty()) return Ok();
  return Error(Code::kInvalidArgument, faults[0].path + ": " + faults[0].reason);
}

}  // namespace strata::vcluster
