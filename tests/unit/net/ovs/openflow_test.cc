// OpenFlow as bytes. Those that are compared with are what ovs-ofctl 3.1 sends for the same flow
// (recorded at the socket; those of IPv6 are what its ofp-print reads so), and what ovs-vswitchd
// answers.
#include "net/ovs/openflow.h"

#include <gtest/gtest.h>
#include <net/ethernet.h>
#include <sys/socket.h>

#include <algorithm>

#include "common/log.h"
#include "net/ovs/flows.h"
#include "net/ovs/openflow_channel.h"
#include "net/ovs/wire.h"

namespace strata::net {
namespace {

constexpr Mac kMac = {2, 1, 2, 3, 4, 5};
const Ipv4 kNode = Ipv4::Parse("10.90.1.4").value();
const IpAddress kNode6 = IpAddress::Parse("fd12:3456:7800:1::4").value();
const Ipv4 kHost = Ipv4::Parse("192.0.2.2").value();

std::string Hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    text += "0123456789abcdef"[static_cast<uint8_t>(byte) >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::string FromHex(std::string_view text) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes += static_cast<char>(digit(text[i]) * 16 + digit(text[i + 1]));
  }
  return bytes;
}

std::string HexOf(uint8_t table, const FlowMatch& match, const FlowActions& actions) {
  return Hex(FlowModMessage(6, FlowCommand::kAdd,
                            {table, 100, match, actions.Instructions(), kFlowCookie}));
}

FlowMatch FromNode(uint16_t type) {
  return FlowMatch().InPort(102).EthSource(kMac).EthType(type).Untagged();
}

FlowMatch FromNode6() { return FlowMatch().InPort(102).EthSource(kMac).Untagged(); }

TEST(OpenFlow, FlowsAreWrittenAsOvsOfctlWritesThem) {
  EXPECT_EQ(HexOf(0, FromNode(ETHERTYPE_IP).Ipv4Source(kNode), FlowActions().GoTo(1)),
            "050e006800000006737472617461000000000000000000000000000000000064ffffffffffffffffffffff"
            "ff000000000001002a80000004000000668000080602010203040580000a02080080000c02000080001604"
            "0a5a01040000000000000001000801000000");
  EXPECT_EQ(HexOf(0, FromNode(ETHERTYPE_ARP).ArpSenderMac(kMac).ArpSenderAddress(kNode),
                  FlowActions().GoTo(1)),
            "050e007000000006737472617461000000000000000000000000000000000064ffffffffffffffffffffff"
            "ff000000000001003480000004000000668000080602010203040580000a02080680000c02000080002c04"
            "0a5a010480003006020102030405000000000001000801000000");
  EXPECT_EQ(HexOf(1, FlowMatch().EthType(ETHERTYPE_ARP).ArpOperation(1).ArpTargetAddress(kNode),
                  FlowActions().AnswerArp(kNode, kMac)),
            "050e00e800000006737472617461000000000000000000000100000000000064ffffffffffffffffffffff"
            "ff000000000001001880000a02080680002a02000180002e040a5a0104000400a000000000ffff00180000"
            "2320000600300000000000000406000002060019001080000806020102030405000000190010"
            "80002a020002000000000000ffff0018000023200006003000000000000122060001240600190010800030"
            "060201020304050000ffff001800002320000600200000000000002004000022040019001080002c040a5a"
            "01040000000000000010fffffff80000000000000000");
  EXPECT_EQ(HexOf(1, FlowMatch().EthDestination(kMac).EthType(ETHERTYPE_IP),
                  FlowActions().SetTunnelDestination(kHost).Output(1)),
            "050e007000000006737472617461000000000000000000000100000000000064ffffffffffffffffffffff"
            "ff00000000000100148000060602010203040580000a02080000000000000400280000000000190010"
            "00014004c00002020000000000000010000000010000000000000000");
  EXPECT_EQ(HexOf(2, FlowMatch().ToGroup(), FlowActions().Output(102).Output(kPortLocal)),
            "050e007000000006737472617461000000000000000000000200000000000064ffffffffffffffffffffff"
            "ff00000000000100148000070c010000000000010000000000000000000004002800000000000000100000"
            "0066000000000000000000000010fffffffe0000000000000000");
  EXPECT_EQ(HexOf(1, FromNode6().Icmpv6(136).NeighbourTarget(kNode6), FlowActions().GoTo(2)),
            "050e007800000006737472617461000000000000000000000100000000000064ffffffffffffffffffffff"
            "ff000000000001004080000004000000668000080602010203040580000a0286dd80000c02000080001401"
            "3a80003a018880003e10fd1234567800000100000000000000040001000802000000");
  EXPECT_EQ(HexOf(0, FromNode(ETHERTYPE_IPV6).Ipv6Source(kNode6), FlowActions().GoTo(1)),
            "050e007000000006737472617461000000000000000000000000000000000064ffffffffffffffffffffff"
            "ff000000000001003680000004000000668000080602010203040580000a0286dd80000c02000080003410"
            "fd12345678000001000000000000000400000001000801000000");
  Flow gone;
  gone.table = 2;
  gone.priority = 1;
  EXPECT_EQ(Hex(FlowModMessage(6, FlowCommand::kDeleteStrict, gone)),
            "050e003800000006000000000000000000000000000000000204000000000001ffffffffffffffffffffff"
            "ff000000000001000400000000");
}

TEST(OpenFlow, BundlesAndQuestionsAreWrittenAsOvsOfctlWritesThem) {
  EXPECT_EQ(Hex(BundleControlMessage(7, 0, BundleControl::kOpen)),
            "05210010000000070000000000000003");
  EXPECT_EQ(Hex(BundleControlMessage(9, 0, BundleControl::kCommit)),
            "05210010000000090000000000040003");
  Flow flow;
  flow.table = 2;
  flow.priority = 1;
  flow.instructions = FlowActions().GoTo(3).Instructions();
  EXPECT_EQ(Hex(BundleAddMessage(6, 0, FlowModMessage(6, FlowCommand::kAdd, flow))),
            "05220050000000060000000000000003050e00400000000600000000000000000000000000000000020000"
            "0000000001ffffffffffffffffffffffff0000000000010004000000000001000803000000");
  EXPECT_EQ(Hex(FlowStatsRequest(2)),
            "05120038000000020001000000000000ff000000ffffffffffffffff000000000000000000000000000000"
            "00000000000001000400000000");
  EXPECT_EQ(Hex(HelloMessage(1)), "05000010000000010001000800000020");
}

const char kStats[] =
    "051300c000000002000100000000000000700000000000000660b0c0006400000000000000000000737472617461"
    "0000000000000000000000000000000000000001003480000004000000668000080602010203040580000a020806"
    "80000c02000080002c040a5a01048000300602010203040500000000000100080100000000400200000000000e01"
    "d0c000010000000000000000000000000000000000000000000000000000000000000000000000010004000000000"
    "001000803000000";

TEST(OpenFlow, FlowsAreReadBackAsTheyWereWritten) {
  const std::string message = FromHex(kStats);
  const OpenFlowHeader header = ParseOpenFlowHeader(message).value();
  EXPECT_EQ(header.type, OpenFlowType::kMultipartReply);
  EXPECT_EQ(header.length, message.size());
  const FlowStats stats = ParseFlowStats(message.substr(kOpenFlowHeaderBytes)).value();
  EXPECT_FALSE(stats.more);
  ASSERT_EQ(stats.flows.size(), 2u);
  const Flow written = {0, 100, FromNode(ETHERTYPE_ARP).ArpSenderAddress(kNode).ArpSenderMac(kMac),
                        FlowActions().GoTo(1).Instructions(), kFlowCookie};
  EXPECT_EQ(stats.flows[0], written);
  EXPECT_EQ(stats.flows[1], (Flow{2, 1, FlowMatch(), FlowActions().GoTo(3).Instructions(), 0}));
}

TEST(OpenFlow, FieldsAreComparedInAnyOrder) {
  // ovs-vswitchd tells the tunnel's field last, and it is written first.
  FlowMatch there;
  FlowMatch ours;
  ours.TunnelSource(kHost).InPort(1).EthSource(kMac);
  std::vector<OxmField> fields = ours.fields();
  std::reverse(fields.begin(), fields.end());
  for (const OxmField& field : fields) there.Add(field);
  EXPECT_EQ(there, ours);
}

TEST(OpenFlow, StatisticsThatAreCutOffAnywhereAreRefused) {
  const std::string body = FromHex(kStats).substr(kOpenFlowHeaderBytes);
  int whole = 0;
  for (size_t size = 0; size < body.size(); ++size) {
    const auto stats = ParseFlowStats(body.substr(0, size));
    if (stats.ok()) {
      ++whole;  // Where one of the flows ends.
    } else {
      EXPECT_EQ(stats.error().code(), Code::kCorrupt);
    }
  }
  EXPECT_EQ(whole, 2);
  for (size_t at = 0; at < body.size(); ++at) {  // No length leads out of the message.
    std::string bad = body;
    bad[at] = '\xff';
    (void)ParseFlowStats(bad);
  }
}

// The other end of a channel, that says what a test wants.
class FakeSwitch {
 public:
  explicit FakeSwitch(std::string answers) {
    int ends[2];
    CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    ours_.reset(ends[0]);
    theirs_.reset(ends[1]);
    CHECK(::send(ours_.get(), answers.data(), answers.size(), 0) ==
          static_cast<ssize_t>(answers.size()));
  }
  Result<OpenFlowChannel> Open() {
    return OpenFlowChannel::Open(UnixStream(std::move(theirs_), "fake"),
                                 std::chrono::milliseconds(200));
  }
  void HangUp() { ours_.reset(); }

