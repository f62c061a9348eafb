#include "vclusterd/scheduler/checks.h"

#include <cstdio>
#include <set>

#include "common/byte_size.h"
#include "common/printable.h"

namespace strata::vcluster {
namespace {

Error Wrong(const std::string& what) { return Error(Code::kInvalidArgument, what); }

std::string Number(double value) {
  char text[40];
  std::snprintf(text, sizeof(text), "%g", value);
  return text;
}

Status CheckText(const std::string& what, const std::string& text, bool may_be_empty) {
  if (text.empty() && !may_be_empty) return Wrong(what + " is empty");
  if (text.size() > kTextSizeMax) {
    return Wrong(what + " has more than " + std::to_string(kTextSizeMax) + " bytes");
  }
  // Printable() changes what is not.
  const std::string printable = Printable(text, 4 * kTextSizeMax + 1);
  if (printable != text) return Wrong(what + " '" + printable + "' cannot be printed");
  return Ok();
}

Status CheckTexts(const char* what, const std::vector<std::string>& texts) {
  if (texts.size() > kLabelsMax) {
    return Wrong("more than " + std::to_string(kLabelsMax) + " of: " + what);
  }
  for (const std::string& text : texts) RETURN_IF_ERROR(CheckText(what, text, false));
  return Ok();
}

Status CheckBytes(const char* what, uint64_t bytes) {
  if (bytes <= kSchedulerBytesMax) return Ok();
  return Wrong(std::string(what) + " is " + HumanBytes(bytes) + ", more than " +
               HumanBytes(kSchedulerBytesMax));
}

Status CheckResources(const ResourceRequest& request) {
  RETURN_IF_ERROR(CheckRange("CPUs", request.cpus, kSchedulerCpusMax));
  RETURN_IF_ERROR(CheckBytes("memory", request.memory_bytes));
  return CheckBytes("disk", request.disk_bytes);
}

Status CheckLevels(const char* what, const ResourceLevels& levels) {
  for (const double level : {levels.cpu, levels.memory, levels.io}) {
    RETURN_IF_ERROR(CheckRange(what, level, 1));
  }
  return Ok();
}

Status CheckHostValues(const HostOffer& host) {
  RETURN_IF_ERROR(CheckResources({host.cpus, host.memory_bytes, host.disk_bytes}));
  RETURN_IF_ERROR(CheckResources(host.system), "the system's part");
  RETURN_IF_ERROR(CheckRange("over-commit of CPUs", host.overcommit_cpus, kOvercommitMax));
  RETURN_IF_ERROR(CheckRange("over-commit of memory", host.overcommit_memory, kOvercommitMax));
  return CheckTexts("label", host.labels);
}

Status CheckDemandValues(const NodeDemand& demand) {
  RETURN_IF_ERROR(CheckText("group", demand.group, true));
  RETURN_IF_ERROR(CheckText("role", demand.role, true));
  RETURN_IF_ERROR(CheckText("preferred host", demand.preferred_host, true));
  RETURN_IF_ERROR(CheckResources(demand.request));
  RETURN_IF_ERROR(CheckTexts("required label", demand.required_labels));
  RETURN_IF_ERROR(CheckTexts("excluded host", demand.excluded_hosts));
  if (demand.rules.size() > kRulesMax) {
    return Wrong("more than " + std::to_string(kRulesMax) + " affinity rules");
  }
  for (const AffinityRule& rule : demand.rules) {
    RETURN_IF_ERROR(CheckText("role of a rule", rule.role, true));
    RETURN_IF_ERROR(CheckText("Vcluster of a rule", rule.vcluster_name, true));
  }
  return Ok();
}

Status CheckVcluster(const VclusterDemand& vcluster, std::set<NodeKey>* seen) {
  RETURN_IF_ERROR(CheckText("Vcluster name", vcluster.name, true));
  if (vcluster.nodes.empty()) return Wrong("Vcluster '" + vcluster.name + "' without nodes");
  for (const NodeDemand& node : vcluster.nodes) {
    RETURN_IF_ERROR(CheckDemand(node));
    if (node.key.vcluster != vcluster.number) {
      return Wrong("node '" + node.name + "' is of another Vcluster than '" + vcluster.name + "'");
    }
    if (node.owner_uid != vcluster.nodes.front().owner_uid) {
      return Wrong("the nodes of '" + vcluster.name + "' have several owners");
    }
    if (!seen->insert(node.key).second) return Wrong("node '" + node.name + "' is asked for twice");
  }
  return Ok();
}

}  // namespace

Status CheckRange(const char* what, double value, double most) {
  if (value >= 0 && value <= most) return Ok();  // False for NaN.
  return Wrong(std::string(what) + ": " + Number(value) + " is not between 0 and " + Number(most));
}

Status CheckReport(const std::string& host, const HostReport& report) {
  RETURN_IF_ERROR(CheckLevels("pressure", report.pressure), "host '" + host + "'");
  RETURN_IF_ERROR(CheckLevels("usage", report.usage), "host '" + host + "'");
  return Ok();
}

Status CheckHost(const HostOffer& host) {
  RETURN_IF_ERROR(CheckText("host name", host.name, false));
  RETURN_IF_ERROR(CheckHostValues(host), "host '" + host.name + "'");
  return CheckReport(host.name, host.report);
}

Status CheckDemand(const NodeDemand& demand) {
  RETURN_IF_ERROR(CheckText("node name", demand.name, false));
  RETURN_IF_ERROR(CheckDemandValues(demand), "node '" + demand.name + "'");
  return Ok();
}

Status CheckUsage(const NodeUsage& usage) {
  RETURN_IF_ERROR(CheckRange("CPUs in use", usage.cpus, kSchedulerCpusMax));
  RETURN_IF_ERROR(CheckBytes("memory in use", usage.memory_bytes));
  return CheckRange("share of I/O time", usage.io, 1);
}

Status CheckReservation(const Reservation& reservation) {
  RETURN_IF_ERROR(CheckText("reservation name", reservation.name, false));
  const std::string where = "reservation '" + reservation.name + "'";
  const ResourceRequest& piece = reservation.piece;
  RETURN_IF_ERROR(CheckResources(piece), where);
  RETURN_IF_ERROR(
      CheckText("group", reservation.group, reservation.holder != Reservation::Holder::kGroup),
      where);
  if (piece == ResourceRequest{} || reservation.pieces == 0) return Wrong(where + " keeps nothing");
  if (reservation.pieces > kReservedPiecesMax) return Wrong(where + " has too many pieces");
  const double pieces = reservation.pieces;
  RETURN_IF_ERROR(CheckRange("memory in all", pieces * static_cast<double>(piece.memory_bytes),
                             static_cast<double>(kSchedulerBytesMax)),
                  where);
  RETURN_IF_ERROR(CheckRange("disk in all", pieces * static_cast<double>(piece.disk_bytes),
                             static_cast<double>(kSchedulerBytesMax)),
                  where);
  if (reservation.hosts.size() > kSchedulerHostsMax) return Wrong(where + " has too many hosts");
  std::set<std::string> hosts;
  for (const std::string& host : reservation.hosts) {
    RETURN_IF_ERROR(CheckText("host", host, false), where);
    if (!hosts.insert(host).second) return Wrong(where + " names host '" + host + "' twice");
  }
  return Ok();
}

Status CheckQuota(const OwnerQuota& quota) {
  RETURN_IF_ERROR(CheckText("owner", quota.owner_name, true));
  // Sums of many nodes: past the limits of one, but far from the end of a double.
  constexpr double kMost = 1e12;
  RETURN_IF_ERROR(CheckRange("quota of CPUs", quota.cpus.limit.value_or(0), kMost));
  return CheckRange("CPUs in use", quota.cpus.used, kMost);
}

Status CheckRequest(const PlacementRequest& request) {
  size_t nodes = 0;
  std::set<uint32_t> numbers;
  std::set<NodeKey> seen;
  for (const VclusterDemand& vcluster : request.vclusters) {
    nodes += vcluster.nodes.size();
    if (nodes > kRequestedNodesMax) {
      return Wrong("more than " + std::to_string(kRequestedNodesMax) + " nodes in one request");
    }
    RETURN_IF_ERROR(CheckVcluster(vcluster, &seen));
    if (!numbers.insert(vcluster.number).second) {
      return Wrong("Vcluster '" + vcluster.name + "' is asked for twice");
    }
  }
  if (request.quotas.size() > kRequestedNodesMax) return Wrong("too many quotas");
  std::set<uint32_t> owners;
  for (const OwnerQuota& quota : request.quotas) {
    RETURN_IF_ERROR(CheckQuota(quota));
    if (!owners.insert(quota.owner_uid).second) {
      return Wrong("two quotas of uid " + std::to_string(quota.owner_uid));
    }
  }
  return Ok();
}

Status CheckParameters(const SchedulerParameters& parameters) {
  RETURN_IF_ERROR(CheckRange("default CPUs", parameters.default_cpus, kSchedulerCpusMax));
  RETURN_IF_ERROR(CheckBytes("default memory", parameters.default_memory_bytes));
  if (parameters.default_cpus == 0 || parameters.default_memory_bytes == 0) {
    return Wrong("a node without a limit must count as something");
  }
  RETURN_IF_ERROR(CheckRange("high pressure", parameters.pressure_high, 1));
  RETURN_IF_ERROR(CheckRange("high usage", parameters.usage_high, 1));
  return CheckRange("low pressure", parameters.pressure_low, parameters.pressure_high);
}

}  // namespace strata::vcluster
