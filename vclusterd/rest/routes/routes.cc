#include "vclusterd/rest/routes/routes.h"

#include "vclusterd/rest/operation_book.h"
#include "vclusterd/rest/problem.h"
#include "vclusterd/rest/vcluster_json.h"

namespace strata::vcluster::rest {

RouteTable MakeRoutes() {
  RouteTable table;
  table.AddSchema("Problem", ProblemSchema());
  table.AddSchema("Operation", OperationSchema());
  AddVclusterSchemas(&table);
  AddMetaRoutes(&table);
  AddSessionRoutes(&table);
  AddOpenIdRoutes(&table);
  AddVclusterRoutes(&table);
  AddNodeRoutes(&table);
  AddJobRoutes(&table);
  AddClassRoutes(&table);
  AddTemplateRoutes(&table);
  AddOperationRoutes(&table);
  AddEventRoutes(&table);
  AddHostRoutes(&table);
  AddUserRoutes(&table);
  AddTokenRoutes(&table);
  AddGroupRoutes(&table);
  AddQuotaRoutes(&table);
  AddCreditRoutes(&table);
  AddAuditRoutes(&table);
  AddDockletRoutes(&table);
  return table;
}

}  // namespace strata::vcluster::rest