 private:
  UniqueFd ours_;
  UniqueFd theirs_;
};

Code ReadCode(const std::string& answer) {
  FakeSwitch fake(HelloMessage(1) + answer);
  const auto flows = fake.Open().value().ReadFlows();
  return flows.ok() ? Code::kInternal : flows.error().code();
}

TEST(OpenFlowChannel, SaysWhatIsWrongWithAnAnswer) {
  const std::string error = OpenFlowMessage(OpenFlowType::kError, 2, std::string("\0\4\0\11", 4));
  EXPECT_EQ(ReadCode(error), Code::kFailedPrecondition);
  EXPECT_EQ(ReadCode(""), Code::kDeadlineExceeded);
  EXPECT_EQ(ReadCode(FromHex("0513000400000002")), Code::kCorrupt) << "shorter than a header";
  EXPECT_EQ(ReadCode(OpenFlowMessage(OpenFlowType::kMultipartReply, 2, "?")), Code::kCorrupt);
  EXPECT_EQ(ReadCode(FromHex(kStats).substr(0, 100)), Code::kDeadlineExceeded);
  FakeSwitch gone(HelloMessage(1));
  OpenFlowChannel channel = gone.Open().value();
  gone.HangUp();
  EXPECT_EQ(channel.ReadFlows().error().code(), Code::kUnavailable);
}

TEST(OpenFlowChannel, ReadsWhatComesInPiecesAndAnswersEchoes) {
  const std::string echo = OpenFlowMessage(OpenFlowType::kEchoRequest, 77, "there?");
  std::string more = FromHex(kStats);
  more[11] = 1;  // Another message goes on.
  FakeSwitch fake(HelloMessage(1) + echo + more + FromHex(kStats));
  EXPECT_EQ(fake.Open().value().ReadFlows().value().size(), 4u);
}

TEST(OpenFlowChannel, NeedsOpenFlow14) {
  std::string old = HelloMessage(1);
  old[0] = 1;
  FakeSwitch fake(old);
  const auto channel = fake.Open();
  ASSERT_FALSE(channel.ok());
  EXPECT_EQ(channel.error().code(), Code::kUnsupported);
}

TEST(Flows, OfABridgeHaveOneForEachOfTheirMatches) {
  Bridge bridge = MakeBridge("1a2b3", 7, Ipv4Prefix::Parse("10.90.1.0/24").value());
  bridge.overlay = {.vni = 7, .local = Ipv4::Parse("192.0.2.1").value()};
  bridge.overlay->remotes = {{kNode, NodeMac(bridge, 2), kHost}};
  const std::vector<Flow> flows = MakeFlows(bridge, {0, 1});
  EXPECT_EQ(flows.size(), 2u * 3 + 3 + 6);
  for (size_t i = 1; i < flows.size(); ++i) {
    EXPECT_LT(std::tie(flows[i - 1].table, flows[i - 1].priority, flows[i - 1].match),
              std::tie(flows[i].table, flows[i].priority, flows[i].match));
  }
  EXPECT_EQ(NodeMac(bridge, 2), MacForNode(7, kNode));
}

}  // namespace
}  // namespace strata::net
