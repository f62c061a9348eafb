#include <algorithm>
#include <map>
#include <set>

#include "common/printable.h"
#include "vclusterd/definition/faults.h"
#include "vclusterd/definition/format_file.h"
#include "vclusterd/definition/units.h"
#include "vclusterd/definition/words.h"

namespace strata::vcluster {
namespace {

constexpr size_t kDescriptionMax = 2000;
constexpr size_t kRecordBytesMax = 512 << 10;  // What a catalog that hosts share takes well.
constexpr std::chrono::days kYears10{3650};
constexpr std::string_view kHome = "home";
constexpr size_t kOwnerSizeMax = 64;  // Of a user's name.

using file::Fault;
using file::kFaultsShownMax;
using Faults = std::vector<Fault>;
using Names = std::vector<std::string_view>;

bool IsHostName(std::string_view name, size_t size_max) {
  const auto is_good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  return !name.empty() && name.size() <= size_max && name[0] >= 'a' && name[0] <= 'z' &&
         name.back() != '-' && std::all_of(name.begin(), name.end(), is_good);
}

std::string NameRule(size_t size_max) {
  return "a lower-case letter, then at most " + std::to_string(size_max - 1) +
         " lower-case letters, digits and '-'";
}

Names RoleNames(const Definition& definition) {
  Names names;
  for (const Role& role : definition.roles) names.push_back(role.name);
  return names;
}

// A list of other roles: each exists, none twice.
void CheckRoleList(const Names& known, const std::string& path,
                   const std::vector<std::string>& list, Faults* out) {
  if (list.size() > kRolesMax) {
    out->push_back({path, "has " + std::to_string(list.size()) + " entries: at most " +
                              std::to_string(kRolesMax)});
    return;
  }
  std::set<std::string_view> seen;
  for (const std::string& name : list) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      // A suggestion takes time, which is spent only on what can be told.
      const bool told = out->size() < kFaultsShownMax;
      out->push_back(
          {path, "there is no role " + Quoted(name) + (told ? DidYouMean(name, known) : "")});
    }
    if (!seen.insert(name).second) out->push_back({path, Quoted(name) + " is there twice"});
  }
}

void CheckAcceptReferences(const Names& roles, const Role& role, const std::string& path,
                           Faults* out) {
  if (!role.accept) return;
  Names sources = roles;
  for (const std::string_view word : {kAnybody, kOutside}) {
    sources.push_back(word);
    if (std::find(roles.begin(), roles.end(), word) == roles.end()) continue;
    out->push_back({path + ".accept", "there is a role " + Quoted(word) +
                                          ", which is no role here: call it something else"});
  }
  for (size_t i = 0; i < role.accept->size(); ++i) {
    CheckRoleList(sources, path + ".accept[" + std::to_string(i) + "].from", (*role.accept)[i].from,
                  out);
  }
}

void CheckReferences(const Definition& definition, const Role& role, const std::string& path,
                     Faults* out) {
  const Names roles = RoleNames(definition);
  CheckRoleList(roles, path + ".after", role.after, out);
  CheckRoleList(roles, path + ".placement.near", role.placement.near, out);
  CheckRoleList(roles, path + ".placement.apart", role.placement.apart, out);
  for (const std::string& name : role.placement.near) {
    const auto& apart = role.placement.apart;
    if (std::find(apart.begin(), apart.end(), name) != apart.end()) {
      out->push_back({path + ".placement", Quoted(name) + " cannot be both near and apart"});
    }
  }
  CheckAcceptReferences(roles, role, path, out);
  Names volumes = {kHome};
  for (const Volume& volume : definition.volumes) volumes.push_back(volume.name);
  for (size_t i = 0; i < role.volumes.size(); ++i) {
    const std::string& name = role.volumes[i].volume;
    if (std::find(volumes.begin(), volumes.end(), name) != volumes.end()) continue;
    const std::string meant = DidYouMean(name, volumes);
    out->push_back(
        {path + ".volumes[" + std::to_string(i) + "]",
         "there is no volume " + Quoted(name) +
             (meant.empty() ? ": name it in 'volumes' at the top, or use 'home'" : meant)});
  }
}

// Roles that wait for each other, "a after b after a"; empty: there is none. `state`: absent is not
// looked at, false is being looked at, true is done.
std::string FindCycle(const Definition& definition, const Role& role,
                      std::map<std::string_view, bool>* state, std::vector<std::string>* path) {
  const auto [seen, is_new] = state->emplace(role.name, false);
  if (!is_new && seen->second) return "";
  path->push_back(role.name);
  if (!is_new) {
    std::string text;
    const auto start = std::find(path->begin(), path->end(), role.name);
    for (auto name = start; name != path->end(); ++name) {
      text += (text.empty() ? "" : " after ") + *name;
    }
    return text;
  }
  for (const std::string& name : role.after) {
    const Role* other = definition.FindRole(name);
    if (other == nullptr) continue;
    std::string cycle = FindCycle(definition, *other, state, path);
    if (!cycle.empty()) return cycle;
  }
  path->pop_back();
  (*state)[role.name] = true;
  return "";
}

