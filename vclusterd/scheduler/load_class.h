// What a node is heavy on, from reported figures (container multi-cloud, III.D: two memory-heavy
// containers on one host cost each other half of their speed, so they must be known as such).
//
// Figures of cgroups tell how much memory a node holds and how long it waits for it, not how much
// memory bandwidth it uses; a node that streams through little memory is not found.
#pragma once

#include "common/result.h"
#include "vclusterd/scheduler/model.h"

namespace strata::vcluster {

struct LoadThresholds {
  double share = 0.25;           // Of the host's CPUs, memory or I/O time.
  double memory_pressure = 0.1;  // Of the node's own cgroup.
  // Once heavy, a node stays so until it falls below this part of a threshold.
  double stay = 0.8;
};

// `memory_pressure`: PSI "some" of the node's cgroup, 0..1. `before`: its class until now.
// kInvalidArgument for figures that cannot be.
Result<LoadClass> ClassifyLoad(const NodeUsage& usage, double memory_pressure,
                               const HostOffer& host, LoadClass before,
                               const LoadThresholds& thresholds = {});

}  // namespace strata::vcluster
