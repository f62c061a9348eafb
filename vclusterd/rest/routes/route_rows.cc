#include "vclusterd/rest/routes/route_rows.h"

#include "vclusterd/rest/routes/handler_parts.h"

namespace strata::vcluster::rest {
namespace {

constexpr int kBegun = 202;

}  // namespace

Route RouteOf(const RouteRow& row, const std::string& resource, const std::string& tag) {
  Route route{row.method, resource + row.path, row.id, tag, row.summary};
  route.operation = row.right;
  route.request = row.request;
  if (!route.request.empty()) route.body = BodyKind::kJson;
  route.query = row.query;
  route.answers = {{row.status, row.answer}};
  if (row.status == kBegun) {
    route.query.push_back(WaitParameter());
    route.answers = OperationAnswers();
  }
  route.handle = row.handle;
  return route;
}

void AddRows(std::span<const RouteRow> rows, const std::string& resource, const std::string& tag,
             RouteTable* table) {
  for (const RouteRow& row : rows) table->Add(RouteOf(row, resource, tag));
}

}  // namespace strata::vcluster::rest
