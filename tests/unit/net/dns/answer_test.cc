// What is said to questions for names, hostile ones included: bytes in, bytes out, no socket.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/dns/answerer.h"
#include "net/dns/zone.h"

namespace strata::net {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

IpAddress A(const std::string& text) { return IpAddress::Parse(text).value(); }

HostNames Names() {
  return {"hpc",
          {{"web-0", {A("10.90.7.2")}},
           {"web-1", {A("10.90.7.3"), A("fd00::3")}},
           {"web", {A("10.90.7.2"), A("10.90.7.3")}}}};
}

// Written by hand, as RFC 1035 has it, to see that the library reads it so.
std::string Label(const std::string& text) {
  return std::string(1, static_cast<char>(text.size())) + text;
}
std::string Wire(const std::vector<std::string>& labels) {
  std::string out;
  for (const std::string& label : labels) out += Label(label);
  return out + std::string(1, '\0');
}
std::string Number(size_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 255)};
}
struct Sent {
  std::string name = Wire({"web-0"});
  uint16_t type = kTypeA;
  uint16_t dns_class = kClassIn;
  uint16_t flags = 0x0100;  // RD
  std::vector<size_t> counts = {1, 0, 0, 0};
  std::string more;
  std::string bytes() const {
    std::string out = Number(0x1234) + Number(flags);
    for (const size_t count : counts) out += Number(count);
    return out + name + Number(type) + Number(dns_class) + more;
  }
};
std::string Edns(size_t bytes_max, int version = 0) {
  return std::string(1, '\0') + Number(41) + Number(bytes_max) + std::string(1, '\0') +
         std::string(1, static_cast<char>(version)) + Number(0) + Number(0);
}

int RcodeOf(const std::string& reply) { return reply.size() < 12 ? -1 : reply[3] & 15; }
bool IsCut(const std::string& reply) { return (reply.at(2) & 2) != 0; }
size_t AnswersIn(const std::string& reply) { return static_cast<uint8_t>(reply.at(7)); }
std::string LastAddress(const std::string& reply, size_t bytes = 4) {
  IpAddress address = bytes == 4 ? IpAddress(Ipv4()) : IpAddress();
  std::copy_backward(reply.end() - static_cast<std::ptrdiff_t>(bytes), reply.end(),
                     address.bytes.end());
  return address.ToString();
}

class AnswerTest : public ::testing::Test {
 protected:
  // What comes at once; "" for nothing.
  std::string Ask(const std::string& bytes, bool by_tcp = false,
                  const std::string& node = "10.90.7.2") {
    std::string said;
    answerer_.Take(network_, A(node), bytes, by_tcp, [&](std::string reply) { said = reply; });
    return said;
  }
  std::string Ask(const Sent& sent) { return Ask(sent.bytes()); }

  EventLoop loop_ = EventLoop::Make().value();
  Answerer answerer_{loop_};
  std::shared_ptr<ServedNetwork> network_ = std::make_shared<ServedNetwork>(
      NetworkNames{7, 3, Ipv4Prefix::Parse("10.90.7.0/24").value(),
                   Ipv4Prefix::Parse("10.90.0.0/16").value(), Names()});
};

TEST_F(AnswerTest, ANodeHasItsAddressWithAndWithoutTheDomain) {
  for (const auto& name : {Wire({"web-0"}), Wire({"web-0", "hpc"}), Wire({"WEB-0", "Hpc"})}) {
    const std::string reply = Ask(Sent{.name = name});
    EXPECT_EQ(reply.substr(0, 2), Number(0x1234));
    EXPECT_EQ(RcodeOf(reply), 0);
    EXPECT_EQ(AnswersIn(reply), 1u);
    EXPECT_EQ(LastAddress(reply), "10.90.7.2");
    EXPECT_EQ(reply.substr(12, name.size()), name) << "the question is not as it was spelt";
  }
}

