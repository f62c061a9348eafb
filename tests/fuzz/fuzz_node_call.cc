// Any bytes as a call of a node: an error in words that can be shown, or a call within its bounds.
//   build/fuzz/bin/fuzz_node_call -max_len=8192 CORPUS
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "common/log.h"
#include "common/printable.h"
#include "vclusterd/definition/definition.h"
#include "vclusterd/host/node_call.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace strata;
  using namespace strata::vcluster;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto call = ParseNodeCall(text);
  if (!call.ok()) {
    const std::string& message = call.error().message();
    CHECK(!message.empty() && PrintablePrefix(message) == message.size());
    CHECK(FormatNodeRefusal(call.error()).size() < kNodeAnswerBytesMax);
    return 0;
  }
  CHECK(IsWholeNodeCall(text) && !call->request.token().empty());
  CHECK(call->request.roles_size() <= static_cast<int>(kRolesMax));
  std::set<std::string> roles;
  for (const host::v1::RoleCount& role : call->request.roles()) {
    CHECK(!role.role().empty() && role.role().size() <= kRoleNameSizeMax);
    CHECK(PrintablePrefix(role.role()) == role.role().size() && roles.insert(role.role()).second);
    CHECK(role.count() >= -1000 && role.count() <= 1000 && (role.relative() || role.count() >= 0));
  }
  return 0;
}
