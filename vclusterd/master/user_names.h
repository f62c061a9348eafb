// Users by name and number, as the host's accounts have them. Thread-safe.
#pragma once

#include <sys/types.h>

#include <string>

#include "common/result.h"

namespace strata::vcluster {

// The name of a user, or the number where the host knows no name; and back (kNotFound).
std::string UserName(uid_t uid);
Result<uid_t> UserId(const std::string& name);

}  // namespace strata::vcluster
