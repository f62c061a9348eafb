// OpenFlow 1.4 (ONF TS-012) as far as net/ovs speaks it: flows, put in by bundles, which take
// effect as a whole, and read back. Pure; what the switch says is foreign bytes.
//
// Two extensions of Open vSwitch (its nicira-ext.h) have no standard counterpart in 1.4: the outer
// addresses of a tunnel as fields, and an action that copies a field.
#pragma once

#include <compare>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "net/ip_address.h"
#include "net/ipv4.h"
#include "net/names.h"

namespace strata::net {

inline constexpr uint32_t kPortIn = 0xfffffff8;     // Back to where the frame came from.
inline constexpr uint32_t kPortLocal = 0xfffffffe;  // The bridge's own: the gateway.

// One field of a match, as on the wire ("OXM TLV").
struct OxmField {
  uint32_t header = 0;
  std::string payload;  // Value, and mask where the header says so.
  auto operator<=>(const OxmField&) const = default;
};

// What a frame must be. Fields that others are about (Ethernet's type…) have to be there too.
class FlowMatch {
 public:
  FlowMatch& InPort(uint32_t port);
  FlowMatch& EthSource(const Mac& mac);
  FlowMatch& EthDestination(const Mac& mac);
  FlowMatch& ToGroup();  // Broadcast or multicast.
  FlowMatch& EthType(uint16_t type);
  FlowMatch& Untagged();
  FlowMatch& Ipv4Source(Ipv4 address);
  FlowMatch& ArpOperation(uint16_t operation);
  FlowMatch& ArpSenderAddress(Ipv4 address);
  FlowMatch& ArpTargetAddress(Ipv4 address);
  FlowMatch& ArpSenderMac(const Mac& mac);
  FlowMatch& Ipv6Source(const IpAddress& address);
  FlowMatch& Icmpv6(uint8_t type);                       // With what has to be there for it.
  FlowMatch& NeighbourTarget(const IpAddress& address);  // Of solicitations and advertisements.
  FlowMatch& TunnelSource(Ipv4 host);

  void Add(OxmField field);  // Keeps them in order.
  const std::vector<OxmField>& fields() const { return fields_; }
  bool operator==(const FlowMatch&) const = default;
  auto operator<=>(const FlowMatch&) const = default;

 private:
  FlowMatch& Add(uint32_t header, std::string payload);
  std::vector<OxmField> fields_;  // By header: conditions of a field precede it.
};

// What is done with a frame: actions, in their order, then another table.
class FlowActions {
 public:
  FlowActions& Output(uint32_t port);
  FlowActions& SetEthSource(const Mac& mac);
  FlowActions& SetEthDestination(const Mac& mac);
  FlowActions& SetTunnelDestination(Ipv4 host);
  // A request of ARP becomes the answer that `address` is at `mac`.
  FlowActions& AnswerArp(Ipv4 address, const Mac& mac);
  FlowActions& GoTo(uint8_t table);
  std::string Instructions() const;  // As on the wire.

 private:
  FlowActions& SetField(uint32_t header, std::string_view value);
  FlowActions& CopyField(uint32_t from, uint32_t to, uint16_t bits);
  std::string actions_;
  std::string go_to_;
};

struct Flow {
  uint8_t table = 0;
  uint16_t priority = 0;
  FlowMatch match;
  std::string instructions;
  uint64_t cookie = 0;
  auto operator<=>(const Flow&) const = default;
};

enum class FlowCommand : uint8_t {
  kAdd = 0,           // In the place of one with the same table, priority and match.
  kDelete = 3,        // All that match.
  kDeleteStrict = 4,  // The one with the same table, priority and match.
};

// Messages, whole.
inline constexpr size_t kOpenFlowHeaderBytes = 8;
inline constexpr uint8_t kOpenFlowVersion = 0x05;
enum class OpenFlowType : uint8_t {
  kHello = 0,
  kError = 1,
  kEchoRequest = 2,
  kEchoReply = 3,
  kFlowMod = 14,
  kMultipartRequest = 18,
  kMultipartReply = 19,
  kBundleControl = 33,
  kBundleAdd = 34,
};
enum class BundleControl : uint16_t { kOpen = 0, kOpened = 1, kCommit = 4, kCommitted = 5 };

std::string OpenFlowMessage(OpenFlowType type, uint32_t xid, std::string_view body);
std::string HelloMessage(uint32_t xid);
std::string FlowModMessage(uint32_t xid, FlowCommand command, const Flow& flow);
std::string DeleteAllFlowsMessage(uint32_t xid);
std::string BundleControlMessage(uint32_t xid, uint32_t bundle, BundleControl what);
// REQUIRES: `message` has the same xid.
std::string BundleAddMessage(uint32_t xid, uint32_t bundle, std::string_view message);
std::string FlowStatsRequest(uint32_t xid);  // Of all flows.

struct OpenFlowHeader {
  uint8_t version = 0;
  OpenFlowType type{};
  uint16_t length = 0;  // Of the whole message.
  uint32_t xid = 0;
};
// kCorrupt: a length that none can have.
Result<OpenFlowHeader> ParseOpenFlowHeader(std::string_view bytes);

// Of the bodies of messages, what follows the header.
struct FlowStats {
  std::vector<Flow> flows;
  bool more = false;  // Another message goes on.
};
Result<FlowStats> ParseFlowStats(std::string_view body);
// "type 4 code 9", or the name of what is known.
std::string ParseErrorBody(std::string_view body);
Result<BundleControl> ParseBundleControl(std::string_view body, uint32_t bundle);

}  // namespace strata::net
