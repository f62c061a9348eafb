// Any bytes as a roster: an error in words that can be shown, or students whom nothing doubles.
//   build/fuzz/bin/fuzz_roster -max_len=4096 CORPUS
#include <cstdint>
#include <set>
#include <string_view>

#include "common/log.h"
#include "common/printable.h"
#include "vclusterd/definition/roster.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace strata;
  using namespace strata::vcluster;
  const auto roster =
      ParseRoster(std::string_view(reinterpret_cast<const char*>(data), size), "the roster");
  if (!roster.ok()) {
    const std::string& message = roster.error().message();
    CHECK(!message.empty() && PrintablePrefix(message) == message.size());
    return 0;
  }
  CHECK(!roster->empty() && roster->size() < kRosterLinesMax);
  std::set<std::string> users;
  uint32_t line = 1;
  for (const RosterEntry& entry : *roster) {
    CHECK(entry.line > line);
    line = entry.line;
    CHECK(!entry.user.empty() && entry.user.size() <= kStudentNameMax);
    CHECK(entry.user.find('/') == std::string::npos && users.insert(entry.user).second);
    for (const std::string* field : {&entry.name, &entry.mail, &entry.group}) {
      CHECK(field->size() <= kRosterFieldMax && PrintablePrefix(*field) == field->size());
    }
  }
  return 0;
}
