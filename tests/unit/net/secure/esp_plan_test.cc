// Keys, sessions, plans and messages of a fabric by ESP: no IPsec in the kernel is needed.
#include <gtest/gtest.h>
#include <linux/xfrm.h>
#include <sys/stat.h>

#include <cstring>
#include <functional>
#include <vector>

#include "common/file_io.h"
#include "net/secure/esp_session.h"
#include "net/secure/xfrm_messages.h"

namespace strata::net {
namespace {

constexpr uint32_t kIfId = 4711;

Ipv4 A(const std::string& text) { return Ipv4::Parse(text).value(); }
SecretKey NewKey() { return SecretKey::GeneratePrivate().value(); }
PublicKey PublicOf(const SecretKey& key) { return key.Public().value(); }

struct Ends {
  SecretKey key_a = NewKey(), key_b = NewKey(), session_a = NewKey(), session_b = NewKey(),
            preshared;
  EspSecrets OfA() const {
    return DeriveEspSecrets({key_a, session_a}, {PublicOf(key_b), PublicOf(session_b), preshared})
        .value();
  }
  EspSecrets OfB() const {
    return DeriveEspSecrets({key_b, session_b}, {PublicOf(key_a), PublicOf(session_a), preshared})
        .value();
  }
};

bool IsSame(const EspSecret& a, const EspSecret& b) { return a.spi == b.spi && a.key == b.key; }

TEST(EspKeys, WhatOneSendsByTheOtherReceivesBy) {
  const Ends ends;
  EXPECT_TRUE(IsSame(ends.OfA().out, ends.OfB().in));
  EXPECT_TRUE(IsSame(ends.OfA().in, ends.OfB().out));
  EXPECT_FALSE(ends.OfA().out.key == ends.OfA().in.key);
  EXPECT_GE(ends.OfA().out.spi, 256u);
}

TEST(EspKeys, EverythingThatIsAnotherMakesAnotherKey) {
  const Ends ends;
  const std::vector<std::function<void(Ends*)>> changes = {
      [](Ends* e) { e->key_a = NewKey(); },     [](Ends* e) { e->key_b = NewKey(); },
      [](Ends* e) { e->session_a = NewKey(); }, [](Ends* e) { e->session_b = NewKey(); },
      [](Ends* e) { e->preshared = NewKey(); },
  };
  for (const auto& change : changes) {
    Ends other = ends;
    change(&other);
    EXPECT_FALSE(other.OfA().out.key == ends.OfA().out.key);
    EXPECT_FALSE(other.OfA().in.key == ends.OfA().in.key);
    EXPECT_TRUE(IsSame(other.OfA().out, other.OfB().in));
  }
}

// Computed by another implementation (Python's cryptography): private keys are 32 bytes of 1 (A), 2
// (B), 3 (A's session) and 4 (B's).
TEST(EspKeys, TheyAreTheOnesThatAreWrittenDown) {
  const auto of = [](uint8_t value) {
    KeyBytes bytes;
    bytes.fill(value);
    return SecretKey(bytes);
  };
  const Ends ends{of(1), of(2), of(3), of(4), SecretKey()};
  const EspSecret out = ends.OfA().out;
  std::string hex;
  for (const uint8_t byte : out.key.bytes()) {
    char text[3];
    std::snprintf(text, sizeof(text), "%02x", byte);
    hex += text;
  }
  EXPECT_EQ(hex, "53d4f20142b8b3c45599188551021ac34e2b607c7432f3aca4795aa0863bd87893316442");
  EXPECT_EQ(out.spi, 3340074021u);
}

TEST(EspKeys, APublicKeyThatIsNoneIsRefused) {
  const Ends ends;
  const auto derived =
      DeriveEspSecrets({ends.key_a, ends.session_a}, {PublicKey{}, PublicOf(ends.session_b), {}});
  ASSERT_FALSE(derived.ok());
  EXPECT_EQ(derived.error().code(), Code::kInvalidArgument);
}

class EspSessionTest : public ::testing::Test {
 protected:
  std::string Path() const { return directory_.path() + "/s.session"; }
  TemporaryDirectory directory_ = TemporaryDirectory::Create("/tmp", "session.").value();
};

TEST_F(EspSessionTest, ASessionAndItsUsesAreKept) {
  const PublicKey other = PublicOf(NewKey());
  EspSession first(Path());
  EXPECT_FALSE(first.IsKept());
  ASSERT_TRUE(first.Open().ok());
  ASSERT_TRUE(first.Use({other}).ok());
  struct stat status = {};
  ASSERT_EQ(::stat(Path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);

  EspSession second(Path());
  ASSERT_TRUE(second.Open().ok());
  EXPECT_TRUE(second.current() == first.current());
  EXPECT_EQ(second.used(), std::set<PublicKey>{other});
  EXPECT_FALSE(second.previous().has_value());
  const SecretKey before = second.current();
  ASSERT_TRUE(second.Renew().ok());
  EXPECT_FALSE(second.current() == before);
  EXPECT_TRUE(*second.previous() == before);
  EXPECT_TRUE(second.used().empty());
  ASSERT_TRUE(second.Forget().ok());
  EXPECT_FALSE(second.IsKept());
  EXPECT_TRUE(second.Forget().ok());
}

TEST_F(EspSessionTest, WhatIsNoSessionIsReplaced) {
  const std::string key = NewKey().ToString();
  for (const std::string& bad : {std::string(), std::string("x\n"), key + "\nx\n", key + "\n\n"}) {
    ASSERT_TRUE(WriteFileAtomically(Path(), bad, 0600).ok());
    EspSession session(Path());
    ASSERT_TRUE(session.Open().ok());
    EXPECT_NE(session.current().ToString(), key) << bad;
    EXPECT_FALSE(session.current().is_none());
  }
}

class EspPlanTest : public ::testing::Test {
 protected:
  EspPlanTest() {
    fabric_.instance = "ab123";
    fabric_.kind = FabricKind::kEsp;
    fabric_.prefix = Ipv4Prefix::Parse("10.88.0.0/16").value();
    fabric_.address = A("10.88.0.1");
    fabric_.key = NewKey();
    fabric_.session = NewKey();
    fabric_.endpoint = Endpoint::Parse("192.0.2.1:51820").value();
    for (const std::string n : {"2", "3"}) {
      FabricPeer peer;
      peer.host = "h" + n;
      peer.address = A("10.88.0." + n);
      peer.key = PublicOf(NewKey());
      peer.session = PublicOf(NewKey());
      peer.endpoint = Endpoint::Parse("192.0.2." + n + ":51820").value();
      fabric_.peers.push_back(peer);
    }
  }
  EspPlan Plan(const ObservedEsp& observed) const { return MakeEspPlan(fabric_, observed).value(); }
  // As it is when the plan was carried out.
  ObservedEsp Made() const {
    const EspPlan plan = Plan({});
    ObservedEsp made;
    made.states = plan.add_states;
    made.policies = plan.set_policies;
    made.used_sessions.insert(plan.use_sessions.begin(), plan.use_sessions.end());
    return made;
  }
  SecureFabric fabric_;
};

TEST_F(EspPlanTest, EachPeerGetsBothDirectionsAndOnlyThat) {
  ASSERT_TRUE(CheckFabric(fabric_).ok());
  const EspPlan plan = Plan({});
  EXPECT_EQ(plan.add_states.size(), 4u);
  EXPECT_EQ(plan.set_policies.size(), 4u);
  EXPECT_EQ(plan.use_sessions.size(), 2u);
  EXPECT_TRUE(Plan(Made()).empty());
  fabric_.peers[1].session.reset();
  EXPECT_EQ(Plan({}).add_states.size(), 2u);
  EXPECT_EQ(Plan({}).set_policies.size(), 2u);
}

TEST_F(EspPlanTest, AnAssociationThatIsGoneDoesNotBeginAnew) {
  ObservedEsp observed = Made();
  observed.states.pop_back();
  EXPECT_TRUE(Plan(observed).renew_session);
  EXPECT_TRUE(Plan(observed).add_states.empty());
  observed = Made();
  observed.states[0].key = EspKey();  // Not shown.
  EXPECT_TRUE(Plan(observed).empty());
  EspKey::Bytes wrong;
  wrong.fill(7);
  observed.states[0].key = EspKey(wrong);
  EXPECT_TRUE(Plan(observed).renew_session);
  observed = Made();
  observed.states[1].is_ours = false;
  EXPECT_TRUE(Plan(observed).renew_session);
  // With a new session of the peer there is nothing to begin anew.
  observed = Made();
  fabric_.peers[0].session = PublicOf(NewKey());
  EXPECT_FALSE(Plan(observed).renew_session);
  EXPECT_EQ(Plan(observed).add_states.size(), 2u);
  EXPECT_EQ(Plan(observed).remove_states.size(), 2u);
  EXPECT_EQ(Plan(observed).set_policies.size(), 1u) << "the one out, with its SPI";
}

TEST_F(EspPlanTest, AfterANewSessionTheOneBeforeIsStillReceivedBy) {
  ObservedEsp observed = Made();
  observed.used_sessions.clear();
  fabric_.previous_session = fabric_.session;
  fabric_.session = NewKey();
  EspPlan plan = Plan(observed);
  EXPECT_FALSE(plan.renew_session);
  EXPECT_EQ(plan.add_states.size(), 4u);
  ASSERT_EQ(plan.remove_states.size(), 2u);
  for (const EspState& gone : plan.remove_states) EXPECT_EQ(gone.way.source, A("192.0.2.1"));
  fabric_.previous_session.reset();
  EXPECT_EQ(Plan(observed).remove_states.size(), 4u);
}

TEST_F(EspPlanTest, PoliciesAreMendedAndWhatIsNotWantedGoes) {
  ObservedEsp observed = Made();
  observed.policies.clear();
  EXPECT_EQ(Plan(observed).set_policies.size(), 4u);
  observed = Made();
  observed.policies[0].way.source = A("192.0.2.99");
  EXPECT_EQ(Plan(observed).set_policies.size(), 1u);
  EXPECT_TRUE(Plan(observed).remove_policies.empty());
  observed = Made();
  fabric_.peers.pop_back();
  EXPECT_EQ(Plan(observed).remove_policies.size(), 2u);
  EXPECT_EQ(Plan(observed).remove_states.size(), 2u);
  EXPECT_EQ(RemovalOfEsp(observed).remove_states.size(), 4u);
  EXPECT_TRUE(RemovalOfEsp({}).empty());
  const auto lines = DescribeChanges(Plan(observed), "sab123w");
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_TRUE(lines[2].starts_with("- policy ")) << lines[2];
}

TEST_F(EspPlanTest, HostsWithoutIpv4EndpointsAreRefused) {
  const SecureFabric good = fabric_;
  const std::vector<std::pair<std::string, std::function<void(SecureFabric*)>>> cases = {
      {"this host is not called at an IPv4 address", [](auto* f) { f->endpoint.reset(); }},
      {"this host is not called", [](auto* f) { f->is_behind_nat = true; }},
      {"h2 is not called at an IPv4 address", [](auto* f) { f->peers[0].endpoint.reset(); }},
      {"h2 cannot be called at 192.0.2.1:1: that is this host",
       [](auto* f) { f->peers[0].endpoint = Endpoint::Parse("192.0.2.1:1").value(); }},
      {"is that of h2 and of h3",
       [](auto* f) { f->peers[1].endpoint = Endpoint::Parse("192.0.2.2:1").value(); }},
  };
  for (const auto& [expected, change] : cases) {
    SecureFabric bad = good;
    change(&bad);
    const Status checked = CheckFabric(bad);
    ASSERT_FALSE(checked.ok()) << expected;
    EXPECT_NE(checked.error().message().find(expected), std::string::npos)
        << checked.error().message();
  }
}

// A request to set is read as an answer: the formats are the same.
TEST_F(EspPlanTest, WhatIsSetIsWhatIsRead) {
  const EspPlan plan = Plan({});
  for (const EspState& state : plan.add_states) {
    const Owned<nl_msg> message = NewEspState(kIfId, state);
    const auto read = ReadEspState(kIfId, nlmsg_hdr(message.get()));
    ASSERT_TRUE(read.has_value());
    EXPECT_TRUE(read->is_ours);
    EXPECT_EQ(read->way, state.way);
    EXPECT_EQ(read->spi, state.spi);
    EXPECT_TRUE(read->key == state.key);
    EXPECT_FALSE(ReadEspState(kIfId + 1, nlmsg_hdr(message.get())).has_value());
  }
  for (const EspPolicy& policy : plan.set_policies) {
    const Owned<nl_msg> message = NewEspPolicy(kIfId, policy);
    nlmsg_hdr(message.get())->nlmsg_type = XFRM_MSG_NEWPOLICY;
    const auto read = ReadEspPolicy(kIfId, nlmsg_hdr(message.get()));
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(*read, policy);
    EXPECT_FALSE(ReadEspPolicy(kIfId + 1, nlmsg_hdr(message.get())).has_value());
  }
}

TEST_F(EspPlanTest, AMessageThatIsCutShortIsNotReadBeyondItsEnd) {
  const EspPlan plan = Plan({});
  for (const bool is_state : {true, false}) {
    const Owned<nl_msg> message = is_state ? NewEspState(kIfId, plan.add_states[0])
                                           : NewEspPolicy(kIfId, plan.set_policies[0]);
    const nlmsghdr* whole = nlmsg_hdr(message.get());
    for (uint32_t size = sizeof(nlmsghdr); size < whole->nlmsg_len; ++size) {
      std::vector<uint64_t> aligned((size + 7) / 8);
      std::memcpy(aligned.data(), whole, size);
      auto* header = reinterpret_cast<nlmsghdr*>(aligned.data());
      header->nlmsg_len = size;
      header->nlmsg_type = is_state ? XFRM_MSG_NEWSA : XFRM_MSG_NEWPOLICY;
      (void)ReadEspState(kIfId, header);
      (void)ReadEspPolicy(kIfId, header);
    }
  }
}

}  // namespace
}  // namespace strata::net
