#include "vclusterd/rest/open_api.h"

#include <cctype>

#include "vclusterd/rest/problem.h"

namespace strata::vcluster::rest {
namespace {

constexpr char kProblemType[] = "application/problem+json";

Json Content(const std::string& type, const Json& schema) { return {{type, {{"schema", schema}}}}; }

std::string_view WordsOf(int status) {
  switch (status) {
    case 200:
      return "Done.";
    case 201:
      return "Made.";
    case 202:
      return "Begun: the operation says how far it is.";
    case 204:
      return "Done; there is nothing to say.";
    case 302:
      return "Go on there.";
    default:
      return "Answered.";
  }
}

Json Parameters(const Route& route) {
  Json parameters = Json::array();
  for (const std::string& segment : SegmentsOf(route.path)) {
    if (!IsVariable(segment)) continue;
    parameters.push_back({{"name", segment.substr(1, segment.size() - 2)},
                          {"in", "path"},
                          {"required", true},
                          {"schema", {{"type", "string"}, {"maxLength", 300}}}});
  }
  for (const QueryParameter& parameter : route.query) {
    Json schema = parameter.schema;
    Json entry = {{"name", parameter.name}, {"in", "query"}, {"required", false}};
    if (schema.contains("description")) {
      entry["description"] = schema["description"];
      schema.erase("description");
    }
    entry["schema"] = std::move(schema);
    parameters.push_back(std::move(entry));
  }
  return parameters;
}

Json RequestBody(const Route& route) {
  const Json schema = schema::Ref(route.request);
  if (route.body == BodyKind::kForm) {
    return {{"content", Content("application/x-www-form-urlencoded", schema)}, {"required", true}};
  }
  Json content = Content("application/json", schema);
  if (route.body == BodyKind::kDefinition) {
    content["application/yaml"] = {{"schema", schema}};
  }
  return {{"content", std::move(content)}, {"required", true}};
}

Json Responses(const Route& route) {
  Json responses = Json::object();
  for (const auto& [status, name] : route.answers) {
    Json response = {{"description", WordsOf(status)}};
    if (!name.empty()) {
      response["content"] =
          Content(route.answer_type, route.answer_type == "application/json"
                                         ? schema::Ref(name)
                                         : Json{{"type", "string"}, {"description", name}});
    }
    responses[std::to_string(status)] = std::move(response);
  }
  responses["default"] = {{"description", "Not done; the body says why."},
                          {"content", Content(kProblemType, schema::Ref("Problem"))}};
  return responses;
}

Json OperationOf(const Route& route) {
  Json operation = {{"operationId", route.id},
                    {"summary", route.summary},
                    {"tags", Json::array({route.tag})},
                    {"responses", Responses(route)}};
  if (Json parameters = Parameters(route); !parameters.empty()) {
    operation["parameters"] = std::move(parameters);
  }
  if (route.body != BodyKind::kNone) operation["requestBody"] = RequestBody(route);
  if (route.access == Access::kOpen) operation["security"] = Json::array();
  if (route.operation) operation["x-strata-right"] = vcluster::NameOf(*route.operation);
  return operation;
}

}  // namespace

Json OpenApiDocument(const RouteTable& table) {
  Json document = {
      {"openapi", "3.1.0"},
      {"info",
       {{"title", "Strata"},
        {"version", "1"},
        {"description", "Vclusters of LXC containers on shared hosts (docs/rest.md)."}}},
      {"servers", Json::array({{{"url", "/"}}})},
      {"security", Json::array({{{"bearer", Json::array()}}, {{"cookie", Json::array()}}})}};
  document["components"]["securitySchemes"] = {
      {"bearer", {{"type", "http"}, {"scheme", "bearer"}}},
      {"cookie", {{"type", "apiKey"}, {"in", "cookie"}, {"name", "__Host-strata"}}}};
  Json& schemas = document["components"]["schemas"];
  for (const auto& [name, schema] : table.schemas()) schemas[name] = schema;
  for (const auto& route : table.routes()) {
    std::string method = route->method;
    for (char& c : method) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    document["paths"][route->path][method] = OperationOf(*route);
  }
  return document;
}

std::string RoutesTable(const RouteTable& table) {
  std::string text = "| route | does | right |\n|---|---|---|\n";
  for (const auto& route : table.routes()) {
    const std::string right = route->operation
                                  ? "`" + std::string(vcluster::NameOf(*route->operation)) + "`"
                              : route->access == Access::kOpen ? "anybody"
                                                               : "signed in";
    text += "| `" + route->method + " " + route->path + "` | " + route->summary + " | " + right +
            " |\n";
  }
  return text;
}

}  // namespace strata::vcluster::rest
