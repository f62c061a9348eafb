// Images from and to OCI registries. This process speaks to the registry, with its user's rights
// and from his network; imaged gets, or gives, an archive.
#pragma once

#include <string>

#include "common/result.h"
#include "tools/cli/tool.h"

namespace strata::tools {

struct RegistryArguments {
  std::string location;  // "docker://…"
  std::string name;      // Of the image here.
  bool replace = false;
  std::string platform;
  std::string creds_file;
  std::string username;
  bool password_stdin = false;
  std::string tls_verify = "true";
  std::string ca_file;
};

// The options that both directions share.
void AddRegistryOptions(CLI::App* command, RegistryArguments* arguments);

Result<int> PullFromRegistry(Tool& tool, const RegistryArguments& arguments);
Result<int> PushToRegistry(Tool& tool, const RegistryArguments& arguments);

}  // namespace strata::tools