TEST_F(AnswerTest, ARoleHasAllAddressesAndEachIsFirstInItsTurn) {
  const std::string one = Ask(Sent{.name = Wire({"web"})});
  const std::string two = Ask(Sent{.name = Wire({"web"})});
  EXPECT_EQ(AnswersIn(one), 2u);
  EXPECT_THAT(std::vector({LastAddress(one), LastAddress(two)}),
              UnorderedElementsAre("10.90.7.2", "10.90.7.3"));
}

TEST_F(AnswerTest, OtherKindsOfAnOwnNameAreEmptyAndNobodyElseIsAsked) {
  const std::string six = Ask(Sent{.name = Wire({"web-1"}), .type = kTypeAaaa});
  EXPECT_EQ(LastAddress(six, 16), "fd00::3");
  for (const uint16_t type : {kTypeAaaa, uint16_t{15}, uint16_t{16}}) {
    const std::string none = Ask(Sent{.type = type});
    EXPECT_EQ(RcodeOf(none), 0);
    EXPECT_EQ(AnswersIn(none), 0u);
  }
  EXPECT_EQ(AnswersIn(Ask(Sent{.name = Wire({"web-1"}), .type = kTypeAny})), 2u);
  EXPECT_EQ(answerer_.counts().own_none, 3u);
}

TEST_F(AnswerTest, AnAddressIsCalledBackByTheFirstNameThatHasIt) {
  const auto reverse = [&](const std::vector<std::string>& labels) {
    return Ask(Sent{.name = Wire(labels), .type = kTypePtr});
  };
  EXPECT_THAT(reverse({"2", "7", "90", "10", "in-addr", "arpa"}),
              ::testing::EndsWith(Wire({"web-0", "hpc"})));
  EXPECT_EQ(RcodeOf(reverse({"9", "7", "90", "10", "in-addr", "arpa"})), 3);
  EXPECT_EQ(RcodeOf(reverse({"2", "8", "90", "10", "in-addr", "arpa"})), 3)
      << "of another network's addresses nothing is said";
  EXPECT_EQ(RcodeOf(reverse({"2", "2", "0", "192", "in-addr", "arpa"})), 5) << "nobody to ask";
  EXPECT_EQ(AddressOfReverseName("3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f"
                                 ".ip6.arpa"),
            A("fd00::3"));
  for (const char* bad : {"7.90.10.in-addr.arpa", "1.2.7.90.10.in-addr.arpa", "in-addr.arpa",
                          "x.7.90.10.in-addr.arpa", "d.f.ip6.arpa", ".in-addr.arpa"}) {
    EXPECT_EQ(AddressOfReverseName(bad), std::nullopt) << bad;
  }
}

TEST_F(AnswerTest, OthersNamesAreNobodysHere) {
  for (const auto& name : {Wire({"web-7"}), Wire({"web-0", "other"}), Wire({"hpc"}), Wire({})}) {
    EXPECT_EQ(RcodeOf(Ask(Sent{.name = name})), 5);
  }
}

TEST_F(AnswerTest, WhatServersTalkAboutIsRefused) {
  for (const uint16_t type : {uint16_t{252}, uint16_t{251}, uint16_t{249}, uint16_t{41}}) {
    EXPECT_EQ(RcodeOf(Ask(Sent{.type = type})), 5) << type;
  }
  EXPECT_EQ(RcodeOf(Ask(Sent{.name = Wire({"version", "bind"}), .type = 16, .dns_class = 3})), 5);
  EXPECT_EQ(RcodeOf(Ask(Sent{.flags = 0x2800})), 4) << "an update";
}