void CheckOrder(const Definition& definition, Faults* out) {
  std::map<std::string_view, bool> state;
  for (const Role& role : definition.roles) {
    std::vector<std::string> path;
    const std::string cycle = FindCycle(definition, role, &state, &path);
    if (cycle.empty()) continue;
    // The role where the circle closes: the one before it may be no part of it.
    out->push_back(
        {"roles." + path.back() + ".after", "these roles wait for each other: " + cycle});
    return;
  }
}

// Told of the role with most.
void CheckAcceptCount(const Definition& definition, Faults* out) {
  size_t all = 0;
  size_t most = 0;
  const Role* largest = nullptr;
  for (const Role& role : definition.roles) {
    if (!role.accept) continue;
    size_t rules = role.ports.size() + 1;
    for (const Accept& accept : *role.accept) {
      rules += accept.from.size() *
               std::max<size_t>(1, accept.tcp.size() + accept.udp.size() + (accept.icmp ? 1 : 0));
    }
    all += rules;
    if (rules > most) largest = &role;
    most = std::max(most, rules);
  }
  if (all <= kAcceptRulesMax) return;
  out->push_back({"roles." + largest->name + ".accept",
                  std::to_string(all) +
                      " rules in all roles, one for each source and each port or " +
                      "range of ports: at most " + std::to_string(kAcceptRulesMax)});
}

bool IsOwner(std::string_view text) {
  return !text.empty() && text.size() <= kOwnerSizeMax && PrintablePrefix(text) == text.size() &&
         text.find_first_of(" /\"") == text.npos;
}

void CheckPeers(const Definition& definition, Faults* out) {
  if (definition.peers.size() > kPeersMax) {
    out->push_back({"peers", "has " + std::to_string(definition.peers.size()) +
                                 " entries: at most " + std::to_string(kPeersMax)});
    return;
  }
  std::set<std::string_view> seen;
  for (const std::string& peer : definition.peers) {
    const size_t slash = peer.find('/');
    const std::string_view name =
        std::string_view(peer).substr(slash == std::string::npos ? 0 : slash + 1);
    const bool good = IsHostName(name, kNameSizeMax) &&
                      (slash == std::string::npos || IsOwner(peer.substr(0, slash)));
    if (!good) {
      out->push_back(
          {"peers", Quoted(peer) + " names no Vcluster (such as storage or alice/storage)"});
    }
    if (peer == definition.name) out->push_back({"peers", Quoted(peer) + " is this one itself"});
    if (!seen.insert(peer).second) out->push_back({"peers", Quoted(peer) + " is there twice"});
  }
}

void CheckHostPorts(const Definition& definition, Faults* out) {
  std::map<std::pair<uint16_t, Protocol>, std::string> taken;
  for (const Role& role : definition.roles) {
    for (size_t i = 0; i < role.ports.size(); ++i) {
      const PortForward& port = role.ports[i];
      if (port.host_port == 0) continue;
      const std::string path = "roles." + role.name + ".ports[" + std::to_string(i) + "]";
      const auto [first, is_new] =
          taken.emplace(std::pair(port.host_port, port.protocol), role.name);
      if (is_new) continue;
      out->push_back({path, "the host's port " + std::to_string(port.host_port) +
                                " is taken by role " + Quoted(first->second)});
    }
  }
}

uint32_t MostNodes(const Role& role) {
  return std::max(role.count, role.autoscale ? role.autoscale->max : 0);
}

// Faults are told of the largest role.
void CheckNodeCounts(const Definition& definition, Faults* out) {
  if (definition.roles.empty()) return;
  uint64_t nodes = 0;
  uint64_t most = 0;
  for (const Role& role : definition.roles) {
    nodes += role.count;
    most += MostNodes(role);
  }
  const Role& largest =
      *std::max_element(definition.roles.begin(), definition.roles.end(),
                        [](const Role& a, const Role& b) { return MostNodes(a) < MostNodes(b); });
  const std::string path = "roles." + largest.name + ".count";
  const uint32_t nodes_max = std::min(definition.nodes_max, kNodesMax);
  const std::string limit = nodes_max == kNodesMax
                                ? ", but a Vcluster has at most " + std::to_string(kNodesMax)
                                : ", but nodes-max is " + std::to_string(nodes_max);
  if (nodes == 0) {
    out->push_back({path, "there is no node in the Vcluster"});
  } else if (nodes > nodes_max) {
    out->push_back({path, std::to_string(nodes) + " nodes in all" + limit});
  } else if (most > nodes_max) {
    out->push_back(
        {path, std::to_string(most) + " nodes when all roles are at their largest" + limit});
  }
}

void CheckNodesMax(const Definition& definition, Faults* out) {
  if (definition.nodes_max >= 1 && definition.nodes_max <= kNodesMax) return;
  out->push_back({"nodes-max", std::to_string(definition.nodes_max) + " is not from 1 to " +
                                   std::to_string(kNodesMax)});
}

