// The routes of the API, a file per resource. To add one: write an AddXRoutes with its schemas and
// handlers, call it in MakeRoutes, say in tests/unit/vclusterd/rest/role_cases.h who may do it, and
// let docs/rest.md have its lines (rest_routes_test says what is missing).
#pragma once

#include "vclusterd/rest/route.h"

namespace strata::vcluster::rest {

RouteTable MakeRoutes();

void AddAuditRoutes(RouteTable* table);
void AddClassRoutes(RouteTable* table);
void AddCreditRoutes(RouteTable* table);
void AddDockletRoutes(RouteTable* table);
void AddEventRoutes(RouteTable* table);
void AddGroupRoutes(RouteTable* table);
void AddHostRoutes(RouteTable* table);
void AddJobRoutes(RouteTable* table);
void AddMetaRoutes(RouteTable* table);
void AddNodeRoutes(RouteTable* table);
void AddOpenIdRoutes(RouteTable* table);
void AddOperationRoutes(RouteTable* table);
void AddQuotaRoutes(RouteTable* table);
void AddSessionRoutes(RouteTable* table);
void AddTemplateRoutes(RouteTable* table);
void AddTokenRoutes(RouteTable* table);
void AddUserRoutes(RouteTable* table);
void AddVclusterRoutes(RouteTable* table);

}  // namespace strata::vcluster::rest
