// Bases that are named as registries name images: "registry.lab:5000/team/app:1.2". Pure,
// thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace strata::imaged::build {

// "docker://registry.lab:5000/team/app:1.2", when the first component is a host: it has a dot or a
// colon, or is "localhost". nullopt for anything else ("debian", "alice/spark:v1").
std::optional<std::string> RegistryLocationOf(std::string_view reference);

// The tag under which a base from `location` is kept: readable, and different for different ones.
std::string BaseTag(std::string_view location);

}  // namespace strata::imaged::build
