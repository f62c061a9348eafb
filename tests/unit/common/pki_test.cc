// Certificates of a cluster: what is signed, what is refused, and when.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/file_io.h"
#include "common/pki/authority.h"
#include "common/pki/random.h"
#include "common/pki/request.h"
#include "common/pki/verify.h"

namespace strata::pki {
namespace {

using std::chrono::hours;
using testing::HasSubstr;

constexpr hours kYear{24 * 365};
const Time kNow = std::chrono::system_clock::from_time_t(1'800'000'000);

Certificate Sign(const Authority& authority, const std::string& name, Time now,
                 std::chrono::seconds validity = kHostValidity) {
  const auto request = MakeRequest(*PrivateKey::Generate(), name);
  return *authority.SignHost(*ParseRequest(*request), now, validity);
}

TEST(Pki, AHostsCertificateNamesItAndIsValidForItsTimeOnly) {
  const auto authority = Authority::Create(kNow);
  ASSERT_TRUE(authority.ok()) << authority.error().message();
  const Certificate host = Sign(*authority, "host-a", kNow);
  EXPECT_EQ(host.host_name(), "host-a");
  EXPECT_FALSE(host.is_authority());
  EXPECT_EQ(host.serial().size(), 32u);
  const auto verify = [&](Time now) { return VerifyHost(host, authority->certificate(), now); };
  EXPECT_TRUE(verify(kNow).ok());
  EXPECT_TRUE(verify(kNow - std::chrono::minutes(4)).ok());
  EXPECT_TRUE(verify(kNow + kYear - hours(1)).ok());
  const Status expired = verify(kNow + kYear + hours(1));
  EXPECT_EQ(expired.error().code(), Code::kPermissionDenied);
  EXPECT_THAT(expired.error().message(),
              HasSubstr("host-a's certificate has expired: remove that host"));
  EXPECT_THAT(verify(kNow - hours(1)).error().message(), HasSubstr("clock"));
}

TEST(Pki, AnotherClustersHostAndAnAuthorityAreNoHostsOfOurs) {
  const auto ours = Authority::Create(kNow);
  const auto theirs = Authority::Create(kNow);
  const Status foreign = VerifyHost(Sign(*theirs, "host-a", kNow), ours->certificate(), kNow);
  EXPECT_THAT(foreign.error().message(), HasSubstr("not of our cluster"));
  const Status authority = VerifyHost(ours->certificate(), ours->certificate(), kNow);
  EXPECT_EQ(authority.error().code(), Code::kPermissionDenied);
  // A host's key signs nobody.
  const auto key = PrivateKey::Generate();
  const auto host = ours->SignHost(*ParseRequest(*MakeRequest(*key, "host-a")), kNow);
  EXPECT_EQ(Authority::Load(host->ToPem(), *key->ToPem()).error().code(), Code::kCorrupt);
}

TEST(Pki, AnAuthorityOutlivesItsHosts) {
  const auto authority = Authority::Create(kNow);
  EXPECT_GE(authority->certificate().not_after(), kNow + kYear * 10 - hours(24 * 5));
  const Time late = authority->certificate().not_after() - hours(24);
  EXPECT_EQ(Sign(*authority, "h", late).not_after(), authority->certificate().not_after());
}

TEST(Pki, KeysAndCertificatesSurviveTheirTexts) {
  const auto authority = Authority::Create(kNow);
  const auto loaded = Authority::Load(authority->certificate().ToPem(), *authority->KeyPem());
  ASSERT_TRUE(loaded.ok()) << loaded.error().message();
  EXPECT_EQ(loaded->certificate().fingerprint(), authority->certificate().fingerprint());
  EXPECT_TRUE(VerifyHost(Sign(*loaded, "b", kNow), authority->certificate(), kNow).ok());
  EXPECT_EQ(Certificate::FromDer(authority->certificate().ToDer())->fingerprint(),
            authority->certificate().fingerprint());
  EXPECT_FALSE(Certificate::FromDer(authority->certificate().ToDer() + "x").ok());
  const auto other = Authority::Create(kNow);
  EXPECT_EQ(Authority::Load(authority->certificate().ToPem(), *other->KeyPem()).error().code(),
            Code::kCorrupt);
}

TEST(Pki, RequestsAreCheckedBeforeAnythingIsSigned) {
  const auto key = PrivateKey::Generate();
  std::string der = *MakeRequest(*key, "host-b");
  EXPECT_EQ(ParseRequest(der)->host_name, "host-b");
  EXPECT_FALSE(ParseRequest(der + "x").ok());
  EXPECT_FALSE(ParseRequest(der.substr(0, der.size() - 1)).ok());
  EXPECT_FALSE(ParseRequest("").ok());
  EXPECT_FALSE(ParseRequest(std::string(5000, '0')).ok());
  // Another name under the same signature.
  const size_t at = der.find("host-b");
  ASSERT_NE(at, std::string::npos);
  der[at + 5] = 'c';
  const auto forged = ParseRequest(der);
  ASSERT_FALSE(forged.ok());
  EXPECT_THAT(forged.error().message(), HasSubstr("not signed with its own key"));
}

TEST(Pki, NamesAreLabels) {
  for (const char* name : {"a", "host-a", "9", "x--y"}) EXPECT_TRUE(IsHostName(name)) << name;
  for (const char* name : {"", "-a", "a-", "A", "a.b", "a b", "a,DNS:b", "a\n"}) {
    EXPECT_FALSE(IsHostName(name)) << name;
    EXPECT_FALSE(MakeRequest(*PrivateKey::Generate(), name).ok());
  }
  EXPECT_TRUE(IsHostName(std::string(63, 'a')));
  EXPECT_FALSE(IsHostName(std::string(64, 'a')));
  EXPECT_FALSE(IsHostName(std::string_view("a\0b", 3)));
}

TEST(Pki, RenewalIsDueInTheLastThird) {
  const auto authority = Authority::Create(kNow);
  const Certificate host = Sign(*authority, "h", kNow, hours(300));
  EXPECT_FALSE(RenewalIsDue(host, kNow));
  EXPECT_FALSE(RenewalIsDue(host, kNow + hours(198)));
  EXPECT_TRUE(RenewalIsDue(host, kNow + hours(201)));
  EXPECT_TRUE(RenewalIsDue(host, kNow + hours(400)));
}

TEST(Pki, NoTextOfSomethingElseIsAKeyOrACertificate) {
  for (const std::string& text : {std::string(), std::string("x"), std::string(70'000, 'A')}) {
    EXPECT_EQ(Certificate::FromPem(text).error().code(), Code::kCorrupt);
    EXPECT_EQ(Certificate::FromDer(text).error().code(), Code::kCorrupt);
    EXPECT_EQ(PrivateKey::FromPem(text).error().code(), Code::kCorrupt);
  }
}

TEST(Pki, SecretsAreForTheirOwnerAlone) {
  const auto directory = TemporaryDirectory::Create("/var/tmp", "strata-pki.");
  ASSERT_TRUE(directory.ok());
  const std::string secrets = directory->path() + "/a/b";
  ASSERT_TRUE(MakeSecretDirectory(secrets).ok());
  ASSERT_TRUE(SaveSecret(secrets + "/key", "k").ok());
  struct stat st = {};
  ASSERT_EQ(::stat(secrets.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0700u);
  ASSERT_EQ(::stat((secrets + "/key").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
}

TEST(Pki, HashesAndComparisons) {
  EXPECT_EQ(HexOf(Sha256("abc")),  // FIPS 180-2, appendix B.1.
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_TRUE(EqualInConstantTime("ab", "ab"));
  EXPECT_FALSE(EqualInConstantTime("ab", "ac"));
  EXPECT_FALSE(EqualInConstantTime("ab", "abc"));
  EXPECT_NE(*RandomBytes(16), *RandomBytes(16));
}

}  // namespace
}  // namespace strata::pki
