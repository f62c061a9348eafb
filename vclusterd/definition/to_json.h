// A Definition as the tree of keys that a Vcluster file has: the one place that knows how values
// are written. Files, records and differences are made of it. Pure, thread-safe.
#pragma once

#include <nlohmann/json.hpp>

#include "vclusterd/definition/definition.h"

namespace strata::vcluster::file {

enum class Defaults {
  kLeaveOut,  // What is as it would be anyway: for files and records.
  kKeep,      // Every key with a default has it; absent are only those without: for comparing.
};

// Without "roles" and "volumes".
nlohmann::ordered_json TopToJson(const Definition& definition, Defaults defaults);
nlohmann::ordered_json RoleToJson(const Role& role, Defaults defaults);

// The whole, with "roles".
nlohmann::ordered_json DefinitionToJson(const Definition& definition);

}  // namespace strata::vcluster::file
