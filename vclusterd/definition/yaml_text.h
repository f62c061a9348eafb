// Writes a tree as YAML that people like to read: short lists and maps in one line, scripts as
// blocks, quotes only where they are needed (also for readers of YAML 1.1). Pure, thread-safe.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace strata::vcluster::file {

// REQUIRES: `map` is a map, and its texts are UTF-8 without control characters other than '\n' and
// '\t'. What is written is read as the same (document.h).
std::string YamlText(const nlohmann::ordered_json& map);

// The same value in one line: `[a, b]`, `{a: 1}`.
std::string FlowText(const nlohmann::ordered_json& value);

}  // namespace strata::vcluster::file
