// The API as an OpenAPI 3.1 document, made from the table of routes, and the same as the table of
// docs/rest.md. Pure.
#pragma once

#include <string>

#include "vclusterd/rest/route.h"

namespace strata::vcluster::rest {

Json OpenApiDocument(const RouteTable& table);
// Markdown, a line per route.
std::string RoutesTable(const RouteTable& table);

}  // namespace strata::vcluster::rest
