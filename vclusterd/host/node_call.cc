#include "vclusterd/host/node_call.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "common/printable.h"
#include "vclusterd/definition/definition.h"

namespace strata::vcluster {
namespace {

using host::v1::NodeAskResponse;
using host::v1::RoleState;

constexpr std::string_view kEnd = "\n\n";
constexpr std::string_view kScale = "strata 1 scale";
constexpr std::string_view kStatus = "strata 1 status";
constexpr std::string_view kToken = "token ";
constexpr std::string_view kRole = "role ";
constexpr size_t kTokenBytesMax = 64;
constexpr int32_t kCountMax = 1000;  // More than a Vcluster can have: its limit is told by name.
constexpr size_t kShownMax = 40;

Error Wrong(const std::string& what) { return Error(Code::kInvalidArgument, what); }

// As docs/cli.md has them.
int ExitCodeOf(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return 2;
    case Code::kNotFound:
      return 3;
    case Code::kPermissionDenied:
      return 4;
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
      return 6;
    case Code::kFailedPrecondition:
    case Code::kResourceExhausted:
      return 7;
    default:
      return 1;
  }
}

// "web=5", "web=+2", "web=-1"
Result<host::v1::RoleCount> ParseRoleCount(std::string_view text) {
  const size_t equals = text.find('=');
  const std::string shown = "'" + Printable(text, kShownMax) + "'";
  if (equals == 0 || equals == std::string_view::npos) {
    return Wrong(shown + " is no ROLE=N (such as web=5, web=+2 or web=-1)");
  }
  host::v1::RoleCount role;
  std::string_view number = text.substr(equals + 1);
  role.set_relative(number.starts_with('+') || number.starts_with('-'));
  if (number.starts_with('+')) number.remove_prefix(1);
  const std::string_view name = text.substr(0, equals);
  int32_t count = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), count);
  const bool is_number = error == std::errc() && end == number.data() + number.size();
  if (!is_number || count > kCountMax || count < -kCountMax ||
      (text[equals + 1] == '+' && count < 0)) {
    return Wrong(shown + " is no ROLE=N (such as web=5, web=+2 or web=-1)");
  }
  if (name.size() > kRoleNameSizeMax || PrintablePrefix(name) != name.size()) {
    return Wrong(shown + " is of no role");
  }
  role.set_role(std::string(name));
  role.set_count(count);
  return role;
}

Status ParseLine(std::string_view line, NodeCall* call) {
  if (line == "json") {
    call->json = true;
    return Ok();
  }
  if (line.starts_with(kToken) && call->request.token().empty()) {
    const std::string_view token = line.substr(kToken.size());
    if (token.size() > kTokenBytesMax || PrintablePrefix(token) != token.size()) {
      return Wrong("this is no token");
    }
    call->request.set_token(std::string(token));
    return Ok();
  }
  if (!line.starts_with(kRole)) return Wrong("'" + Printable(line, kShownMax) + "' is not known");
  ASSIGN_OR_RETURN(host::v1::RoleCount role, ParseRoleCount(line.substr(kRole.size())));
  for (const host::v1::RoleCount& other : call->request.roles()) {
    if (other.role() == role.role()) return Wrong("role " + role.role() + " is named twice");
  }
  if (call->request.roles_size() == static_cast<int>(kRolesMax)) return Wrong("too many roles");
  *call->request.add_roles() = std::move(role);
  return Ok();
}

std::string Numbered(uint32_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string ScaledText(const NodeCall& call, const NodeAskResponse& response) {
  std::string text;
  for (const RoleState& role : response.roles()) {
    const bool asked =
        std::any_of(call.request.roles().begin(), call.request.roles().end(),
                    [&](const auto& change) { return change.role() == role.role(); });
    if (!asked) continue;
    text += role.role() + ": ";
    if (role.before() == role.wanted()) {
      text += Numbered(role.wanted(), "node") + ", as before";
    } else {
      text += std::to_string(role.before()) + " -> " + Numbered(role.wanted(), "node");
    }
    text += " (" + std::to_string(role.running()) + " running)\n";
  }
  return text;
}

std::string TableText(const NodeAskResponse& response) {
  std::vector<std::vector<std::string>> rows = {{"ROLE", "WANTED", "RUNNING", "NODES MAY ASK FOR"}};
  for (const RoleState& role : response.roles()) {
    rows.push_back(
        {role.role(), std::to_string(role.wanted()), std::to_string(role.running()),
         role.scales() ? std::to_string(role.min()) + " to " + std::to_string(role.max()) : "-"});
  }
  std::vector<size_t> widths(rows[0].size(), 0);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const bool is_last = i + 1 == row.size();
      text += row[i] + (is_last ? "\n" : std::string(widths[i] - row[i].size() + 2, ' '));
    }
  }
  return text;
}

std::string JsonText(const NodeAskResponse& response) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(response, &text, options).ok()) return "{}\n";
  if (!text.ends_with('\n')) text += '\n';
  return text;
}

}  // namespace

bool IsWholeNodeCall(std::string_view text) { return text.find(kEnd) != std::string_view::npos; }

Result<NodeCall> ParseNodeCall(std::string_view text) {
  const size_t end = text.find(kEnd);
  if (end == std::string_view::npos || end > kNodeCallBytesMax) {
    return Wrong("this call does not end within " + std::to_string(kNodeCallBytesMax) + " bytes");
  }
  text = text.substr(0, end);
  NodeCall call;
  std::optional<bool> scales;
  while (true) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (!scales.has_value()) {
      if (line != kScale && line != kStatus) {
        return Wrong("'" + Printable(line, kShownMax) + "' is no call that is known here");
      }
      scales = line == kScale;
    } else {
      RETURN_IF_ERROR(ParseLine(line, &call));
    }
    if (line.size() == text.size()) break;
    text.remove_prefix(line.size() + 1);
  }
  if (call.request.token().empty()) return Wrong("this call shows no token");
  if (*scales == call.request.roles().empty()) {
    return Wrong(*scales ? "which role, and how many? (such as web=5)"
                         : "no role is named to see how things are");
  }
  return call;
}

std::string FormatNodeAnswer(const NodeCall& call, const NodeAskResponse& response) {
  std::string text = "0\n";
  if (call.json) {
    text += JsonText(response);
  } else {
    text += call.request.roles().empty() ? TableText(response) : ScaledText(call, response);
    if (!response.notice().empty()) text += "notice: " + PrintableText(response.notice()) + "\n";
  }
  if (text.size() <= kNodeAnswerBytesMax) return text;
  return FormatNodeRefusal(Error(Code::kInternal, "the answer is too long"));
}

std::string FormatNodeRefusal(const Error& error) {
  return std::to_string(ExitCodeOf(error.code())) + "\n" +
         PrintableText(error.message().substr(0, kNodeAnswerBytesMax / 8)) + "\n";
}

}  // namespace strata::vcluster
