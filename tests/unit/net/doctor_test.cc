// What the doctor finds, in namespaces: two hosts, with what is between them.
#include "net/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/path_check.h"
#include "tests/unit/net/test_host.h"

namespace strata::net {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::chrono::milliseconds kPatience(300);

Ipv4 A(const std::string& text) { return Ipv4::Parse(text).value(); }

class DoctorTest : public ::testing::Test {
 protected:
  // The hosts are joined by a router, whose link to the second may take less than the first's.
  void SetUp() override {
    router_.Set("net/ipv4/ip_forward", "1");
    Join(host_.space, "up0", "192.0.2.1/24", router_, "left", "192.0.2.254/24");
    Join(other_, "up0", "198.51.100.1/24", router_, "right", "198.51.100.254/24");
    host_.space.Ip({"route", "add", "default", "via", "192.0.2.254"});
    other_.Ip({"route", "add", "default", "via", "198.51.100.254"});
    Bridge& bridge = host_.AddBridge(7);
    Overlay& overlay = bridge.overlay.emplace();
    overlay.vni = 7;
    overlay.local = A("192.0.2.1");
    overlay.remotes = {
        {bridge.prefix.Host(3), MacForNode(7, bridge.prefix.Host(3)), A("198.51.100.1")}};
    host_.Apply();
  }
  std::vector<std::string> Found(Finding::Level level) {
    return host_.space.In([&] {
      std::vector<std::string> found;
      Nft nft;
      const auto links = ObserveLinks();
      for (const Finding& finding : Examine(host_.desired, *links, nft, kPatience)) {
        if (finding.level == level) found.push_back(finding.what);
        EXPECT_EQ(finding.remedy.empty(), finding.level == Finding::Level::kOk) << finding.what;
      }
      return found;
    });
  }
  std::vector<std::string> Problems() { return Found(Finding::Level::kProblem); }
  std::vector<std::string> Warnings() { return Found(Finding::Level::kWarning); }

  TestHost host_;
  NetNamespace router_;
  NetNamespace other_;
};

TEST_F(DoctorTest, AHealthyHostHasNoProblem) {
  EXPECT_THAT(Problems(), IsEmpty());
  EXPECT_THAT(Found(Finding::Level::kOk), Contains("packets of 1500 bytes pass to 198.51.100.1"));
}

TEST_F(DoctorTest, ASmallerMtuOnTheWayIsFound) {
  router_.Ip({"link", "set", "right", "mtu", "1400"});
  other_.Ip({"link", "set", "up0", "mtu", "1400"});
  EXPECT_THAT(Problems(),
              ElementsAre(HasSubstr("packets of 1500 bytes do not pass to 198.51.100.1")));
  host_.desired.bridges[0].overlay->underlay_mtu = 1400;
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(DoctorTest, AnOwnLinkThatIsTooSmallOrNotThereIsFound) {
  host_.space.Ip({"link", "set", "up0", "mtu", "1300"});
  EXPECT_THAT(Problems(), Contains(HasSubstr("link up0 has an MTU of 1300")));
  host_.desired.bridges[0].overlay->local = A("192.0.2.77");
  EXPECT_THAT(Problems(), Contains(HasSubstr("no link has this host's address 192.0.2.77")));
}

TEST_F(DoctorTest, AHostThatIsAwayIsTold) {
  other_.Ip({"link", "set", "up0", "down"});
  EXPECT_THAT(Problems(), IsEmpty());
  EXPECT_THAT(Warnings(), Contains(HasSubstr("host 198.51.100.1 does not answer")));
}

TEST_F(DoctorTest, ForwardingThatIsOffAndFiltersOfOthersAreFound) {
  host_.space.Set("net/ipv4/ip_forward", "0");
  ASSERT_TRUE(host_.space
                  .In([] {
                    return RunChecked({"nft",
                                       "add table ip filter; add chain ip filter FORWARD { type "
                                       "filter hook forward priority 0; policy drop; }"});
                  })
                  .ok());
  EXPECT_THAT(Problems(), Contains(HasSubstr("IPv4 is not forwarded")));
  host_.space.Set("net/ipv6/conf/all/forwarding", "0");
  EXPECT_THAT(Problems(), Contains(HasSubstr("IPv6 is not forwarded")));
  EXPECT_THAT(Warnings(), Contains(HasSubstr("chain ip filter FORWARD drops")));
}

TEST_F(DoctorTest, AnAddressOfTheHostInThePoolOfIpv6IsFound) {
  host_.space.Ip(
      {"address", "add", host_.desired.pool6->Host(1).ToString() + "/128", "dev", "up0"});
  EXPECT_THAT(Problems(), Contains(HasSubstr("of link up0 is in the pool of IPv6")));
}

TEST_F(DoctorTest, AHostWithoutIpv6IsFound) {
  host_.space.Set("net/ipv6/conf/all/disable_ipv6", "1");
  EXPECT_THAT(Warnings(), Contains(HasSubstr("this host has no IPv6")));
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(DoctorTest, EchoesNameThoseWhoAnswered) {
  const auto answered = host_.space.In([] {
    return Echo(A("192.0.2.1"), {A("198.51.100.1"), A("198.51.100.9"), A("192.0.2.254")}, 1500,
                kPatience);
  });
  ASSERT_TRUE(answered.ok());
  EXPECT_EQ(*answered, (std::set<Ipv4>{A("198.51.100.1"), A("192.0.2.254")}));
  const auto not_ours =
      host_.space.In([] { return Echo(A("203.0.113.1"), {A("192.0.2.254")}, 100, kPatience); });
  ASSERT_FALSE(not_ours.ok());
  EXPECT_THAT(not_ours.error().message(), HasSubstr("no address 203.0.113.1"));
}

TEST(ChainsThatDrop, AreOthersAndOfForwarding) {
  EXPECT_THAT(ChainsThatDrop("table ip filter {\n\tchain INPUT {\n\t\ttype filter hook input "
                             "priority filter; policy drop;\n\t}\n\tchain FORWARD {\n\t\ttype "
                             "filter hook forward priority filter; policy drop;\n\t}\n}\n"
                             "table inet strata_ab123 {\n\tchain forward {\n\t\ttype filter hook "
                             "forward priority filter; policy drop;\n\t}\n}\n"),
              ElementsAre("ip filter FORWARD"));
  EXPECT_THAT(ChainsThatDrop(""), IsEmpty());
  EXPECT_THAT(ChainsThatDrop("chain {\ntype filter hook forward policy drop"), Not(IsEmpty()));
}

}  // namespace
}  // namespace strata::net