void CheckRoles(const Definition& definition, Faults* out) {
  if (definition.roles.empty()) out->push_back({"roles", "there is no role in it"});
  if (definition.roles.size() > kRolesMax) {
    out->push_back({"roles", "more than " + std::to_string(kRolesMax) + " roles"});
    return;
  }
  std::set<std::string_view> names;
  for (const Role& role : definition.roles) {
    const std::string path = "roles." + role.name;
    if (!IsHostName(role.name, kRoleNameSizeMax)) {
      out->push_back({path, Quoted(role.name) +
                                " cannot be the name of a role: " + NameRule(kRoleNameSizeMax)});
    }
    if (!names.insert(role.name).second) out->push_back({path, "is there twice"});
    for (Fault& fault : file::FindFaultsOfRole(role)) {
      out->push_back({path + "." + fault.path, std::move(fault.reason)});
    }
    CheckReferences(definition, role, path, out);
  }
  CheckOrder(definition, out);
  CheckHostPorts(definition, out);
  CheckAcceptCount(definition, out);
  CheckNodeCounts(definition, out);
}

void CheckVolumes(const Definition& definition, Faults* out) {
  if (definition.volumes.size() > kRolesMax) {
    out->push_back({"volumes", "more than " + std::to_string(kRolesMax) + " volumes"});
    return;
  }
  std::set<std::string_view> names;
  for (size_t i = 0; i < definition.volumes.size(); ++i) {
    const std::string& name = definition.volumes[i].name;
    const std::string path = "volumes[" + std::to_string(i) + "]";
    if (name == kHome) {
      out->push_back({path, "'home' is each owner's own and needs no naming here"});
    } else if (!IsHostName(name, kRoleNameSizeMax)) {
      out->push_back(
          {path, Quoted(name) + " cannot be the name of a volume: " + NameRule(kRoleNameSizeMax)});
    }
    if (!names.insert(name).second) out->push_back({path, Quoted(name) + " is there twice"});
  }
}

void CheckDuration(const std::string& path, const std::optional<std::chrono::seconds>& duration,
                   Faults* out) {
  if (!duration) return;
  if (*duration < std::chrono::minutes(1) || *duration > kYears10) {
    out->push_back({path, DurationText(*duration) + " is not from 1m to 3650d"});
  }
}

void CheckTimes(const Definition& definition, Faults* out) {
  if (definition.expires && definition.lifetime) {
    out->push_back({"lifetime", "there is 'expires' already: one of the two"});
  }
  if (definition.expires) {
    using std::chrono::year;
    const std::chrono::year_month_day day(
        std::chrono::floor<std::chrono::days>(*definition.expires));
    if (day.year() < year(2000) || day.year() > year(9998)) {
      out->push_back({"expires", "is not between the years 2000 and 9998"});
    }
  }
  CheckDuration("lifetime", definition.lifetime, out);
  CheckDuration("idle-stop", definition.idle_stop, out);
}

Faults FindFaultsInside(const Definition& definition) {
  Faults out;
  if (definition.name.empty()) {
    out.push_back({"name", "is missing: what is the Vcluster called?"});
  } else if (const Status status = CheckClusterName(definition.name); !status.ok()) {
    out.push_back({"name", status.error().message()});
  }
  if (definition.description.size() > kDescriptionMax) {
    out.push_back({"description", "has " + std::to_string(definition.description.size()) +
                                      " bytes: at most " + std::to_string(kDescriptionMax)});
  } else if (PrintablePrefix(definition.description, "\n\t") != definition.description.size()) {
    out.push_back({"description", "holds control characters, or is no UTF-8"});
  }
  CheckVolumes(definition, &out);
  CheckPeers(definition, &out);
  CheckNodesMax(definition, &out);
  CheckRoles(definition, &out);
  CheckTimes(definition, &out);
  return out;
}

}  // namespace

Status CheckClusterName(std::string_view name) {
  if (IsHostName(name, kNameSizeMax)) return Ok();
  return Error(Code::kInvalidArgument,
               Quoted(name) + " cannot be a Vcluster's name: " + NameRule(kNameSizeMax));
}

namespace file {

std::vector<Fault> FindFaults(const Definition& definition) {
  Faults faults = FindFaultsInside(definition);
  if (!faults.empty()) return faults;  // Only what is right can be written.
  const size_t size = FormatDefinitionJson(definition).size();
  if (size > kRecordBytesMax) {
    const std::string limit = std::to_string(kRecordBytesMax);
    faults.push_back({"", "is " + std::to_string(size) +
                              " bytes with all defaults filled in, of at most " + limit});
  }
  return faults;
}

}  // namespace file

Status CheckDefinition(const Definition& definition) {
  const Faults faults = file::FindFaults(definition);
  if (faults.empty()) return Ok();
  std::string text;
  for (size_t i = 0; i < std::min(faults.size(), kFaultsShownMax); ++i) {
    if (i > 0) text += "\n";
    if (!faults[i].path.empty()) text += Printable(faults[i].path, 200) + ": ";
    text += faults[i].reason;
  }
  if (faults.size() > kFaultsShownMax) {
    text += "\nand " + std::to_string(faults.size() - kFaultsShownMax) + " more faults";
  }
  return Error(Code::kInvalidArgument, text);
}

}  // namespace strata::vcluster
