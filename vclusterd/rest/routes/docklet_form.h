// The form of Docklet's API: fields in, with the token among them; {"success": "true", …} out, also
// for failures, always with the status 200.
#pragma once

#include <functional>
#include <string>

#include "vclusterd/rest/services.h"

namespace strata::vcluster::rest::docklet {

// A field of the form; empty: it is not there.
std::string Field(const Exchange& exchange, const char* name);
// kInvalidArgument "NAME is null", as Docklet says it.
Result<std::string> NeededField(const Exchange& exchange, const char* name);

// What a handler adds to {"success": "true"}.
using Handle = std::function<Result<Json>(Exchange&)>;
// `right`: absent for what strangers may ask. `handle` is called for who shows a good token.
Route MakeRoute(const std::string& path, const std::string& id, std::optional<Operation> right,
                const std::string& summary, Handle handle);

// Does it as an operation, as the modern API does, and answers `action` and `message` when it has
// succeeded. A request holds a thread of ours, so it waits no longer than the form's "wait" says,
// kWaitMax at most: then {"success": "false"} and the address of the operation, which goes on.
Result<Json> DoWithin(Exchange& exchange, Result<OperationBook::Order> order,
                      const std::string& action, const std::string& message);

// The one node of the Vcluster that Docklet's words mean: "hpc:0", "0", "hpc-0". kNotFound.
Result<NodeView> NodeOf(const ClusterView& view, const std::string& words);
// As Docklet's clients get and give it: "hpc:0".
std::string ContainerName(const NodeView& node);

void AddClusterRoutes(RouteTable* table);
void AddMonitorRoutes(RouteTable* table);
void AddAbsentRoutes(RouteTable* table);

}  // namespace strata::vcluster::rest::docklet
