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
         (wanted.host_port() == 0 || wanted.host_port() == given.host_port());
}

constexpr uint32_t kPrivilegedPortsEnd = 1024;

// A port that somebody chose himself.
Status CheckChosen(const Forward& forward, uint32_t owner_uid, const HostConfig& config) {
  const auto port = static_cast<uint16_t>(forward.host_port());
  if (port < kPrivilegedPortsEnd && owner_uid != 0) {
    return Error(Code::kPermissionDenied,
                 "port " + std::to_string(port) +
                     " of the host is root's to give: choose one from 1024 "
                     "on, or none");
  }
  if (forward.udp() && port == config.vxlan_port) {
    return Error(Code::kFailedPrecondition,
                 "port " + std::to_string(port) + "/udp of the host joins the hosts' networks");
  }
  return net::CheckHostPortFree(ProtocolOf(forward), port);
}

}  // namespace

Status HostNodes::AssignPorts(Job& job) {
  const auto& wanted = job.wanted->forwards();
  const auto& given = job.local.forwards();
  const bool same = wanted.size() == given.size() &&
                    std::equal(given.begin(), given.end(), wanted.begin(), IsFor);
  if (same) return Ok();
  const std::lock_guard choosing(ports_mutex_);
  std::set<uint16_t> taken[2];  // By protocol: TCP, UDP.
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [number, part] : parts_) {
      const std::lock_guard part_lock(part->mutex);
      for (const auto& [index, node] : part->nodes) {
        if (node == job.node) continue;
        for (const Forward& forward : node->local.forwards()) {
          taken[forward.udp()].insert(static_cast<uint16_t>(forward.host_port()));
        }
      }
    }
  }
  google::protobuf::RepeatedPtrField<Forward> chosen;
  for (const Forward& forward : wanted) {
    Forward* out = chosen.Add();
    *out = forward;
    const auto kept = std::find_if(given.begin(), given.end(), [&](const Forward& candidate) {
      return IsFor(candidate, forward);
    });
    std::set<uint16_t>& ports = taken[forward.udp()];
    if (kept != given.end()) {
      out->set_host_port(kept->host_port());
    } else if (forward.host_port() == 0) {
      ASSIGN_OR_RETURN(const uint16_t port,
                       net::ChooseHostPort(ports, config_.ports, [&](uint16_t candidate) {
                         return net::CheckHostPortFree(ProtocolOf(forward), candidate).ok();
                       }));
      out->set_host_port(port);
    } else if (ports.contains(static_cast<uint16_t>(forward.host_port()))) {
      return Error(Code::kFailedPrecondition,
                   "port " + std::to_string(forward.host_port()) +
                       " of the host leads to another node already: choose another one, or none");
    } else {
      RETURN_IF_ERROR(CheckChosen(forward, job.order.owner_uid(), config_));
    }
    ports.insert(static_cast<uint16_t>(out->host_port()));
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