TEST_F(AnswerTest, HostileBytesAreRefusedOrNotAnswered) {
  const std::string good = Sent().bytes();
  EXPECT_EQ(Ask(Sent{.flags = 0x8100}), "") << "an answer is answered";
  for (size_t size = 0; size < good.size(); ++size) {
    const std::string reply = Ask(good.substr(0, size));
    EXPECT_EQ(reply.size(), size < 12 ? 0u : 12u) << size;
    EXPECT_EQ(RcodeOf(reply), size < 12 ? -1 : 1) << size;
  }
  for (const auto& counts : std::vector<std::vector<size_t>>{{0, 0, 0, 0},
                                                             {2, 0, 0, 0},
                                                             {65535, 0, 0, 0},
                                                             {1, 1, 0, 0},
                                                             {1, 0, 1, 0},
                                                             {1, 0, 0, 3}}) {
    EXPECT_EQ(RcodeOf(Ask(Sent{.counts = counts})), 1);
  }
  EXPECT_EQ(RcodeOf(Ask(Sent{.name = "\xc0\x0c"})), 1) << "a name that points at itself";
  EXPECT_EQ(RcodeOf(Ask(Sent{.name = Label("a") + "\xc0\x0c"})), 1) << "a loop";
  EXPECT_EQ(RcodeOf(Ask(Sent{.name = "\xff\xff"})), 1) << "it points beyond the end";
  EXPECT_EQ(RcodeOf(Ask(Sent{.name = "\x40" + std::string(64, 'a') + std::string(1, '\0')})), 1);
  std::string long_name;
  for (int i = 0; i < 5; ++i) long_name += Label(std::string(63, 'a'));
  EXPECT_EQ(RcodeOf(Ask(Sent{.name = long_name + std::string(1, '\0')})), 1);
  EXPECT_EQ(RcodeOf(Ask(good + std::string(kUdpBytesMax, 'x'))), 1) << "too long";
  EXPECT_GT(answerer_.counts().malformed, good.size());
  EXPECT_EQ(answerer_.counts().own, 0u);
}

TEST_F(AnswerTest, WhatDoesNotFitIsCutAndComesWholeByTcp) {
  HostNames names;
  for (int i = 0; i < 250; ++i) {
    if (i == 0) names.names.push_back({"all", {}});
    names.names[0].addresses.push_back(A("10.90.7." + std::to_string(i)));
  }
  network_->zone = Zone(names, Ipv4Prefix::Parse("10.90.0.0/16").value());
  Sent sent{.name = Wire({"all"})};
  EXPECT_TRUE(IsCut(Ask(sent)));
  EXPECT_LE(Ask(sent).size(), kUdpBytesMin);
  EXPECT_EQ(AnswersIn(Ask(sent)), 0u);
  const std::string whole = Ask(sent.bytes(), /*by_tcp=*/true);
  EXPECT_FALSE(IsCut(whole));
  EXPECT_EQ(AnswersIn(whole), 250u);
  names.names[0].addresses.resize(60);
  network_->zone = Zone(names, Ipv4Prefix::Parse("10.90.0.0/16").value());
  EXPECT_TRUE(IsCut(Ask(sent)));
  sent.counts = {1, 0, 0, 1};
  for (const auto& [size, cut] :
       std::map<size_t, bool>{{0, true}, {512, true}, {900, true}, {1232, false}, {65535, false}}) {
    sent.more = Edns(size);
    EXPECT_EQ(IsCut(Ask(sent)), cut) << size;
  }
  sent.more = Edns(1232, /*version=*/1);
  EXPECT_EQ(AnswersIn(Ask(sent)), 0u) << "a version of EDNS that nobody knows";
}

TEST_F(AnswerTest, WhoAsksTooOftenIsNotAnsweredAndOthersAre) {
  const std::string question = Sent().bytes();
  size_t answered = 0;
  for (int i = 0; i < 3 * static_cast<int>(Answerer::kBurstMax); ++i) {
    answered += Ask(question).empty() ? 0 : 1;
  }
  EXPECT_GE(answered, static_cast<size_t>(Answerer::kBurstMax));
  EXPECT_LT(answered, 2 * static_cast<size_t>(Answerer::kBurstMax));
  EXPECT_FALSE(Ask(question, false, "10.90.7.3").empty());
  EXPECT_GT(answerer_.counts().over_limit, 0u);
}

