// Any bytes as what registries and their clients send in heads and small documents: addresses,
// scopes, routes, challenges, credentials, bearers. An error, or something that means the same when
// it is written again; never a bearer that is not ours.
//   build/fuzz/bin/make_registry_seeds CORPUS && build/fuzz/bin/fuzz_registry_text CORPUS
#include <cstdint>

#include "common/http/message.h"
#include "common/log.h"
#include "imaged/registry/bearer.h"
#include "imaged/registry/route.h"
#include "imaged/registry_client/credentials.h"
#include "imaged/registry_client/location.h"

namespace strata::imaged {
namespace {

const pki::Time kNow = std::chrono::system_clock::from_time_t(1'800'000'000);

void Try(std::string_view input) {
  static const BearerSigner signer = *BearerSigner::Create();
  static const RegistryLocation location = *ParseRegistryLocation("docker://host:5000/a/b:c");
  CHECK(!signer.Verify(input, kNow).ok());
  const auto route = ParseRoute(input);
  if (route && !route->repository.empty()) {
    const size_t slash = route->repository.find('/');
    CHECK(IsWord(route->repository.substr(0, slash)));
    CHECK(IsWord(route->repository.substr(slash + 1)));
  }
  (void)ParseScope(input);
  (void)http::ParseChallenge(input);
  (void)ParseRegistryLocation(input);
  (void)FindCredentials(input, location);
  (void)http::ParseQuery(input);
  const auto decoded = http::PercentDecode(input);
  if (decoded.ok()) CHECK(*http::PercentDecode(http::PercentEncode(*decoded)) == *decoded);
  if (const auto bytes = http::ParseBase64(input)) {
    CHECK(*http::ParseBase64(http::Base64(*bytes)) == *bytes);
  }
}

}  // namespace
}  // namespace strata::imaged

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  strata::imaged::Try({reinterpret_cast<const char*>(data), size});
  return 0;
}
