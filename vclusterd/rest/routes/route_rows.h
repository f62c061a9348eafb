// Routes of one resource as a table: a row says what they differ in.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "vclusterd/rest/services.h"

namespace strata::vcluster::rest {

struct RouteRow {
  const char* method;
  const char* path;  // Behind that of the resource.
  const char* id;
  Operation right;
  const char* summary;
  const char* request;  // The schema of its body, as JSON; "": it has none.
  int status;           // Of success. 202: it begins an operation, and takes "wait".
  const char* answer;   // The schema of the answer; "": none, or an operation.
  Result<Reply> (*handle)(Exchange&);
  std::vector<QueryParameter> query = {};
};

// What the rows leave open is as Route has it, and may be changed before the route is added.
Route RouteOf(const RouteRow& row, const std::string& resource, const std::string& tag);
void AddRows(std::span<const RouteRow> rows, const std::string& resource, const std::string& tag,
             RouteTable* table);

}  // namespace strata::vcluster::rest
