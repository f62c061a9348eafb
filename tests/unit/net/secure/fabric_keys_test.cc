// Keys of hosts, and the files in which they are.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <set>
#include <thread>
#include <vector>

#include "common/file_io.h"
#include "net/secure/endpoint.h"
#include "net/secure/key_store.h"

namespace strata::net {
namespace {

KeyBytes FromHex(const std::string& hex) {
  KeyBytes bytes;
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(std::stoi(hex.substr(2 * i, 2), nullptr, 16));
  }
  return bytes;
}

// Section 6.1.
TEST(FabricKeys, ThePublicHalfIsThatOfRfc7748) {
  const SecretKey alice(
      FromHex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
  EXPECT_EQ(alice.Public().value().bytes,
            FromHex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
}

TEST(FabricKeys, ANewPrivateKeyIsAsDriversKeepIt) {
  std::set<std::string> seen;
  for (int i = 0; i < 20; ++i) {
    const SecretKey key = SecretKey::GeneratePrivate().value();
    EXPECT_EQ(key.bytes()[0] & 7, 0);
    EXPECT_EQ(key.bytes()[31] & 0xc0, 0x40);
    EXPECT_TRUE(seen.insert(key.ToString()).second);
  }
}

TEST(FabricKeys, KeysAreWrittenAsWgWritesThem) {
  const SecretKey key = SecretKey::GeneratePrivate().value();
  EXPECT_EQ(key.ToString().size(), 44u);
  EXPECT_TRUE(SecretKey::Parse(key.ToString()).value() == key);
  const PublicKey zeros;
  EXPECT_EQ(zeros.ToString(), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
  PublicKey high;
  high.bytes.fill(0xff);
  EXPECT_EQ(high.ToString(), "//////////////////////////////////////////8=");
  EXPECT_EQ(PublicKey::Parse(high.ToString()).value(), high);
  for (const std::string bad : {"", "=", "AAAA", "__________________________________________8=",
                                "//////////////////////////////////////////9=",
                                "//////////////////////////////////////////8",
                                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                "AAAAAAAAAAAAAAAAAAAAAA AAAAAAAAAAAAAAAAAAAA="}) {
    EXPECT_FALSE(PublicKey::Parse(bad).ok()) << bad;
    const auto secret = SecretKey::Parse(bad);
    ASSERT_FALSE(secret.ok()) << bad;
    EXPECT_TRUE(bad.size() < 4 || secret.error().message().find(bad) == std::string::npos)
        << "a secret is told";
  }
}

class KeyStore : public ::testing::Test {
 protected:
  std::string File(const std::string& name) const { return directory_.path() + "/" + name; }
  mode_t ModeOf(const std::string& path) const {
    struct stat status = {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0);
    return status.st_mode & 0777;
  }
  TemporaryDirectory directory_ = TemporaryDirectory::Create("/tmp", "keys.").value();
};

TEST_F(KeyStore, AKeyIsMadeOnceForItsOwnerAlone) {
  const HostKeys first = LoadOrMakeHostKeys(directory_.path()).value();
  const HostKeys second = LoadOrMakeHostKeys(directory_.path()).value();
  EXPECT_TRUE(first.current == second.current);
  EXPECT_FALSE(first.next.has_value());
  EXPECT_EQ(ModeOf(File("fabric.key")), 0600u);
}

TEST_F(KeyStore, OfSeveralMakersOneWins) {
  std::vector<std::string> keys(16);
  std::vector<std::thread> threads;
  for (std::string& key : keys) {
    threads.emplace_back(
        [&] { key = LoadOrMakeHostKeys(directory_.path()).value().current.ToString(); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), 1u);
}

TEST_F(KeyStore, AKeyThatOthersMayReadIsRefused) {
  ASSERT_TRUE(LoadOrMakeHostKeys(directory_.path()).ok());
  ASSERT_EQ(::chmod(File("fabric.key").c_str(), 0640), 0);
  const auto loaded = LoadOrMakeHostKeys(directory_.path());
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code(), Code::kFailedPrecondition);
  EXPECT_NE(loaded.error().message().find("chmod 600"), std::string::npos);
}

TEST_F(KeyStore, WhatIsNoKeyIsRefusedAndKept) {
  for (const std::string bad : {"", "no key", "AAAA=\n", "\n"}) {
    ASSERT_TRUE(WriteFileAtomically(File("fabric.key"), bad, 0600).ok());
    const auto loaded = LoadOrMakeHostKeys(directory_.path());
    ASSERT_FALSE(loaded.ok());
    EXPECT_EQ(loaded.error().code(), Code::kCorrupt);
    EXPECT_EQ(ReadFile(File("fabric.key")).value(), bad);
  }
}

TEST_F(KeyStore, TheNextKeyIsPreparedThenPromoted) {
  const SecretKey old = LoadOrMakeHostKeys(directory_.path()).value().current;
  EXPECT_FALSE(PromoteNextKey(directory_.path()).ok());
  const SecretKey next = PrepareNextKey(directory_.path()).value();
  EXPECT_TRUE(PrepareNextKey(directory_.path()).value() == next) << "others know it already";
  EXPECT_EQ(ModeOf(File("fabric.key.next")), 0600u);
  HostKeys keys = LoadOrMakeHostKeys(directory_.path()).value();
  EXPECT_TRUE(keys.current == old);
  ASSERT_TRUE(keys.next.has_value());
  EXPECT_TRUE(*keys.next == next);
  keys = PromoteNextKey(directory_.path()).value();
  EXPECT_TRUE(keys.current == next);
  EXPECT_FALSE(keys.next.has_value());
  EXPECT_FALSE(old == next);
}

TEST(FabricEndpoint, IsReadAndWrittenInBothFamilies) {
  for (const std::string text : {"192.0.2.1:51820", "[2001:db8::1]:1", "10.0.0.1:65535"}) {
    EXPECT_EQ(Endpoint::Parse(text).value().ToString(), text);
    EXPECT_TRUE(Endpoint::Parse(text).value().IsOfAHost()) << text;
  }
  EXPECT_EQ(Endpoint::Of({0xc0000201}, 7).ToString(), "192.0.2.1:7");
  EXPECT_EQ(Endpoint::Parse("192.0.2.1:7").value().ipv4(), Ipv4{0xc0000201});
  for (const std::string text :
       {"", ":", "192.0.2.1", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:-1", "192.0.2.1:1 ",
        "host:51820", "[fe80::1%eth0]:1", "2001:db8::1:51820", "[192.0.2.1]:1", "[::1]1"}) {
    EXPECT_FALSE(Endpoint::Parse(text).ok()) << text;
  }
  for (const std::string text :
       {"0.0.0.0:1", "127.0.0.1:1", "224.0.0.1:1", "255.255.255.255:1", "192.0.2.1:0", "[::]:1",
        "[::1]:1", "[ff02::1]:1", "[fe80::1]:1"}) {
    EXPECT_FALSE(Endpoint::Parse(text).value().IsOfAHost()) << text;
  }
}

}  // namespace
}  // namespace strata::net
