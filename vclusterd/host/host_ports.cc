// Ports of this host that lead to nodes.
#include <algorithm>
#include <set>

#include "net/ports.h"
#include "vclusterd/host/host_nodes.h"

namespace strata::vcluster {
namespace {

using host::v1::Forward;

net::Protocol ProtocolOf(const Forward& forward) {
  return forward.udp() ? net::Protocol::kUdp : net::Protocol::kTcp;
}

bool IsFor(const Forward& given, const Forward& wanted) {
  return given.node_port() == wanted.node_port() && given.udp() == wanted.udp() &&
         (wanted.host_port() == 0 || wanted.host_port() == given.host_port()) &&
         wanted.balance() == given.balance() &&
         (wanted.role_port() == 0 || wanted.role_port() == given.role_port());
}

// What leads to a node alone, and what leads to its role.
enum class PortOf { kNode, kRole };
uint32_t PortIn(const Forward& forward, PortOf of) {
  return of == PortOf::kNode ? forward.host_port() : forward.role_port();
}

constexpr uint32_t kPrivilegedPortsEnd = 1024;

// A port that somebody chose himself.
Status CheckChosen(uint16_t port, bool udp, uint32_t owner_uid, const HostConfig& config) {
  if (port < kPrivilegedPortsEnd && owner_uid != 0) {
    return Error(Code::kPermissionDenied,
                 "port " + std::to_string(port) +
                     " of the host is root's to give: choose one from 1024 "
                     "on, or none");
  }
  if (udp && port == config.vxlan_port) {
    return Error(Code::kFailedPrecondition,
                 "port " + std::to_string(port) + "/udp of the host joins the hosts' networks");
  }
  return net::CheckHostPortFree(udp ? net::Protocol::kUdp : net::Protocol::kTcp, port);
}

// Ports of the host that are taken, as somebody asks for more.
class PortChoice {
 public:
  PortChoice(const HostConfig& config, uint32_t owner_uid)
      : config_(config), owner_uid_(owner_uid) {}

  void Take(const Forward& forward) {
    for (const PortOf of : {PortOf::kNode, PortOf::kRole}) {
      taken_[forward.udp()].insert(static_cast<uint16_t>(PortIn(forward, of)));
    }
  }
  // `kept`: what it has already, 0 for none.
  Result<uint16_t> Choose(const Forward& wanted, PortOf of, uint32_t kept) {
    std::set<uint16_t>& ports = taken_[wanted.udp()];
    const auto asked = static_cast<uint16_t>(PortIn(wanted, of));
    auto port = static_cast<uint16_t>(kept);
    if (kept == 0 && asked == 0) {
      const auto is_free = [&](uint16_t candidate) {
        return net::CheckHostPortFree(ProtocolOf(wanted), candidate).ok();
      };
      ASSIGN_OR_RETURN(port, net::ChooseHostPort(ports, config_.ports, is_free));
    } else if (kept == 0) {
      if (ports.contains(asked)) {
        return Error(Code::kFailedPrecondition,
                     "port " + std::to_string(asked) +
                         " of the host leads elsewhere already: choose another one, or none");
      }
      RETURN_IF_ERROR(CheckChosen(asked, wanted.udp(), owner_uid_, config_));
      port = asked;
    }
    ports.insert(port);
    return port;
  }

 private:
  const HostConfig& config_;
  const uint32_t owner_uid_;
  std::set<uint16_t> taken_[2];  // By protocol: TCP, UDP.
};

// What other nodes of the role have on this host, which is this one's too; 0: nothing yet.
uint32_t RolePortOf(const std::vector<Forward>& of_role, const Forward& wanted) {
  for (const Forward& forward : of_role) {
    if (forward.node_port() == wanted.node_port() && forward.udp() == wanted.udp() &&
        (wanted.role_port() == 0 || wanted.role_port() == forward.role_port())) {
      return forward.role_port();
    }
  }
  return 0;
}

bool IsOfRole(const host::v1::Part& order, uint32_t index, const std::string& role) {
  return std::any_of(order.nodes().begin(), order.nodes().end(), [&](const auto& node) {
    return node.index() == index && node.role() == role;
  });
}

}  // namespace

Status HostNodes::AssignPorts(Job& job) {
  const auto& wanted = job.wanted->forwards();
  const auto& given = job.local.forwards();
  const bool same = wanted.size() == given.size() &&
                    std::equal(given.begin(), given.end(), wanted.begin(), IsFor);
  if (same) return Ok();
  const std::lock_guard choosing(ports_mutex_);
  PortChoice choice(config_, job.order.owner_uid());
  std::vector<Forward> of_role;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [number, part] : parts_) {
      const std::lock_guard part_lock(part->mutex);
      for (const auto& [index, node] : part->nodes) {
        if (node == job.node) continue;
        const bool same_role = part == job.part && IsOfRole(part->order, index, job.wanted->role());
        for (const Forward& forward : node->local.forwards()) {
          choice.Take(forward);
          if (same_role) of_role.push_back(forward);
        }
      }
    }
  }
  const auto kept_for = [&](const Forward& forward) {
    return std::find_if(given.begin(), given.end(),
                        [&](const Forward& candidate) { return IsFor(candidate, forward); });
  };
  for (const Forward& forward : wanted) {
    if (const auto kept = kept_for(forward); kept != given.end()) choice.Take(*kept);
  }
  google::protobuf::RepeatedPtrField<Forward> chosen;
  for (const Forward& forward : wanted) {
    Forward* out = chosen.Add();
    *out = forward;
    const auto kept = kept_for(forward);
    const bool has = kept != given.end();
    ASSIGN_OR_RETURN(const uint16_t of_node,
                     choice.Choose(forward, PortOf::kNode, has ? kept->host_port() : 0));
    out->set_host_port(of_node);
    if (forward.balance() == host::v1::ONE_NODE) continue;
    const uint32_t shared = has ? kept->role_port() : RolePortOf(of_role, forward);
    ASSIGN_OR_RETURN(const uint16_t of_whole, choice.Choose(forward, PortOf::kRole, shared));
    out->set_role_port(of_whole);
  }
  *job.local.mutable_forwards() = chosen;
  {
    const std::lock_guard lock(job.part->mutex);
    *job.node->local.mutable_forwards() = chosen;
    ++job.part->changes;
  }
  return UpdateNetwork();
}

}  // namespace strata::vcluster
