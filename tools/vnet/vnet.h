// vnet: the networks of this host's Vclusters, from the command line. See docs/network.md.
#pragma once

#include <iosfwd>

#include "net/api/net.pb.h"
#include "tools/cli/console.h"

namespace strata::tools {

// The whole program. Returns the exit code.
int VnetMain(int argc, const char* const* argv, Console& console);

// print_networks.cc
void PrintNetworks(const net::v1::ShowResponse& shown, std::ostream& out);
void PrintPlan(const net::v1::PlanResponse& plan, bool with_rules, std::ostream& out);
void PrintFindings(const net::v1::ExamineResponse& examined, std::ostream& out);
void PrintNetworkEvent(const net::v1::NetworkEvent& event, std::ostream& out);

}  // namespace strata::tools
