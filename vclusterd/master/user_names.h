// Users by name and number, as the host's accounts have them. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace strata::vcluster {

// nullopt: the host knows none. A name is remembered for some seconds, because the host's sources
// of names may be slow.
std::optional<std::string> HostUserName(uint32_t uid);
std::optional<uint32_t> HostUid(const std::string& name);

}  // namespace strata::vcluster
