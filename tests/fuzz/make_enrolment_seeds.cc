// Seeds for fuzz_enrolment: a token, a signing request and a certificate that are good.
#include "common/file_io.h"
#include "common/log.h"
#include "common/pki/authority.h"
#include "common/pki/random.h"
#include "imaged/peers/join_token.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string corpus = argv[1];
  const auto key = strata::pki::PrivateKey::Generate();
  CHECK(key.ok());
  const auto request = strata::pki::MakeRequest(*key, "host-a");
  CHECK(request.ok());
  const auto foreign = strata::pki::Authority::Create(std::chrono::system_clock::now());
  CHECK(foreign.ok());
  const auto certificate =
      foreign->SignHost(*strata::pki::ParseRequest(*request), std::chrono::system_clock::now());
  CHECK(certificate.ok());
  const std::string token = strata::imaged::EncodeToken(
      {"host-a", "10.0.0.1:7443", strata::pki::Sha256("ca"), std::string(16, 's')});
  CHECK(strata::MakeDirectories(corpus).ok());
  CHECK(strata::WriteFileAtomically(corpus + "/request", *request).ok());
  CHECK(strata::WriteFileAtomically(corpus + "/token", token).ok());
  CHECK(strata::WriteFileAtomically(corpus + "/certificate", certificate->ToDer()).ok());
  return 0;
}
