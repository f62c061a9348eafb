// What is asked of one node and answered, as messages of vclusterd/api/vcluster.proto, in both
// directions: a master passes such calls on to the host that has the node.
#pragma once

#include "vclusterd/api/vcluster.pb.h"
#include "vclusterd/host/node_life.h"

namespace strata::vcluster {

// Without the node, and on whose behalf.
SaveNodeParameters FromProto(const v1::SaveRequest& request);
void ToProto(const SaveNodeParameters& parameters, v1::SaveRequest* request);
SaveNodeResult FromProto(const v1::SaveResult& message);
void ToProto(const SaveNodeResult& saved, v1::SaveResult* message);

ExecParameters FromProto(const v1::ExecStart& start);
void ToProto(const ExecParameters& parameters, v1::ExecStart* start);

}  // namespace strata::vcluster
