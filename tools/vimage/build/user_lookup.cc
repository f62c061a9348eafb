#include "tools/vimage/build/user_lookup.h"

#include <charconv>
#include <optional>
#include <sstream>
#include <vector>

#include "common/printable.h"

namespace strata::tools {
namespace {

std::optional<uint32_t> Number(const std::string& text) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The line whose field `key` is `wanted`, as fields; empty: none.
std::vector<std::string> Line(const std::string& table, size_t key, const std::string& wanted) {
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) {
    std::vector<std::string> fields;
    std::istringstream parts(line);
    for (std::string field; std::getline(parts, field, ':');) fields.push_back(field);
    if (fields.size() > 2 && fields[key] == wanted) return fields;
  }
  return {};
}

}  // namespace

Result<CopyOrder::Owner> UserLookup::Find(const std::string& text) {
  const size_t colon = text.find(':');
  const std::string user = text.substr(0, colon);
  const std::string group = colon == std::string::npos ? "" : text.substr(colon + 1);
  CopyOrder::Owner owner;
  ASSIGN_OR_RETURN(const std::string passwd, files_.ReadText("etc/passwd"));
  const std::optional<uint32_t> uid = Number(user);
  const std::vector<std::string> line = Line(passwd, uid ? 2 : 0, user);
  if (!uid && line.empty()) {
    return Error(Code::kNotFound, "the image's /etc/passwd has no user '" + Printable(user) + "'");
  }
  owner.uid = uid ? *uid : Number(line[2]).value_or(0);
  if (group.empty()) {
    owner.gid = line.size() > 3 ? Number(line[3]).value_or(0) : 0;
    return owner;
  }
  if (const auto gid = Number(group)) {
    owner.gid = *gid;
    return owner;
  }
  ASSIGN_OR_RETURN(const std::string groups, files_.ReadText("etc/group"));
  const std::vector<std::string> found = Line(groups, 0, group);
  if (found.empty()) {
    return Error(Code::kNotFound, "the image's /etc/group has no group '" + Printable(group) + "'");
  }
  owner.gid = Number(found[2]).value_or(0);
  return owner;
}

}  // namespace strata::tools
