#include "imaged/build/mount_fields.h"

#include <algorithm>

namespace strata::imaged::build {

std::vector<MountField> MountFields(const std::string& mount) {
  std::vector<MountField> fields;
  for (size_t at = 0; at <= mount.size();) {
    const size_t comma = std::min(mount.find(',', at), mount.size());
    const std::string field = mount.substr(at, comma - at);
    const size_t equals = std::min(field.find('='), field.size());
    fields.push_back({field.substr(0, equals), field.substr(std::min(equals + 1, field.size()))});
    at = comma + 1;
  }
  return fields;
}

std::string MountType(const std::vector<MountField>& fields) {
  std::string type = "bind";
  for (const MountField& field : fields) {
    if (field.key == "type") type = field.value;
  }
  return type;
}

std::string BindFrom(const std::string& mount) {
  const std::vector<MountField> fields = MountFields(mount);
  if (MountType(fields) != "bind") return "";
  std::string from;
  for (const MountField& field : fields) {
    if (field.key == "from") from = field.value;
  }
  return from;
}

}  // namespace strata::imaged::build
