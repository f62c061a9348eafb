// The rows of an OvsPlan as operations of RFC 7047. Pure.
#pragma once

#include <vector>

#include "net/ovs/ovs_plan.h"
#include "net/ovs/ovsdb.h"

namespace strata::net {

// All but what reattach_ports puts back. They count next_cfg up; the last result says to what
// (TakeNextCfg).
std::vector<Json> MakeTransaction(const OvsPlan& plan);
// REQUIRES: the other one was carried out; `no_qos` is the row of QoS that there is now.
std::vector<Json> MakeReattachment(const OvsPlan& plan, const std::string& no_qos);

Result<int64_t> TakeNextCfg(const std::vector<Json>& results);

}  // namespace strata::net
