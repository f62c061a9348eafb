// Who may talk to whom over TLS, and that whoever may not does no harm.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include "common/rpc/call_watch.h"
#include "common/rpc/tls_probe.h"
#include "tests/unit/common/tls_fixture.h"

namespace strata::rpc {
namespace {

using std::chrono::hours;
using testing::HasSubstr;

constexpr hours kTwoYears{24 * 730};

UniqueFd Dial(const std::string& address) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  return fd;
}

// Whether the server ends the connection within `bound`; what it says until then is ignored.
bool IsHungUp(int fd, std::chrono::milliseconds bound) {
  const auto deadline = std::chrono::steady_clock::now() + bound;
  char buffer[4096];
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd poll_fd = {fd, POLLIN, 0};
    if (left.count() <= 0 || ::poll(&poll_fd, 1, static_cast<int>(left.count())) <= 0) return false;
    if (::read(fd, buffer, sizeof(buffer)) <= 0) return true;
  }
}

TEST_F(TlsTest, EveryHostIsSeenAsWhoItIs) {
  EXPECT_EQ(*Ask(Identity("host-a")), "host-a");
  EXPECT_EQ(*Ask(Identity("host-b")), "host-b");
}

TEST_F(TlsTest, WithoutACertificateOnlyWhatNeedsNoneIsServed) {
  const auto channel = ConnectTls(address_, "server", Nobody());
  ASSERT_TRUE(channel.ok()) << channel.error().message();
  EXPECT_TRUE(ShowOver(*channel).ok());
  ExpectRefused(AskOver(*channel), "join it first, with a token");
}

TEST_F(TlsTest, AForeignClustersHostIsRefusedByTheServer) {
  const auto foreign = pki::Authority::Create(Now());
  const TlsIdentity stranger = Identity("host-a", *foreign);  // It trusts our authority, though.
  ExpectRefused(Ask(stranger), "our own side: host-a's certificate is not of our cluster");
  // The same past its own check.
  const auto connection =
      TlsConnection::Open(address_, stranger, /*verify=*/true, std::chrono::seconds(5));
  ASSERT_TRUE(connection.ok());
  Status refused = (*connection)->Handshake();
  if (refused.ok()) refused = (*connection)->AwaitAcceptance();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kPermissionDenied) << refused.error().message();
  ExpectAlive();
}

TEST_F(TlsTest, AForeignClustersServerIsRefusedByTheClient) {
  const auto foreign = pki::Authority::Create(Now());
  TlsIdentity stranger = Identity("host-a", *foreign);
  stranger.authority_pem = foreign->certificate().ToPem();
  ExpectRefused(Ask(stranger), "'s certificate is not of our cluster");
}

TEST_F(TlsTest, ExpiredCertificatesAreRefusedOnBothSides) {
  const TlsIdentity expired = Identity("old", authority_, Now() - kTwoYears);
  ExpectRefused(Ask(expired), "our own side: old's certificate has expired: remove that host");
  const auto connection =
      TlsConnection::Open(address_, expired, /*verify=*/true, std::chrono::seconds(5));
  Status refused = (*connection)->Handshake();
  if (refused.ok()) refused = (*connection)->AwaitAcceptance();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kPermissionDenied) << refused.error().message();
  ExpectAlive();
  Serve("server", {}, Now() - kTwoYears);
  ExpectRefused(Ask(Identity("host-a")), "'s certificate has expired");
}

TEST_F(TlsTest, AClockThatIsWrongIsNamed) {
  Serve("server", {}, Now() + hours(3));
  ExpectRefused(Ask(Identity("host-a")), "clock");
}

TEST_F(TlsTest, AnotherHostAtTheAddressIsNotTakenForTheExpectedOne) {
  ExpectRefused(Ask(Identity("host-a"), "other"), "is host 'server', not 'other'");
}

TEST_F(TlsTest, ARevokedServerIsRefusedByTheCheckOfItsCertificate) {
  const auto refused = Ask(
      Identity("host-a"), "server",
      [](const pki::Certificate&) -> Status { return Error(Code::kPermissionDenied, "revoked"); },
      std::chrono::seconds(1));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kUnavailable);
  EXPECT_THAT(refused.error().message(), HasSubstr("removed from the cluster"));
}

