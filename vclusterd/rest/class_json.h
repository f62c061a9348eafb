// Templates and classes as the API shows them, with their schemas. Pure.
#pragma once

#include "vclusterd/classes/classes.h"
#include "vclusterd/rest/route.h"

namespace strata::vcluster::rest {

// `in_full`: with its images and its Vcluster file.
Json ToJson(const Users& users, const master::v1::Template& record, bool in_full);
// `with_students`: also each of them.
Json ToJson(const Users& users, const ClassView& view, bool with_students);

void AddClassSchemas(RouteTable* table);

}  // namespace strata::vcluster::rest
