// The value of RUN --mount: "type=bind,from=tools,target=/t". Pure, thread-safe.
#pragma once

#include <string>
#include <vector>

namespace strata::imaged::build {

struct MountField {
  std::string key;
  std::string value;  // Empty also for a key alone.
};
std::vector<MountField> MountFields(const std::string& mount);
// "bind" when none is said, as in Docker.
std::string MountType(const std::vector<MountField>& fields);
// Where a bind takes its files from; empty: the context, or it is no bind.
std::string BindFrom(const std::string& mount);

}  // namespace strata::imaged::build
