#include "vclusterd/definition/format_file.h"

#include "vclusterd/definition/document.h"
#include "vclusterd/definition/read_definition.h"
#include "vclusterd/definition/to_json.h"
#include "vclusterd/definition/yaml_text.h"

namespace strata::vcluster {
namespace {

using Json = nlohmann::ordered_json;

// One role that nobody named, without what stands only below `roles`: its keys are at the top.
bool IsOneRole(const Definition& definition) {
  return definition.roles.size() == 1 && definition.roles[0].name == kDefaultRole &&
         definition.roles[0].volumes.empty() && definition.roles[0].after.empty();
}

}  // namespace

std::string FormatDefinition(const Definition& definition) {
  Json json = file::DefinitionToJson(definition);
  if (IsOneRole(definition)) {
    const Json role = json["roles"][definition.roles[0].name];
    json.erase("roles");
    for (const auto& [key, value] : role.items()) json[key == "count" ? "nodes" : key] = value;
  }
  return file::YamlText(json);
}

std::string FormatDefinitionJson(const Definition& definition) {
  Json json = {{"version", file::kDefinitionVersion}};
  json.update(file::DefinitionToJson(definition));
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Definition> ParseDefinitionJson(std::string_view json) {
  const Result<file::Value> root = file::ReadJson(json);
  if (!root.ok()) return Error(Code::kCorrupt, "the definition " + root.error().message());
  if (root->Find("version") == nullptr) {
    return Error(Code::kCorrupt, "the definition has no version");
  }
  Result<Definition> definition = file::ReadDefinition(*root, "the definition");
  if (!definition.ok()) return Error(Code::kCorrupt, definition.error().message());
  return definition;
}

}  // namespace strata::vcluster
