// Route: one thing that the API does: its address, its right, what it takes, what it answers, and
// the function that does it. Everything that is said about the API, the OpenAPI document and
// docs/rest.md, is made from the table of these, and a test tries each of them as every role.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/http/server.h"
#include "common/result.h"
#include "vclusterd/rest/schema.h"
#include "vclusterd/users/users.h"

namespace strata::vcluster::rest {

struct Services;

// One request, when its route is found and its caller known. Lives as long as the handler runs.
struct Exchange {
  const http::Request& request;
  Services& services;
  Caller caller;                            // Of an open route: nobody in particular.
  bool signed_in = false;                   // `caller` showed a token.
  std::map<std::string, std::string> path;  // What stands in the address for "{…}", decoded.
  Json query = Json::object();              // As Route::query says.
  Json body;                                // As Route::request says.
  std::string text;                         // The body as it came, of BodyKind::kDefinition.

  // Of the query: what it says, or `otherwise`.
  template <typename T>
  T Asked(const char* name, T otherwise) const {
    const auto found = query.find(name);
    return found == query.end() ? otherwise : found->get<T>();
  }
  template <typename T>
  std::optional<T> Asked(const char* name) const {
    const auto found = query.find(name);
    return found == query.end() ? std::nullopt : std::optional<T>(found->get<T>());
  }
  // Of the body, likewise.
  template <typename T>
  T Given(const char* name, T otherwise) const {
    const auto found = body.find(name);
    return found == body.end() ? otherwise : found->get<T>();
  }
  template <typename T>
  std::optional<T> Given(const char* name) const {
    const auto found = body.find(name);
    return found == body.end() ? std::nullopt : std::optional<T>(found->get<T>());
  }
};

struct Reply {
  int status = 200;
  Json body;  // Null: there is none, or `text` is it.
  http::Fields headers;
  std::string text;
  std::string content_type;                  // Of `text` and `stream`.
  std::unique_ptr<http::BodySource> stream;  // Goes on as long as the client listens.
};

enum class Access {
  kOpen,      // Strangers too.
  kSignedIn,  // Who shows a good token.
};

enum class BodyKind {
  kNone,
  kJson,        // application/json
  kForm,        // application/x-www-form-urlencoded, whose fields are `request`'s members
  kDefinition,  // A Vcluster file: application/json or application/yaml
};

struct QueryParameter {
  std::string name;
  Json schema;
};

struct Route {
  std::string method;
  std::string path;  // "/v1/vclusters/{vcluster}"
  std::string id;    // "getVcluster"
  std::string tag;   // Of the resource: "vclusters".
  std::string summary;
  Access access = Access::kSignedIn;
  // What is checked: by Clusters and Users for what they do, in the handler otherwise. Absent: what
  // one may see of it is one's own.
  std::optional<Operation> operation;
  std::vector<QueryParameter> query;
  BodyKind body = BodyKind::kNone;
  std::string request;  // The name of its body's schema.
  size_t body_bytes_max = 64 << 10;
  std::map<int, std::string> answers;  // Of success: the name of the schema by status; "": no body.
  std::string answer_type = "application/json";
  bool only_leader = true;     // Only the master that leads can do it.
  int exhausted_status = 403;  // What kResourceExhausted is answered with.
  std::function<Result<Reply>(Exchange&)> handle;
};

class RouteTable {
 public:
  // REQUIRES: no other route has the method and path; schemas that it names are added before the
  // table is used.
  void Add(Route route);
  void AddSchema(const std::string& name, Json schema);

  struct Found {
    const Route* route = nullptr;  // Null: there is none.
    std::map<std::string, std::string> path;
    std::string allowed;  // Without a route: methods that the address has; empty: no such address.
  };
  // `path` as it came, not decoded.
  Found Find(const std::string& method, std::string_view path) const;

  const std::vector<std::unique_ptr<const Route>>& routes() const { return routes_; }
  const std::map<std::string, Json>& schemas() const { return schemas_; }

 private:
  struct Entry {
    std::vector<std::string> segments;
    const Route* route;
  };
  std::vector<std::unique_ptr<const Route>> routes_;  // In the order of Add.
  std::map<size_t, std::vector<Entry>> by_length_;
  std::map<std::string, Json> schemas_;
};

// "{name}": stands for a segment of an address.
bool IsVariable(std::string_view segment);
std::vector<std::string> SegmentsOf(std::string_view path);

}  // namespace strata::vcluster::rest
