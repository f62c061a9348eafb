// Any bytes as each of OCI's and Docker's documents: an error, or something that is printed and
// read again as the same.
//   build/fuzz/bin/make_oci_seeds DOCUMENTS ARCHIVES
//   build/fuzz/bin/fuzz_oci_documents -max_len=65536 CORPUS DOCUMENTS
#include <cstdint>
#include <string_view>

#include "common/log.h"
#include "imaged/oci/documents.h"

namespace strata::imaged::oci {
namespace {

template <typename Parse, typename Print>
void Check(std::string_view text, const Parse& parse, const Print& print) {
  const auto parsed = parse(text);
  if (!parsed.ok()) {
    CHECK(!parsed.error().message().empty());
    return;
  }
  const std::string printed = print(*parsed);
  const auto again = parse(printed);
  CHECK(again.ok());
  CHECK(print(*again) == printed);
}

}  // namespace
}  // namespace strata::imaged::oci

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace strata::imaged::oci;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Check(text, ParseManifest, PrintManifest);
  Check(text, ParseIndex, PrintIndex);
  Check(text, ParseImageConfig, PrintImageConfig);
  Check(text, ParseDockerArchive, PrintDockerArchive);
  if (const auto platform = ParsePlatform(text); platform.ok()) {
    CHECK(platform->ToString() == text);
  }
  return 0;
}