TEST_F(AnswerTest, ANodeANetworkAndAHostWaitForSoMuchAtOnce) {
  Shares shares(2, 3, 4);
  const auto of = [](uint32_t network, const char* node) {
    return Shares::Holder(network, A(node));
  };
  EXPECT_TRUE(shares.Take(of(1, "10.0.0.1")));
  EXPECT_TRUE(shares.Take(of(1, "10.0.0.1")));
  EXPECT_FALSE(shares.Take(of(1, "10.0.0.1")));
  EXPECT_TRUE(shares.Take(of(1, "10.0.0.2")));
  EXPECT_FALSE(shares.Take(of(1, "10.0.0.3")));
  EXPECT_TRUE(shares.Take(of(2, "10.0.0.1")));
  EXPECT_FALSE(shares.Take(of(2, "10.0.0.2")));
  shares.Give(of(1, "10.0.0.1"));
  EXPECT_TRUE(shares.Take(of(2, "10.0.0.2")));
}

TEST_F(AnswerTest, WhatResolversSayIsTakenOnlyForTheQuestionThatWasAsked) {
  const Query query = *ParseQuery(Sent{.name = Wire({"Example", "org"})}.bytes()).query;
  const std::string question = MakeQuestion(query, 77);
  EXPECT_EQ(RcodeOfReply(question, query, 77), std::nullopt) << "it is no answer";
  std::string reply = question;
  reply[2] = static_cast<char>(reply[2] | 0x80);
  EXPECT_EQ(RcodeOfReply(reply, query, 77), Rcode::kNoError);
  EXPECT_EQ(RcodeOfReply(reply, query, 78), std::nullopt) << "another id";
  EXPECT_EQ(RcodeOfReply(reply.substr(0, reply.size() - 1), query, 77), std::nullopt);
  std::string other = reply;
  other[13] = 'F';
  EXPECT_EQ(RcodeOfReply(other, query, 77), std::nullopt) << "another name";
  const std::string passed = PassOn(reply, query, kUdpBytesMin);
  EXPECT_EQ(passed.substr(0, 2), Number(0x1234));
  EXPECT_EQ(passed.substr(12), reply.substr(12));
  const std::string cut = PassOn(reply + std::string(600, 'x'), query, kUdpBytesMin);
  EXPECT_TRUE(IsCut(cut));
  EXPECT_EQ(cut.size(), question.size());
}

TEST(HostNamesTest, NamesThatCannotBeAreRefused) {
  const auto check = [](const std::string& name, size_t addresses = 1) {
    return CheckHostNames({"hpc", {{name, std::vector<IpAddress>(addresses)}}}).ok();
  };
  EXPECT_TRUE(check("web-0"));
  EXPECT_TRUE(check("a_b.c"));
  for (const auto& bad : {std::string(), std::string("Web"), std::string("a..b"), std::string(".a"),
                          std::string("a."), std::string("a b"), std::string(64, 'a'),
                          std::string("a\\b"), std::string("a\0b", 3)}) {
    EXPECT_FALSE(check(bad)) << bad;
  }
  EXPECT_FALSE(check("a", 0));
  EXPECT_FALSE(check("a", 501));
  EXPECT_FALSE(CheckHostNames({"", {{"a", {A("::1")}}, {"a", {A("::1")}}}}).ok());
  EXPECT_THAT(NameServersIn("# x\nnameserver 9.9.9.9\n nameserver\t::1 # y\nnameserver fe80::1%a\n"
                            "nameserver\nsearch z"),
              ElementsAre(A("9.9.9.9"), A("::1")));
}

TEST(ControlTest, WhatIsToldIsReadAgain) {
  ControlRequest request;
  request.network = {7, 3, Ipv4Prefix::Parse("10.90.7.0/24").value(),
                     Ipv4Prefix::Parse("10.90.0.0/16").value(), Names()};
  request.drop = {8};
  request.resolvers = {A("9.9.9.9"), A("::1")};
  const auto read = ParseControlRequest(Format(request));
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(Format(*read), Format(request));
  ControlResponse response{"1", {.questions = 3, .failed = 1}, {{7, 3}}};
  const auto said = ParseControlResponse(Format(response));
  ASSERT_TRUE(said.ok()) << said.error().message();
  EXPECT_EQ(Format(*said), Format(response));
  for (const char* bad : {"", "[]", "{\"held\": [[1]]}", "{\"held\": [[-1, 2]]}",
                          "{\"held\": [[1, 99999999999]]}", "{\"held\": 7"}) {
    EXPECT_FALSE(ParseControlResponse(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace strata::net
