// What Clusters answers, as messages of vclusterd/api/vcluster.proto.
#pragma once

#include "vclusterd/api/vcluster.pb.h"
#include "vclusterd/master/clusters.h"

namespace strata::vcluster {

void ToProto(const ClusterView& view, v1::VclusterInfo* info);
void ToProto(const Master::HostView& host, v1::HostInfo* info);
void ToProto(const std::vector<Master::HostView>& hosts, v1::Hosts* message);
void ToProto(const host::v1::UsageHistory& history, v1::UsageHistory* message);
void ToProto(const Clusters::Applied& applied, v1::ApplyResult* result);

}  // namespace strata::vcluster
