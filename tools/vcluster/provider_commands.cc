#include <cstdio>
#include <ostream>

#include "common/byte_size.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/json.h"
#include "tools/cli/table.h"
#include "tools/vcluster/vcluster.h"
#include "vclusterd/api/providers.grpc.pb.h"

namespace strata::tools {
namespace {

namespace api = vcluster::v1;

std::string Number(double value) {
  char text[64];
  std::snprintf(text, sizeof(text), "%g", value);
  return text;
}

Result<api::ListProvidersResponse> Ask(Tool& tool) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::ListProvidersResponse response;
  const grpc::Status status = api::ProviderService::NewStub(channel)->ListProviders(
      call.context(), api::ListProvidersRequest(), &response);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  return response;
}

Result<int> ListProviders(Tool& tool) {
  ASSIGN_OR_RETURN(const api::ListProvidersResponse response, Ask(tool));
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(response, tool.console().out));
    return kExitOk;
  }
  Table providers({"PROVIDER", ">MACHINES", ">MOST", ">PRICE/H", ">MOST", "FOR", "PROBLEM"});
  Table machines({"PROVIDER", "OFFER", "MACHINE", "HOST", "STAGE", ">PRICE/H", "PROBLEM"});
  bool any = false;
  for (const api::ProviderInfo& provider : response.providers()) {
    std::string owners;
    for (const std::string& owner : provider.owners())
      owners += (owners.empty() ? "" : ",") + owner;
    providers.Add({provider.name(), std::to_string(provider.machines_size()),
                   std::to_string(provider.machines_max()), Number(provider.price_per_hour()),
                   Number(provider.price_per_hour_max()), owners.empty() ? "all" : owners,
                   provider.problem()});
    for (const api::MachineInfo& machine : provider.machines()) {
      any = true;
      machines.Add({machine.provider(), machine.offer(), machine.id(), machine.host(),
                    machine.stage(), Number(machine.price_per_hour()), machine.problem()});
    }
  }
  providers.Print(tool.console().out);
  if (any) {
    tool.console().out << "\n";
    machines.Print(tool.console().out);
  }
  return kExitOk;
}

Result<int> ListOffers(Tool& tool) {
  ASSIGN_OR_RETURN(const api::ListProvidersResponse response, Ask(tool));
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(response, tool.console().out));
    return kExitOk;
  }
  Table table({"PROVIDER", "OFFER", ">CPUS", ">MEMORY", ">DISK", ">PRICE/H", "LABELS"});
  for (const api::ProviderInfo& provider : response.providers()) {
    for (const api::OfferInfo& offer : provider.offers()) {
      std::string labels;
      for (const std::string& label : offer.labels()) labels += (labels.empty() ? "" : ",") + label;
      table.Add({provider.name(), offer.name(), Number(offer.cpus()),
                 HumanBytes(offer.memory_bytes()), HumanBytes(offer.disk_bytes()),
                 Number(offer.price_per_hour()), labels});
    }
  }
  table.Print(tool.console().out);
  return kExitOk;
}

}  // namespace

void AddProviderCommands(Tool& tool) {
  CLI::App* group = tool.AddGroup("provider", "Who lends machines when room is short (root)");
  tool.AddCommand(
      "list", "The providers, and what is rented of them", "  vcluster provider list",
      [&tool] { return ListProviders(tool); }, group);
  tool.AddCommand(
      "offers", "The machines that can be had", "  vcluster provider offers",
      [&tool] { return ListOffers(tool); }, group);
}

}  // namespace strata::tools
