#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/unique_fd.h"
#include "net/ports.h"

namespace strata::net {
namespace {

const auto kAllFree = [](uint16_t) { return true; };

TEST(PortRange, RefusesWhatIsNoRange) {
  for (const char* text : {"", "1", "1-", "-1", "0-1", "2-1", "1-65536", "1-2-3", "1 - 2", "a-b"}) {
    EXPECT_FALSE(PortRange::Parse(text).ok()) << text;
  }
  const auto range = PortRange::Parse("65535-65535");
  ASSERT_TRUE(range.ok());
  EXPECT_EQ(range->first, 65535);
}

TEST(ChooseHostPort, TakesTheLowestThatNobodyHas) {
  const auto unless_20001 = [](uint16_t port) { return port != 20001; };
  EXPECT_EQ(ChooseHostPort({20000, 20003}, {}, unless_20001).value(), 20002);
}

TEST(ChooseHostPort, SaysWhatToDoWhenTheRangeIsFull) {
  const auto port = ChooseHostPort({65534, 65535}, {65534, 65535}, kAllFree);
  ASSERT_FALSE(port.ok());
  EXPECT_EQ(port.error().code(), Code::kResourceExhausted);
  EXPECT_NE(port.error().message().find("65534 to 65535"), std::string::npos);
}

// A socket on a port of its own choice.
class Program {
 public:
  Program(int family, int type, in_addr_t address) : fd_(::socket(family, type, 0)) {
    sockaddr_storage own = {};
    own.ss_family = static_cast<sa_family_t>(family);
    if (family == AF_INET) reinterpret_cast<sockaddr_in*>(&own)->sin_addr.s_addr = htonl(address);
    socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    auto* const pointer = reinterpret_cast<sockaddr*>(&own);
    EXPECT_EQ(::bind(fd_.get(), pointer, size), 0);
    EXPECT_EQ(type == SOCK_STREAM ? ::listen(fd_.get(), 1) : 0, 0);
    EXPECT_EQ(::getsockname(fd_.get(), pointer, &size), 0);
    port_ = ntohs(reinterpret_cast<sockaddr_in*>(&own)->sin_port);  // Both families have it there.
  }
  uint16_t port() const { return port_; }

 private:
  UniqueFd fd_;
  uint16_t port_ = 0;
};

TEST(CheckHostPortFree, RefusesAPortThatAProgramListensOnAtAnyAddress) {
  for (const int family : {AF_INET, AF_INET6}) {
    const Program program(family, SOCK_STREAM, INADDR_LOOPBACK);
    const Status checked = CheckHostPortFree(Protocol::kTcp, program.port());
    ASSERT_FALSE(checked.ok());
    EXPECT_EQ(checked.error().code(), Code::kFailedPrecondition);
    EXPECT_NE(checked.error().message().find(std::to_string(program.port()) + "/tcp"),
              std::string::npos);
    EXPECT_TRUE(CheckHostPortFree(Protocol::kUdp, program.port()).ok());
  }
}

TEST(CheckHostPortFree, RefusesAPortThatAProgramTakesDatagramsOn) {
  const Program program(AF_INET, SOCK_DGRAM, INADDR_LOOPBACK);
  EXPECT_FALSE(CheckHostPortFree(Protocol::kUdp, program.port()).ok());
  EXPECT_TRUE(CheckHostPortFree(Protocol::kTcp, program.port()).ok());
}

TEST(CheckHostPortFree, LeavesThePortFree) {
  uint16_t port = 0;
  {
    const Program program(AF_INET, SOCK_STREAM, INADDR_ANY);
    port = program.port();
  }
  EXPECT_TRUE(CheckHostPortFree(Protocol::kTcp, port).ok());
  EXPECT_TRUE(CheckHostPortFree(Protocol::kTcp, port).ok());
}

}  // namespace
}  // namespace strata::net
