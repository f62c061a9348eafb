// What is said to WireGuard, by netlink and by socket, and what is understood of its answers.
#include <gtest/gtest.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>

#include <cstring>
#include <string>
#include <vector>

#include "net/secure/uapi_text.h"
#include "net/secure/wireguard_messages.h"

namespace strata::net {
namespace {

constexpr uint16_t kFamily = 42;

KeyBytes Filled(uint8_t value) {
  KeyBytes bytes;
  bytes.fill(value);
  return bytes;
}
std::string Hex(const std::string& pair) {
  std::string text;
  for (size_t i = 0; i < kKeyBytes; ++i) text += pair;
  return text;
}

PeerSettings ThePeer() {
  PeerSettings peer;
  peer.key = {Filled(0x11)};
  peer.host = "h2";
  peer.endpoint = Endpoint::Parse("192.0.2.2:51820").value();
  peer.preshared = SecretKey(Filled(0x22));
  peer.keepalive_s = 25;
  peer.allowed = {Ipv4Prefix::Parse("10.88.0.2/32").value()};
  return peer;
}

TEST(UapiText, ASetSaysTheDeviceThenWhoGoesThenWhoComes) {
  DeviceChange change;
  change.key = SecretKey(Filled(0x01));
  change.port = 51820;
  change.remove_peers = {{Filled(0x33)}};
  PeerSettings later = ThePeer();
  later.key = {Filled(0x44)};
  later.endpoint.reset();
  later.preshared = SecretKey();
  later.keepalive_s = 0;
  later.allowed.clear();
  change.set_peers = {ThePeer(), later};
  EXPECT_EQ(FormatUapiSet(change), "set=1\nprivate_key=" + Hex("01") +
                                       "\nlisten_port=51820\n"
                                       "public_key=" +
                                       Hex("33") +
                                       "\nremove=true\n"
                                       "public_key=" +
                                       Hex("11") + "\npreshared_key=" + Hex("22") +
                                       "\nendpoint=192.0.2.2:51820\n"
                                       "persistent_keepalive_interval=25\n"
                                       "replace_allowed_ips=true\nallowed_ip=10.88.0.2/32\n"
                                       "public_key=" +
                                       Hex("44") + "\npreshared_key=" + Hex("00") +
                                       "\npersistent_keepalive_interval=0\n"
                                       "replace_allowed_ips=true\n\n");
  EXPECT_EQ(FormatUapiSet({}), "set=1\n\n");
}

TEST(UapiText, AnAnswerIsUnderstood) {
  const std::string answer =
      "private_key=" + Hex("01") + "\nlisten_port=51820\nfwmark=7\npublic_key=" + Hex("11") +
      "\npreshared_key=" + Hex("22") +
      "\nprotocol_version=1\nendpoint=[2001:db8::1]:99\nlast_handshake_time_sec=1700000000\n"
      "last_handshake_time_nsec=5\ntx_bytes=12\nrx_bytes=34\npersistent_keepalive_interval=25\n"
      "allowed_ip=10.88.0.2/32\nallowed_ip=fd00::/8\npublic_key=" +
      Hex("44") + "\nendpoint=[fe80::1%eth0]:1\nsomething_new=7\nerrno=0\n\n";
  const auto device = ParseUapiDevice(answer);
  ASSERT_TRUE(device.ok()) << device.error().message();
  EXPECT_TRUE(device->key == SecretKey(Filled(0x01)));
  EXPECT_EQ(device->port, 51820);
  ASSERT_EQ(device->peers.size(), 2u);
  const ObservedPeer& peer = device->peers[0];
  EXPECT_EQ(peer.key.bytes, Filled(0x11));
  EXPECT_TRUE(peer.preshared == SecretKey(Filled(0x22)));
  EXPECT_EQ(peer.endpoint->ToString(), "[2001:db8::1]:99");
  EXPECT_EQ(peer.last_handshake, std::chrono::seconds(1700000000) + std::chrono::nanoseconds(5));
  EXPECT_EQ(peer.sent_bytes, 12u);
  EXPECT_EQ(peer.received_bytes, 34u);
  EXPECT_EQ(peer.keepalive_s, 25);
  EXPECT_EQ(peer.allowed, ThePeer().allowed);
  EXPECT_TRUE(peer.allows_ipv6);
  EXPECT_FALSE(device->peers[1].endpoint.has_value());
  EXPECT_FALSE(device->peers[1].allows_ipv6);
  EXPECT_EQ(ParseUapiDevice("errno=0\n\n").value().peers.size(), 0u);
}

TEST(UapiText, ARefusalIsToldWithItsReason) {
  const Status refused = ParseUapiStatus("errno=98\n\n");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().sys_errno(), EADDRINUSE);
  EXPECT_EQ(ParseUapiStatus("errno=-98\n\n").error().sys_errno(), EADDRINUSE);
  EXPECT_FALSE(ParseUapiStatus("").ok());
  EXPECT_FALSE(ParseUapiStatus("errno=\n\n").ok());
  EXPECT_FALSE(ParseUapiStatus("errno=0x\n\n").ok());
  EXPECT_FALSE(ParseUapiDevice("listen_port=1\nerrno=5\n\n").ok());
  EXPECT_FALSE(IsWholeUapiAnswer("errno=0\n"));
  EXPECT_TRUE(IsWholeUapiAnswer("errno=0\n\n"));
}

TEST(UapiText, WhatIsNoAnswerIsRefusedWithoutTellingKeys) {
  const std::string peer = "public_key=" + Hex("11") + "\n";
  for (const std::string& bad : std::vector<std::string>{
           "private_key=" + Hex("0g"),
           "private_key=" + Hex("01") + "01",
           "public_key=12",
           "listen_port=65536",
           "listen_port=",
           "listen_port=-1",
           peer + "preshared_key=" + Hex("+1"),
           peer + "persistent_keepalive_interval=65536",
           peer + "rx_bytes=x",
           peer + "last_handshake_time_sec=-1",
           peer + "last_handshake_time_sec=9223372036854775807",
           peer + "allowed_ip=10.88.0.2",
           peer + "allowed_ip=10.88.0.2/33",
       }) {
    const auto device = ParseUapiDevice(bad + "\nerrno=0\n\n");
    ASSERT_FALSE(device.ok()) << bad;
    EXPECT_EQ(device.error().code(), Code::kCorrupt);
    EXPECT_EQ(device.error().message().find(Hex("01").substr(0, 20)), std::string::npos);
  }
  std::string many;
  for (int i = 0; i < 5000; ++i) many += peer;
  EXPECT_FALSE(ParseUapiDevice(many + "errno=0\n\n").ok());
}

// What is set is what the kernel tells: the attributes are the same.
TEST(WireguardMessages, WhatIsSetIsWhatIsRead) {
  DeviceChange change;
  change.key = SecretKey(Filled(0x01));
  change.port = 51820;
  ObservedDevice device;
  ASSERT_TRUE(
      AddDeviceMessage(nlmsg_hdr(NewDeviceSettings(kFamily, "sab123w", change).get()), &device));
  EXPECT_TRUE(device.key == *change.key);
  EXPECT_EQ(device.port, 51820);
  EXPECT_TRUE(device.peers.empty());

  PeerSettings wanted = ThePeer();
  for (const std::string endpoint : {"192.0.2.2:51820", "[2001:db8::1]:99"}) {
    device.peers.clear();
    wanted.endpoint = Endpoint::Parse(endpoint).value();
    ASSERT_TRUE(
        AddDeviceMessage(nlmsg_hdr(NewPeerSettings(kFamily, "sab123w", wanted).get()), &device));
    ASSERT_EQ(device.peers.size(), 1u);
    const ObservedPeer& peer = device.peers[0];
    EXPECT_EQ(peer.key, wanted.key);
    EXPECT_EQ(peer.endpoint, wanted.endpoint);
    EXPECT_TRUE(peer.preshared == wanted.preshared);
    EXPECT_EQ(peer.keepalive_s, 25);
    EXPECT_EQ(peer.allowed, wanted.allowed);
    EXPECT_FALSE(peer.allows_ipv6);
  }
}

TEST(WireguardMessages, APeerThatGoesOnInTheNextMessageIsOne) {
  ObservedDevice device;
  PeerSettings peer = ThePeer();
  const auto add = [&] {
    ASSERT_TRUE(
        AddDeviceMessage(nlmsg_hdr(NewPeerSettings(kFamily, "sab123w", peer).get()), &device));
  };
  add();
  peer.allowed = {Ipv4Prefix::Parse("10.88.0.3/32").value()};
  add();
  peer.key = {Filled(0x55)};
  add();
  ASSERT_EQ(device.peers.size(), 2u);
  EXPECT_EQ(device.peers[0].allowed.size(), 2u);
  EXPECT_EQ(device.peers[1].allowed.size(), 1u);
}

TEST(WireguardMessages, AMessageThatIsCutShortIsNotReadBeyondItsEnd) {
  const Owned<nl_msg> message = NewPeerSettings(kFamily, "sab123w", ThePeer());
  const nlmsghdr* whole = nlmsg_hdr(message.get());
  for (uint32_t size = sizeof(nlmsghdr); size < whole->nlmsg_len; ++size) {
    // Of its own, so that a sanitizer sees what is read behind it.
    std::string copy(reinterpret_cast<const char*>(whole), size);
    std::vector<uint32_t> aligned((size + 3) / 4);
    std::memcpy(aligned.data(), copy.data(), size);
    auto* header = reinterpret_cast<nlmsghdr*>(aligned.data());
    header->nlmsg_len = size;
    ObservedDevice device;
    (void)AddDeviceMessage(header, &device);
    EXPECT_LE(device.peers.size(), 1u);
  }
}

TEST(WireguardMessages, ATimeThatNoClockTellsIsCutToOneThatItCan) {
  const Owned<nl_msg> message = NewPeerRemoval(kFamily, "sab123w", {Filled(0x11)});
  // Into the peer, which is the last of the message.
  const int64_t time[] = {INT64_MAX, INT64_MIN};
  nlattr* peers = nlmsg_find_attr(nlmsg_hdr(message.get()), sizeof(genlmsghdr), WGDEVICE_A_PEERS);
  auto* peer = static_cast<nlattr*>(nla_data(peers));
  ASSERT_EQ(nla_put(message.get(), WGPEER_A_LAST_HANDSHAKE_TIME, sizeof(time), time), 0);
  const auto more = static_cast<uint16_t>(nla_total_size(sizeof(time)));
  peers->nla_len = static_cast<uint16_t>(peers->nla_len + more);
  peer->nla_len = static_cast<uint16_t>(peer->nla_len + more);
  ObservedDevice device;
  ASSERT_TRUE(AddDeviceMessage(nlmsg_hdr(message.get()), &device));
  ASSERT_EQ(device.peers.size(), 1u);
  EXPECT_EQ(device.peers[0].last_handshake, std::chrono::seconds(int64_t{200} * 365 * 86400));
}

TEST(WireguardMessages, RemovalNamesThePeerAndTheFamilyIsRead) {
  ObservedDevice device;
  ASSERT_TRUE(AddDeviceMessage(nlmsg_hdr(NewPeerRemoval(kFamily, "sab123w", {Filled(0x11)}).get()),
                               &device));
  ASSERT_EQ(device.peers.size(), 1u);
  EXPECT_EQ(device.peers[0].key.bytes, Filled(0x11));
  EXPECT_EQ(ReadFamily(nlmsg_hdr(NewFamilyRequest("wireguard").get())), 0);
}

}  // namespace
}  // namespace strata::net
