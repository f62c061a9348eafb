// Any bytes as a Vcluster file and as a stored definition: an error in words that can be shown, or
// a definition that is the same when it is written and read again.
//   build/fuzz/bin/make_vcluster_seeds SEEDS && build/fuzz/bin/fuzz_vcluster_file CORPUS SEEDS
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "common/log.h"
#include "common/printable.h"
#include "vclusterd/definition/diff.h"
#include "vclusterd/definition/faults.h"
#include "vclusterd/definition/format_file.h"
#include "vclusterd/definition/parse_file.h"

namespace strata::vcluster {
namespace {

void CheckResult(const Result<Definition>& parsed) {
  if (!parsed.ok()) {
    const std::string& message = parsed.error().message();
    CHECK(!message.empty());
    CHECK(PrintablePrefix(message, "\n") == message.size());
    const auto lines = std::count(message.begin(), message.end(), '\n') + 1;
    CHECK(static_cast<size_t>(lines) <= file::kFaultsShownMax + 1);
    return;
  }
  CHECK(CheckDefinition(*parsed).ok());
  const auto from_file = ParseDefinition(FormatDefinition(*parsed), "again");
  CHECK(from_file.ok() && *from_file == *parsed);
  const auto from_record = ParseDefinitionJson(FormatDefinitionJson(*parsed));
  CHECK(from_record.ok() && *from_record == *parsed);
  CHECK(DiffDefinitions(*parsed, *from_file).empty());
}

}  // namespace
}  // namespace strata::vcluster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace strata::vcluster;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  CheckResult(ParseDefinition(text, "file"));
  CheckResult(ParseDefinitionJson(text));
  return 0;
}
