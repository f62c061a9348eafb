#include "vclusterd/definition/parse_file.h"

#include "vclusterd/definition/document.h"
#include "vclusterd/definition/read_definition.h"

namespace strata::vcluster {

Result<Definition> ParseDefinition(std::string_view text, const std::string& file_name) {
  Result<file::Value> root = file::ReadYaml(text, file_name);
  if (!root.ok()) {
    // yaml-cpp lacks a corner of JSON: characters beyond U+FFFF as two \u. Faults in such a file
    // are told without their lines.
    Result<file::Value> json = file::ReadJson(text);
    if (!json.ok()) return root.error();
    root = std::move(json);
  }
  return file::ReadDefinition(*root, file_name);
}

}  // namespace strata::vcluster
