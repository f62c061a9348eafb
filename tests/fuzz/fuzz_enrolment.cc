// Any bytes as a join token and as a signing request, which strangers may send: an error, or
// something that means the same when it is written again. Certificates too: a peer shows them.
//   build/fuzz/bin/fuzz_enrolment -max_len=5000 CORPUS
#include <cstdint>

#include "common/log.h"
#include "common/pki/authority.h"
#include "common/pki/verify.h"
#include "imaged/peers/join_token.h"

namespace strata {
namespace {

const pki::Time kNow = std::chrono::system_clock::from_time_t(1'800'000'000);

const pki::Authority& TheAuthority() {
  static const pki::Authority authority = *pki::Authority::Create(kNow);
  return authority;
}

void TryToken(std::string_view input) {
  const auto token = imaged::ParseToken(input);
  if (token.ok()) CHECK(imaged::EncodeToken(*token) == input);
}

void TryRequest(std::string_view input) {
  const auto request = pki::ParseRequest(input);
  if (!request.ok()) return;
  const auto certificate = TheAuthority().SignHost(*request, kNow);
  CHECK(certificate.ok() && certificate->host_name() == request->host_name);
  CHECK(pki::VerifyHost(*certificate, TheAuthority().certificate(), kNow).ok());
}

void TryCertificate(std::string_view input) {
  const auto certificate = pki::Certificate::FromDer(input);
  if (!certificate.ok()) return;
  CHECK(certificate->host_name().empty() || pki::IsHostName(certificate->host_name()));
  // Nobody but our authority makes our hosts, whatever is in the bytes.
  CHECK(!pki::VerifyHost(*certificate, TheAuthority().certificate(), kNow).ok());
}

}  // namespace
}  // namespace strata

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  strata::TryToken(input);
  strata::TryRequest(input);
  strata::TryCertificate(input);
  return 0;
}
