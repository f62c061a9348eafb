// Images from and to OCI registries. This process speaks to the registry, with its user's rights
// and from his network; imaged gets, or gives, an archive.
#pragma once

#include <optional>
#include <string>

#include "common/result.h"
#include "imaged/api/imaged.pb.h"
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

// The options that both directions share. Not with `one_registry`: a user's name and password,
// which would go to whatever registry a file names.
void AddRegistryOptions(CLI::App* command, RegistryArguments* arguments, bool one_registry = true);

struct RegistryImport {
  std::string location;  // "docker://…/name:tag@sha256:…", by the digest that was found.
  std::optional<imaged::v1::ImportResult> result;  // Absent: `known` is that image.
};
// Brings an image here. `known`: the location that an earlier one told; that image is not brought
// again. `location_label`: a label of the image that becomes the location; empty: none. Shows
// progress; REQUIRES: no InterruptWatcher lives.
Result<RegistryImport> ImportFromRegistry(Tool& tool, const RegistryArguments& arguments,
                                          const std::string& known,
                                          const std::string& location_label);

Result<int> PullFromRegistry(Tool& tool, const RegistryArguments& arguments);
Result<int> PushToRegistry(Tool& tool, const RegistryArguments& arguments);

}  // namespace strata::tools
