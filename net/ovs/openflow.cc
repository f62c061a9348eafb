#include "net/ovs/openflow.h"

#include <net/ethernet.h>

#include <algorithm>
#include <utility>

#include "net/ovs/wire.h"

namespace strata::net {
namespace {

constexpr uint32_t Oxm(uint32_t oxm_class, uint32_t field, uint32_t bytes, bool mask = false) {
  return oxm_class << 16 | field << 9 | (mask ? 0x100u | 2 * bytes : bytes);
}
constexpr uint32_t kBasic = 0x8000;
constexpr uint32_t kInPort = Oxm(kBasic, 0, 4);
constexpr uint32_t kEthDst = Oxm(kBasic, 3, 6);
constexpr uint32_t kEthDstMasked = Oxm(kBasic, 3, 6, true);
constexpr uint32_t kEthSrc = Oxm(kBasic, 4, 6);
constexpr uint32_t kEthType = Oxm(kBasic, 5, 2);
constexpr uint32_t kVlanVid = Oxm(kBasic, 6, 2);
constexpr uint32_t kIpProto = Oxm(kBasic, 10, 1);
constexpr uint32_t kIpv4Src = Oxm(kBasic, 11, 4);
constexpr uint32_t kArpOp = Oxm(kBasic, 21, 2);
constexpr uint32_t kArpSpa = Oxm(kBasic, 22, 4);
constexpr uint32_t kArpTpa = Oxm(kBasic, 23, 4);
constexpr uint32_t kArpSha = Oxm(kBasic, 24, 6);
constexpr uint32_t kIpv6Src = Oxm(kBasic, 26, 16);
constexpr uint32_t kIcmpv6Type = Oxm(kBasic, 29, 1);
constexpr uint32_t kIpv6NdTarget = Oxm(kBasic, 31, 16);
// Open vSwitch's. It names what it copies so, also to who speaks 1.4.
constexpr uint32_t kTunnelSrc = Oxm(1, 31, 4);
constexpr uint32_t kTunnelDst = Oxm(1, 32, 4);
constexpr uint32_t kNxEthDst = Oxm(0, 1, 6);
constexpr uint32_t kNxEthSrc = Oxm(0, 2, 6);
constexpr uint32_t kNxArpSpa = Oxm(0, 16, 4);
constexpr uint32_t kNxArpTpa = Oxm(0, 17, 4);
constexpr uint32_t kNxArpSha = Oxm(1, 17, 6);
constexpr uint32_t kNxArpTha = Oxm(1, 18, 6);

constexpr uint16_t kActionOutput = 0;
constexpr uint16_t kActionSetField = 25;
constexpr uint16_t kActionExperimenter = 0xffff;
constexpr uint32_t kNicira = 0x00002320;
constexpr uint16_t kNiciraRegMove = 6;
constexpr uint16_t kInstructionGoTo = 1;
constexpr uint16_t kInstructionApply = 4;
constexpr uint16_t kMatchOxm = 1;
constexpr uint16_t kMultipartFlow = 1;
constexpr uint16_t kMultipartMore = 1;
constexpr uint16_t kBundleAtomicOrdered = 1 | 2;
constexpr uint8_t kAllTables = 0xff;
constexpr uint32_t kAny = 0xffffffff;
constexpr uint16_t kArpReply = 2;
constexpr uint8_t kProtocolIcmpv6 = 58;

std::string Bytes(const Mac& mac) { return {mac.begin(), mac.end()}; }
std::string Bytes(const IpAddress& address) { return {address.bytes.begin(), address.bytes.end()}; }
template <std::unsigned_integral T>
std::string Bytes(T value) {
  return WireWriter().Put(value).bytes();
}

void PutMatch(const FlowMatch& match, WireWriter* out) {
  WireWriter fields;
  for (const OxmField& field : match.fields()) fields.Put(field.header).PutBytes(field.payload);
  const uint16_t length = static_cast<uint16_t>(4 + fields.bytes().size());
  out->Put(kMatchOxm).Put(length).PutBytes(fields.bytes()).PutZeros((8 - length % 8) % 8);
}

Error NotOpenFlow(const std::string& what) {
  return Error(Code::kCorrupt, "not as OpenFlow 1.4 has it: " + what);
}

Result<FlowMatch> TakeMatch(WireReader* in) {
  const auto type = in->Take<uint16_t>();
  const auto length = in->Take<uint16_t>();
  if (in->failed() || type != kMatchOxm || length < 4) return NotOpenFlow("a match");
  WireReader fields(in->TakeBytes(length - 4u));
  in->Skip((8 - length % 8) % 8);
  FlowMatch match;
  while (!fields.rest().empty()) {
    const auto header = fields.Take<uint32_t>();
    match.Add(OxmField{header, std::string(fields.TakeBytes(header & 0xff))});
    if (fields.failed()) return NotOpenFlow("a field of a match");
  }
  if (in->failed()) return NotOpenFlow("a match that is cut off");
  return match;
}

std::string FlowModBody(FlowCommand command, const Flow& flow) {
  WireWriter body;
  body.Put(flow.cookie).Put(uint64_t{0}).Put(flow.table).Put(static_cast<uint8_t>(command));
  body.PutZeros(2 + 2);  // Timeouts: none.
  body.Put(flow.priority).Put(kAny /* no buffer */).Put(kAny).Put(kAny);
  body.PutZeros(2 + 2);  // Flags and importance.
  PutMatch(flow.match, &body);
  return body.PutBytes(flow.instructions).bytes();
}

}  // namespace

FlowMatch& FlowMatch::InPort(uint32_t port) { return Add(kInPort, Bytes(port)); }
FlowMatch& FlowMatch::EthSource(const Mac& mac) { return Add(kEthSrc, Bytes(mac)); }
FlowMatch& FlowMatch::EthDestination(const Mac& mac) { return Add(kEthDst, Bytes(mac)); }
FlowMatch& FlowMatch::ToGroup() {
  const std::string group = Bytes(Mac{1});
  return Add(kEthDstMasked, group + group);
}
FlowMatch& FlowMatch::EthType(uint16_t type) { return Add(kEthType, Bytes(type)); }
FlowMatch& FlowMatch::Untagged() { return Add(kVlanVid, Bytes(uint16_t{0})); }
FlowMatch& FlowMatch::Ipv4Source(Ipv4 address) { return Add(kIpv4Src, Bytes(address.value)); }
FlowMatch& FlowMatch::ArpOperation(uint16_t operation) { return Add(kArpOp, Bytes(operation)); }
FlowMatch& FlowMatch::ArpSenderAddress(Ipv4 address) { return Add(kArpSpa, Bytes(address.value)); }
FlowMatch& FlowMatch::ArpTargetAddress(Ipv4 address) { return Add(kArpTpa, Bytes(address.value)); }
FlowMatch& FlowMatch::ArpSenderMac(const Mac& mac) { return Add(kArpSha, Bytes(mac)); }
FlowMatch& FlowMatch::Ipv6Source(const IpAddress& address) { return Add(kIpv6Src, Bytes(address)); }
FlowMatch& FlowMatch::Icmpv6(uint8_t type) {
  EthType(ETHERTYPE_IPV6).Add(kIpProto, Bytes(kProtocolIcmpv6));
  return Add(kIcmpv6Type, Bytes(type));
}
FlowMatch& FlowMatch::NeighbourTarget(const IpAddress& address) {
  return Add(kIpv6NdTarget, Bytes(address));
}
FlowMatch& FlowMatch::TunnelSource(Ipv4 host) { return Add(kTunnelSrc, Bytes(host.value)); }

FlowMatch& FlowMatch::Add(uint32_t header, std::string payload) {
  Add(OxmField{header, std::move(payload)});
  return *this;
}

void FlowMatch::Add(OxmField field) {
  const auto place = std::upper_bound(fields_.begin(), fields_.end(), field);
  fields_.insert(place, std::move(field));
}

FlowActions& FlowActions::Output(uint32_t port) {
  WireWriter action;
  action.Put(kActionOutput).Put(uint16_t{16}).Put(port).PutZeros(2 + 6);
  actions_ += action.bytes();
  return *this;
}

FlowActions& FlowActions::SetField(uint32_t header, std::string_view value) {
  const size_t length = (8 + value.size() + 7) / 8 * 8;
  WireWriter action;
  action.Put(kActionSetField).Put(static_cast<uint16_t>(length)).Put(header).PutBytes(value);
  actions_ += action.PadTo(8).bytes();
  return *this;
}

FlowActions& FlowActions::CopyField(uint32_t from, uint32_t to, uint16_t bits) {
  WireWriter action;
  action.Put(kActionExperimenter).Put(uint16_t{24}).Put(kNicira).Put(kNiciraRegMove).Put(bits);
  actions_ += action.PutZeros(2 + 2).Put(from).Put(to).bytes();
  return *this;
}

FlowActions& FlowActions::SetEthSource(const Mac& mac) { return SetField(kEthSrc, Bytes(mac)); }
FlowActions& FlowActions::SetEthDestination(const Mac& mac) {
  return SetField(kEthDst, Bytes(mac));
}
FlowActions& FlowActions::SetTunnelDestination(Ipv4 host) {
  return SetField(kTunnelDst, Bytes(host.value));
}

FlowActions& FlowActions::AnswerArp(Ipv4 address, const Mac& mac) {
  CopyField(kNxEthSrc, kNxEthDst, 48).SetField(kEthSrc, Bytes(mac));
  SetField(kArpOp, Bytes(kArpReply));
  CopyField(kNxArpSha, kNxArpTha, 48).SetField(kArpSha, Bytes(mac));
  CopyField(kNxArpSpa, kNxArpTpa, 32).SetField(kArpSpa, Bytes(address.value));
  return Output(kPortIn);
}

FlowActions& FlowActions::GoTo(uint8_t table) {
  go_to_ = WireWriter().Put(kInstructionGoTo).Put(uint16_t{8}).Put(table).PutZeros(3).bytes();
  return *this;
}

std::string FlowActions::Instructions() const {
  if (actions_.empty()) return go_to_;
  WireWriter apply;
  apply.Put(kInstructionApply).Put(static_cast<uint16_t>(8 + actions_.size())).PutZeros(4);
  return apply.PutBytes(actions_).PutBytes(go_to_).bytes();
}

std::string OpenFlowMessage(OpenFlowType type, uint32_t xid, std::string_view body) {
  WireWriter message;
  message.Put(kOpenFlowVersion).Put(static_cast<uint8_t>(type));
  message.Put(static_cast<uint16_t>(kOpenFlowHeaderBytes + body.size())).Put(xid);
  return message.PutBytes(body).bytes();
}

std::string HelloMessage(uint32_t xid) {
  // Element 1: the versions that are spoken, as bits.
  WireWriter body;
  body.Put(uint16_t{1}).Put(uint16_t{8}).Put(uint32_t{1} << kOpenFlowVersion);
  return OpenFlowMessage(OpenFlowType::kHello, xid, body.bytes());
}

std::string FlowModMessage(uint32_t xid, FlowCommand command, const Flow& flow) {
  return OpenFlowMessage(OpenFlowType::kFlowMod, xid, FlowModBody(command, flow));
}

std::string DeleteAllFlowsMessage(uint32_t xid) {
  Flow all;
  all.table = kAllTables;
  return FlowModMessage(xid, FlowCommand::kDelete, all);
}

std::string BundleControlMessage(uint32_t xid, uint32_t bundle, BundleControl what) {
  WireWriter body;
  body.Put(bundle).Put(static_cast<uint16_t>(what)).Put(kBundleAtomicOrdered);
  return OpenFlowMessage(OpenFlowType::kBundleControl, xid, body.bytes());
}

std::string BundleAddMessage(uint32_t xid, uint32_t bundle, std::string_view message) {
  WireWriter body;
  body.Put(bundle).PutZeros(2).Put(kBundleAtomicOrdered).PutBytes(message);
  return OpenFlowMessage(OpenFlowType::kBundleAdd, xid, body.bytes());
}

std::string FlowStatsRequest(uint32_t xid) {
  WireWriter body;
  body.Put(kMultipartFlow).PutZeros(2 + 4);
  body.Put(kAllTables).PutZeros(3).Put(kAny).Put(kAny).PutZeros(4 + 8 + 8);
  PutMatch(FlowMatch(), &body);
  return OpenFlowMessage(OpenFlowType::kMultipartRequest, xid, body.bytes());
}

Result<OpenFlowHeader> ParseOpenFlowHeader(std::string_view bytes) {
  WireReader in(bytes);
  OpenFlowHeader header;
  header.version = in.Take<uint8_t>();
  header.type = static_cast<OpenFlowType>(in.Take<uint8_t>());
  header.length = in.Take<uint16_t>();
  header.xid = in.Take<uint32_t>();
  if (in.failed() || header.length < kOpenFlowHeaderBytes) return NotOpenFlow("a header");
  return header;
}

Result<FlowStats> ParseFlowStats(std::string_view body) {
  WireReader in(body);
  FlowStats stats;
  const auto type = in.Take<uint16_t>();
  stats.more = (in.Take<uint16_t>() & kMultipartMore) != 0;
  in.Skip(4);
  if (in.failed() || type != kMultipartFlow) return NotOpenFlow("statistics of flows");
  while (!in.rest().empty()) {
    const auto length = in.Take<uint16_t>();
    if (length < 2) return NotOpenFlow("a flow's length");
    WireReader entry(in.TakeBytes(length - 2u));
    if (in.failed()) return NotOpenFlow("a flow that is cut off");
    Flow flow;
    flow.table = entry.Take<uint8_t>();
    entry.Skip(1 + 4 + 4);  // How long it has been there.
    flow.priority = entry.Take<uint16_t>();
    entry.Skip(2 + 2 + 2 + 2 + 2);  // Timeouts, flags, importance.
    flow.cookie = entry.Take<uint64_t>();
    entry.Skip(8 + 8);  // Counters.
    ASSIGN_OR_RETURN(flow.match, TakeMatch(&entry));
    flow.instructions = entry.rest();
    stats.flows.push_back(std::move(flow));
  }
  return stats;
}

std::string ParseErrorBody(std::string_view body) {
  WireReader in(body);
  const auto type = in.Take<uint16_t>();
  const auto code = in.Take<uint16_t>();
  return "type " + std::to_string(type) + " code " + std::to_string(code);
}

Result<BundleControl> ParseBundleControl(std::string_view body, uint32_t bundle) {
  WireReader in(body);
  const auto id = in.Take<uint32_t>();
  const auto what = in.Take<uint16_t>();
  if (in.failed() || id != bundle) return NotOpenFlow("an answer about another bundle");
  return static_cast<BundleControl>(what);
}

}  // namespace strata::net
