// What stands between a node and its host beside user namespaces: capabilities, system calls,
// devices, kernel-wide counters (docs/isolation.md). Pure, but for what asks this host.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/result.h"
#include "vclusterd/definition/definition.h"
#include "vclusterd/runtime/node_spec.h"

namespace strata::vcluster {

// liblxc's configuration, in order.
using ConfigItems = std::vector<std::pair<std::string, std::string>>;

// Of every node on this host. `cores_are_piped`: see CoresArePiped.
void AddIsolation(const HostLayout& host, bool cores_are_piped, ConfigItems* items);

// The system calls that no node may make, as liblxc reads it (version 2, a list of what is denied,
// for every ABI of the machine).
std::string SeccompProfile();

// True when this kernel hands core dumps to a program of the host, which would write a node's
// dumps to the host's disk. Then nodes dump none.
bool CoresArePiped();

// The kernel counts inotify and fanotify instances of all nodes, and of root on the host, together:
// with its small default one node would take them from all others, and from the host's programs.
// Raises what is lower (never lowers) to what a limit of memory holds back earlier. What cannot be
// raised is logged.
void RaiseSharedCounters();

// What a node without a limit of memory may use: all but what the host needs for itself.
uint64_t NodeMemoryMax(uint64_t host_memory_bytes);

}  // namespace strata::vcluster
