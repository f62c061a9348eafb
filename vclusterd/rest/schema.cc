#include "vclusterd/rest/schema.h"

namespace strata::vcluster::rest::schema {

Json Text(std::string description, size_t size_max) {
  return {{"type", "string"}, {"maxLength", size_max}, {"description", std::move(description)}};
}

Json Word(std::string description, std::vector<std::string> words) {
  return {{"type", "string"}, {"enum", std::move(words)}, {"description", std::move(description)}};
}

Json Whole(std::string description, int64_t min, int64_t max) {
  return {{"type", "integer"},
          {"minimum", min},
          {"maximum", max},
          {"description", std::move(description)}};
}

Json Real(std::string description, double min, double max) {
  return {{"type", "number"},
          {"minimum", min},
          {"maximum", max},
          {"description", std::move(description)}};
}

Json Flag(std::string description) {
  return {{"type", "boolean"}, {"description", std::move(description)}};
}

Json ListOf(Json item, std::string description, size_t items_max) {
  Json list = {
      {"type", "array"}, {"items", std::move(item)}, {"description", std::move(description)}};
  if (items_max != 0) list["maxItems"] = items_max;
  return list;
}

Json Ref(const std::string& name) { return {{"$ref", "#/components/schemas/" + name}}; }

Members::Members(std::string description)
    : object_({{"type", "object"},
               {"description", std::move(description)},
               {"properties", Json::object()},
               {"additionalProperties", false}}) {}

Members& Members::Must(const std::string& name, Json member) {
  object_["required"].push_back(name);
  return May(name, std::move(member));
}

Members& Members::May(const std::string& name, Json member) {
  object_["properties"][name] = std::move(member);
  return *this;
}

}  // namespace strata::vcluster::rest::schema
