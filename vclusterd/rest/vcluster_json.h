// Vclusters, hosts and what changes in them, as the API shows them, with their schemas. Pure.
#pragma once

#include "vclusterd/master/clusters.h"
#include "vclusterd/rest/route.h"

namespace strata::vcluster::rest {

Json ToJson(const NodeView& node);
Json ToJson(const ClusterView& view, bool with_nodes);
// {"vclusters": […]}, with their nodes.
Json ToJson(const std::vector<ClusterView>& views);
// What tells one state from another: without what nodes use.
Json SummaryJson(const ClusterView& view);
Json ToJson(const std::vector<DefinitionChange>& changes);
Json ToJson(const Clusters::Applied& applied);
Json ToJson(const std::vector<Master::HostView>& hosts);
Json ToJson(const host::v1::UsageHistory& history);
Json ToJson(const SaveNodeResult& saved);
std::string_view NameOf(NodeCondition condition);

void AddVclusterSchemas(RouteTable* table);

}  // namespace strata::vcluster::rest