TEST_F(TlsTest, PlaintextAndGarbageAreHungUpOn) {
  for (const std::string& text :
       {std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), std::string("GET / HTTP/1.1\r\n\r\n"),
        std::string(100'000, '\xff'), std::string(1000, '\0')}) {
    const UniqueFd fd = Dial(address_);
    // The server may hang up in the middle.
    [[maybe_unused]] const ssize_t n = ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
    EXPECT_TRUE(IsHungUp(fd.get(), std::chrono::seconds(5)));
    ExpectAlive();
  }
}

TEST_F(TlsTest, ASilentClientIsHungUpOnAndHoldsNobodyUp) {
  TlsServerOptions options;
  options.handshake_max = std::chrono::milliseconds(700);
  Serve("server", options);
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 50; ++i) silent.push_back(Dial(address_));
  ASSERT_EQ(::send(silent[0].get(), "\x16\x03\x01", 3, MSG_NOSIGNAL), 3);  // A hello's beginning.
  ExpectAlive();
  for (const UniqueFd& fd : silent) EXPECT_TRUE(IsHungUp(fd.get(), std::chrono::seconds(5)));
  ExpectAlive();
}

TEST_F(TlsTest, AServerThatIsNoneOrSilentIsSaidWithinTheBound) {
  const TlsIdentity identity = Identity("host-a");
  server_.reset();
  const auto none = Ask(identity);
  EXPECT_EQ(none.error().code(), Code::kUnavailable);
  EXPECT_THAT(none.error().message(), HasSubstr("is its imaged running with --peer-listen?"));

  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at = {};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(at);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&at), size), 0);
  ASSERT_EQ(::listen(listener.get(), 5), 0);
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
  const std::string address = "127.0.0.1:" + std::to_string(ntohs(at.sin_port));
  const auto start = std::chrono::steady_clock::now();
  const auto silent = ConnectTls(address, "server", identity, {}, std::chrono::milliseconds(300));
  EXPECT_EQ(silent.error().code(), Code::kUnavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(3));
}

TEST_F(TlsTest, TwoServersDoNotShareAPort) {
  TlsServerOptions options;
  options.addresses = {address_};
  options.identity_path = IdentityPath();
  options.authority_path = AuthorityPath();
  const auto second = TlsServer::Start(options, {});
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.error().message(), HasSubstr("the port free?"));
}

TEST_F(TlsTest, ARenewedCertificateIsTakenUpWithoutARestart) {
  TlsServerOptions options;
  options.reload_every = std::chrono::seconds(1);
  Serve("server", options);
  const TlsIdentity mine = Identity("host-a");
  const TlsIdentity renewed = Identity("server");
  const std::string serial = pki::Certificate::FromPem(renewed.certificate_pem)->serial();
  WriteIdentity(renewed);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  std::string shown;
  while (shown != serial && std::chrono::steady_clock::now() < deadline) {
    const auto connection =
        TlsConnection::Open(address_, mine, /*verify=*/true, std::chrono::seconds(5));
    ASSERT_TRUE(connection.ok());
    ASSERT_TRUE((*connection)->Handshake().ok());
    shown = (*connection)->Chain()->front().serial();
  }
  EXPECT_EQ(shown, serial);
  ExpectAlive();
}

TEST_F(TlsTest, TheAuthorityIsFoundByItsFingerprintAlone) {
  const std::string fingerprint = authority_.certificate().fingerprint();
  const auto found = FindAuthority(address_, "server", fingerprint, std::chrono::seconds(5));
  ASSERT_TRUE(found.ok()) << found.error().message();
  EXPECT_EQ(found->ToPem(), authority_.certificate().ToPem());
  EXPECT_THAT(FindAuthority(address_, "server", std::string(32, 'x'), std::chrono::seconds(5))
                  .error()
                  .message(),
              HasSubstr("not of the cluster that the token is for"));
  EXPECT_FALSE(FindAuthority(address_, "other", fingerprint, std::chrono::seconds(5)).ok());
}

TEST_F(TlsTest, AClientThatReadsNoMoreIsGivenUpByTheWatch) {
  const auto channel = ConnectTls(address_, "server", Identity("host-a"));
  ASSERT_TRUE(channel.ok());
  grpc::ClientContext context;
  const auto reader = imaged::v1::ImageService::NewStub(*channel)->Export(&context, {});
  imaged::v1::ExportChunk chunk;
  ASSERT_TRUE(reader->Read(&chunk));
  ASSERT_EQ(running_, 1);
  {
    CallWatch watch([&] { context.TryCancel(); }, std::chrono::milliseconds(200));
    running_.wait(1);  // The server's Write fails once the call has ended.
    EXPECT_TRUE(watch.stalled());
  }
  while (reader->Read(&chunk)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST(TlsAddress, OnlyNumbersWithAPortAreAddresses) {
  for (const char* good : {"10.0.0.1:7443", "[fd00::1]:1"}) EXPECT_TRUE(CheckAddress(good).ok());
  for (const char* bad : {"", ":1", "10.0.0.1", "10.0.0.1:0", "10.0.0.1:65536", "host:7443",
                          "fd00::1:80", "10.0.0.1:7443x", "[10.0.0.1]:1", "1:2:3"}) {
    EXPECT_EQ(CheckAddress(bad).error().code(), Code::kInvalidArgument) << bad;
  }
}

}  // namespace
}  // namespace strata::rpc
