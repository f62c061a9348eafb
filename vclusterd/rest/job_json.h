// Jobs as the API shows them, with their schemas. Pure.
#pragma once

#include "vclusterd/master/jobs.h"
#include "vclusterd/rest/route.h"

namespace strata::vcluster::rest {

// `with_runs`: also what each task runs, and where.
Json ToJson(const JobView& view, const Users& users, bool with_runs);
Json ToJson(const JobOutput& output);

void AddJobSchemas(RouteTable* table);

}  // namespace strata::vcluster::rest
