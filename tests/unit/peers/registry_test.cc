// The list of hosts: changes, copies, revocation, and that it survives a restart.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file_io.h"
#include "common/pki/authority.h"
#include "imaged/peers/host_registry.h"
#include "imaged/peers/unix_time.h"

namespace strata::imaged {
namespace {

using std::chrono::hours;
using testing::HasSubstr;

const pki::Time kNow = std::chrono::system_clock::from_time_t(1'800'000'000);

class RegistryTest : public testing::Test {
 protected:
  void SetUp() override {
    auto created = TemporaryDirectory::Create("/var/tmp", "strata-hosts.");
    ASSERT_TRUE(created.ok());
    directory_.emplace(std::move(*created));
    Reopen();
  }
  void Reopen() {
    auto registry = HostRegistry::Open(Path());
    ASSERT_TRUE(registry.ok()) << registry.error().message();
    registry_ = std::move(*registry);
  }
  std::string Path() const { return directory_->path() + "/hosts.json"; }

  pki::Certificate Sign(const std::string& name, std::chrono::seconds validity = hours(100)) {
    const auto request = pki::MakeRequest(*pki::PrivateKey::Generate(), name);
    return *authority_.SignHost(*pki::ParseRequest(*request), kNow, validity);
  }
  static v1::Host HostOf(const std::string& name, bool issuer = false) {
    v1::Host host;
    host.set_name(name);
    host.set_address("10.0.0.1:7443");
    host.set_issuer(issuer);
    return host;
  }
  std::string Names() {
    std::string names;
    const v1::HostList list = registry_->List();
    for (const v1::Host& host : list.hosts()) names += host.name() + " ";
    return names;
  }

  const pki::Authority authority_ = *pki::Authority::Create(kNow);
  std::optional<TemporaryDirectory> directory_;
  std::unique_ptr<HostRegistry> registry_;
};

TEST_F(RegistryTest, HostsAreKeptAndEveryChangeIsANewGeneration) {
  ASSERT_TRUE(registry_->Add(HostOf("a", true), Sign("a")).ok());
  ASSERT_TRUE(registry_->Add(HostOf("b"), Sign("b")).ok());
  EXPECT_EQ(registry_->Add(HostOf("b"), Sign("b")).error().code(), Code::kAlreadyExists);
  Reopen();
  EXPECT_EQ(Names(), "a b ");
  EXPECT_EQ(registry_->List().generation(), 2u);
  EXPECT_EQ(registry_->Issuer()->name(), "a");
  EXPECT_EQ(registry_->Find("c").error().code(), Code::kNotFound);
}

TEST_F(RegistryTest, ARemovedHostsCertificatesAreAllRefusedAtOnceAndLater) {
  const auto first = Sign("b");
  const auto second = Sign("b");
  ASSERT_TRUE(registry_->Add(HostOf("b"), first).ok());
  ASSERT_TRUE(registry_->AddCertificate(first, second, kNow).ok());
  EXPECT_TRUE(registry_->Admit(first, kNow).ok());
  ASSERT_TRUE(registry_->Remove("b", kNow).ok());
  for (const auto& certificate : {first, second}) {
    const Status refused = registry_->Admit(certificate, kNow);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code(), Code::kPermissionDenied);
    EXPECT_THAT(refused.error().message(), HasSubstr("host 'b' was removed"));
  }
  Reopen();
  EXPECT_FALSE(registry_->Admit(second, kNow).ok());
  // The name may come back with another certificate; the old ones may not.
  const auto third = Sign("b");
  ASSERT_TRUE(registry_->Add(HostOf("b"), third).ok());
  EXPECT_TRUE(registry_->Admit(third, kNow).ok());
  EXPECT_FALSE(registry_->Admit(first, kNow).ok());
}

TEST_F(RegistryTest, AnExpiredCertificateIsRefusedOnALiveConnectionToo) {
  const auto certificate = Sign("b");
  EXPECT_TRUE(registry_->Admit(certificate, kNow + hours(99)).ok());
  EXPECT_THAT(registry_->Admit(certificate, kNow + hours(101)).error().message(),
              HasSubstr("expired"));
}

TEST_F(RegistryTest, WhatHasExpiredIsForgotten) {
  const auto first = Sign("b", hours(10));
  ASSERT_TRUE(registry_->Add(HostOf("b"), first).ok());
  ASSERT_TRUE(registry_->AddCertificate(first, Sign("b"), kNow + hours(11)).ok());
  EXPECT_EQ(registry_->Find("b")->certificates_size(), 1);
  ASSERT_TRUE(registry_->Add(HostOf("c"), Sign("c", hours(10))).ok());
  ASSERT_TRUE(registry_->Remove("c", kNow).ok());
  EXPECT_EQ(registry_->List().revoked_size(), 1);
  ASSERT_TRUE(registry_->Remove("b", kNow + hours(20)).ok());
  const v1::HostList list = registry_->List();
  ASSERT_EQ(list.revoked_size(), 1);
  EXPECT_EQ(list.revoked(0).host(), "b");
}

TEST_F(RegistryTest, TheIssuerStaysAndStrangersCannotBeRemoved) {
  ASSERT_TRUE(registry_->Add(HostOf("a", true), Sign("a")).ok());
  EXPECT_EQ(registry_->Remove("a", kNow).error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(registry_->Remove("x", kNow).error().code(), Code::kNotFound);
  EXPECT_EQ(Names(), "a ");
}

TEST_F(RegistryTest, OnlyAHostOfTodayGetsFurtherCertificatesAndNotAnyNumber) {
  const auto first = Sign("b");
  ASSERT_TRUE(registry_->Add(HostOf("b"), first).ok());
  for (int i = 1; i < kCertificatesMax; ++i) {
    ASSERT_TRUE(registry_->AddCertificate(first, Sign("b"), kNow).ok());
  }
  EXPECT_EQ(registry_->AddCertificate(first, Sign("b"), kNow).error().code(),
            Code::kResourceExhausted);
  // Another machine has the name now: the old one's certificate is no way to one for it.
  ASSERT_TRUE(registry_->Remove("b", kNow).ok());
  EXPECT_EQ(registry_->AddCertificate(first, Sign("b"), kNow).error().code(),
            Code::kPermissionDenied);
  ASSERT_TRUE(registry_->Add(HostOf("b"), Sign("b")).ok());
  EXPECT_EQ(registry_->AddCertificate(first, Sign("b"), kNow).error().code(),
            Code::kPermissionDenied);
}

TEST_F(RegistryTest, ACopyFollowsNewerListsOnly) {
  v1::HostList list;
  list.set_generation(7);
  *list.add_hosts() = HostOf("a", true);
  list.mutable_hosts(0)->set_last_seen_unix_ms(5);
  ASSERT_TRUE(registry_->Follow(list).ok());
  EXPECT_EQ(registry_->Find("a")->last_seen_unix_ms(), 0) << "the issuer saw it, not we";
  *list.add_hosts() = HostOf("b");
  ASSERT_TRUE(registry_->Follow(list).ok());
  EXPECT_EQ(Names(), "a ") << "the same generation";
  list.set_generation(8);
  ASSERT_TRUE(registry_->Follow(list).ok());
  Reopen();
  EXPECT_EQ(Names(), "a b ");
  *list.add_hosts() = HostOf("Not A Name");
  list.set_generation(9);
  EXPECT_EQ(registry_->Follow(list).error().code(), Code::kCorrupt);
}

TEST_F(RegistryTest, WhoWasSeenIsTold) {
  ASSERT_TRUE(registry_->Add(HostOf("b"), Sign("b")).ok());
  registry_->Seen("b", kNow);
  EXPECT_EQ(registry_->List().hosts(0).last_seen_unix_ms(), UnixMs(kNow));
}

TEST_F(RegistryTest, AFileThatIsNoneOfOursIsCorrupt) {
  for (const char* text : {"", "x", "[]", R"({"hosts": [{"name": "../b"}]})", R"({"more": 1})"}) {
    ASSERT_TRUE(WriteFileAtomically(Path(), text).ok());
    EXPECT_EQ(HostRegistry::Open(Path()).error().code(), Code::kCorrupt) << text;
  }
}

}  // namespace
}  // namespace strata::imaged
