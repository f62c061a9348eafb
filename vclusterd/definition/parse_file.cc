#include "vclusterd/definition/parse_file.h"

#include "vclusterd/definition/document.h"
#include "vclusterd/definition/read_definition.h"

namespace strata::vcluster {

Result<Definition> ParseDefinition(std::string_view text, const std::string& file_name) {
  ASSIGN_OR_RETURN(const file::Value root, file::ReadYamlOrJson(text, file_name));
  return file::ReadDefinition(root, file_name);
}

}  // namespace strata::vcluster
