// Credentials for registries, as podman and docker keep them (containers-auth.json(5)).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "imaged/registry_client/location.h"

namespace strata::imaged {

struct RegistryCredentials {
  std::string user;
  std::string password;
};

// Those of the location in the text of an auth.json: the longest entry that is the host, or the
// host and the beginning of the repository; nullopt: there are none. kInvalidArgument for what is
// no auth.json, kUnsupported for credentials that another program keeps.
Result<std::optional<RegistryCredentials>> FindCredentials(std::string_view auth_json,
                                                           const RegistryLocation& location);

// From `file`; when it is empty, from $REGISTRY_AUTH_FILE or the file that `podman login` writes,
// if there is one.
Result<std::optional<RegistryCredentials>> LoadCredentials(const std::string& file,
                                                           const RegistryLocation& location);

}  // namespace strata::imaged
