#include "tests/unit/net/secure/fabric_host.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "net/secure/fabric_rules.h"

namespace strata::net {
namespace {

constexpr std::chrono::seconds kEnd(10);

std::string InstanceOf(int number) {
  char text[kInstanceDigits + 1];
  const auto pid = static_cast<unsigned>(::getpid());
  std::snprintf(text, sizeof(text), "%05x", (pid * 8 + static_cast<unsigned>(number)) & 0xfffff);
  return text;
}

}  // namespace

bool IsKernelUnderTest() {
  const char* driver = std::getenv("STRATA_TEST_FABRIC");
  return driver != nullptr && std::string_view(driver) == "kernel";
}

FabricHost::FabricHost(int number) {
  // What devices say of themselves would be seen on the wire.
  space.Set("net/ipv6/conf/all/disable_ipv6", "1");
  space.Set("net/ipv6/conf/default/disable_ipv6", "1");
  desired = WithoutIpv6(desired);
  fabric.instance = InstanceOf(number);
  fabric.prefix = Ipv4Prefix::Parse("10.88.0.0/16").value();
  fabric.address = fabric.prefix.Host(static_cast<uint32_t>(number));
  fabric.key = SecretKey::GeneratePrivate().value();
  run_dir = "/tmp/strata-fabric-test." + fabric.instance;
  device = NewDevice();
}

FabricHost::~FabricHost() {
  const auto ended = space.In([&] { return device->Make(std::nullopt); });
  EXPECT_TRUE(ended.ok()) << ended.error().message();
  EXPECT_FALSE(HasLink());
  EXPECT_TRUE(Processes().empty());
  EXPECT_FALSE(PathExists("/var/run/wireguard/" + fabric.device() + ".sock"));
  EXPECT_FALSE(PathExists(run_dir + "/" + fabric.device() + ".log"));
  EXPECT_FALSE(PathExists(run_dir + "/" + fabric.device() + ".session"));
  const auto tables = space.In([&] { return RunChecked({"nft", "list", "tables"}); });
  EXPECT_EQ(tables.value_or("").find(FabricTableName(fabric.instance)), std::string::npos);
  EXPECT_TRUE(RemoveTree(run_dir).ok());
}

std::unique_ptr<FabricDevice> FabricHost::NewDevice() const {
  return std::make_unique<FabricDevice>(FabricDevice::Options{
      fabric.instance, run_dir,
      IsKernelUnderTest() ? FabricDevice::Choice::kKernel : FabricDevice::Choice::kWireguardGo});
}

Result<std::vector<std::string>> FabricHost::TryMake() {
  return space.In([&] { return device->Make(fabric); });
}

std::vector<std::string> FabricHost::Make() {
  auto made = TryMake();
  EXPECT_TRUE(made.ok()) << made.error().message();
  return made.ok() ? *made : std::vector<std::string>();
}

bool FabricHost::IsMade() {
  const auto plan = space.In([&] { return device->Plan(fabric); });
  EXPECT_TRUE(plan.ok()) << plan.error().message();
  if (!plan.ok()) return false;
  const auto changes = DescribeChanges(*plan);
  if (!changes.empty()) std::printf("to do: %s\n", ::testing::PrintToString(changes).c_str());
  return plan->empty();
}

FabricPeer FabricHost::AsPeer(const std::string& endpoint) const {
  FabricPeer peer;
  peer.host = "h" + std::to_string(fabric.address.value & 0xff);
  peer.address = fabric.address;
  peer.key = fabric.key.Public().value();
  if (!endpoint.empty()) peer.endpoint = Endpoint::Parse(endpoint).value();
  return peer;
}

std::vector<pid_t> FabricHost::Processes() const {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const pid_t pid = ::atoi(entry.path().filename().c_str());
    if (pid <= 0) continue;
    const auto words = ReadFile("/proc/" + std::to_string(pid) + "/cmdline", 4096);
    if (words.ok() && words->starts_with("wireguard-go") &&
        words->find(fabric.device()) != std::string::npos) {
      found.push_back(pid);
    }
  }
  return found;
}

bool FabricHost::HasLink() const {
  return space.In([&] { return ::if_nametoindex(fabric.device().c_str()); }) != 0;
}

void KillAndAwait(pid_t pid) {
  const UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  ASSERT_TRUE(fd.valid());
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  pollfd entry = {fd.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&entry, 1, static_cast<int>(std::chrono::milliseconds(kEnd).count())), 1);
}

Wire::Wire(const NetNamespace& space, const std::string& link)
    : fd_(space.In(
          [] { return ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); })) {
  const int size = 64 << 20;
  CHECK(::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) == 0);
  sockaddr_ll where = {};
  where.sll_family = AF_PACKET;
  where.sll_protocol = htons(ETH_P_ALL);
  where.sll_ifindex = space.In([&] { return static_cast<int>(::if_nametoindex(link.c_str())); });
  CHECK(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&where), sizeof(where)) == 0);
}

std::vector<std::string> Wire::Take() const {
  std::vector<std::string> frames;
  std::string frame(128 << 10, '\0');
  for (;;) {
    const ssize_t size = ::recv(fd_.get(), frame.data(), frame.size(), 0);
    if (size < 0) return frames;
    frames.push_back(frame.substr(0, static_cast<size_t>(size)));
  }
}

std::vector<std::string> PlainOf(const std::vector<std::string>& frames, FabricKind kind) {
  std::vector<std::string> plain;
  for (const std::string& frame : frames) {
    ether_header ether;
    iphdr ip;
    udphdr udp;
    CHECK(frame.size() >= sizeof(ether));
    std::memcpy(&ether, frame.data(), sizeof(ether));
    if (ether.ether_type == htons(ETHERTYPE_ARP)) continue;
    // Neighbours of IPv6 that look for each other.
    if (ether.ether_dhost[0] == 0x33 && ether.ether_dhost[1] == 0x33) continue;
    if (ether.ether_type == htons(ETHERTYPE_IP) &&
        frame.size() >= sizeof(ether) + sizeof(ip) + sizeof(udp)) {
      std::memcpy(&ip, frame.data() + sizeof(ether), sizeof(ip));
      std::memcpy(&udp, frame.data() + sizeof(ether) + sizeof(ip), sizeof(udp));
      if (kind == FabricKind::kEsp && ip.protocol == IPPROTO_ESP) continue;
      if (kind == FabricKind::kWireguard && ip.protocol == IPPROTO_UDP &&
          udp.source == htons(kFabricPort) && udp.dest == htons(kFabricPort)) {
        continue;
      }
    }
    plain.push_back(frame);
  }
  return plain;
}

size_t CountWith(const std::vector<std::string>& frames, const std::string& text) {
  size_t count = 0;
  for (const std::string& frame : frames) count += frame.find(text) != std::string::npos ? 1 : 0;
  return count;
}

}  // namespace strata::net
