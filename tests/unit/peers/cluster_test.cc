// Membership: who joins, who is refused, what a removed host can do.
#include "imaged/peers/cluster.h"

#include <filesystem>
#include <thread>

#include "common/rpc/tls_channel.h"
#include "imaged/api/peer.grpc.pb.h"
#include "imaged/peers/join_token.h"
#include "tests/unit/peers/cluster_fixture.h"

namespace strata::imaged {
namespace {

using std::chrono::hours;
using testing::HasSubstr;

pki::Time Now() { return std::chrono::system_clock::now(); }

TEST_F(ClusterTest, AJoinedHostReadsObjectsBothWays) {
  TestHost& a = Init("a");
  TestHost& b = Add("b");
  ASSERT_OK(Join(b, Token(a)));
  const std::string content(2'000'000, 'x');
  HostFetcher from_a(b.cluster.get(), "a");
  HostFetcher from_b(a.cluster.get(), "b");
  EXPECT_EQ(*Fetch(from_a, Store(a, content)), content);
  EXPECT_EQ(*Fetch(from_b, Store(b, "other")), "other");
  EXPECT_EQ(*from_a.SizeOf(Store(a, content)), content.size());
  EXPECT_EQ(from_a.SizeOf(Hasher::Of("nowhere")).error().code(), Code::kNotFound);
  EXPECT_EQ(Fetch(from_a, Hasher::Of("nowhere")).error().code(), Code::kNotFound);
}

TEST_F(ClusterTest, WithoutACertificateNothingButEnrolmentIsServed) {
  TestHost& a = Init("a");
  const Digest digest = Store(a, "secret");
  const auto channel = rpc::ConnectTls(a.cluster->State()->list().hosts(0).address(), "a",
                                       {*ReadFile(a.cluster->AuthorityPath()), "", ""});
  ASSERT_OK(channel);
  const auto stub = v1::PeerService::NewStub(*channel);
  {
    grpc::ClientContext context;
    v1::HostList list;
    ExpectDenied(StatusOf(stub->Hosts(&context, {}, &list)), "join it first");
  }
  {
    grpc::ClientContext context;
    v1::StatObjectRequest request;
    request.set_digest(digest.ToString());
    v1::StatObjectResponse response;
    ExpectDenied(StatusOf(stub->StatObject(&context, request, &response)), "join it first");
  }
  {
    grpc::ClientContext context;
    v1::ReadObjectRequest request;
    request.set_digest(digest.ToString());
    const auto stream = stub->ReadObject(&context, request);
    v1::ObjectChunk chunk;
    EXPECT_FALSE(stream->Read(&chunk));
    ExpectDenied(StatusOf(stream->Finish()), "join it first");
  }
  {
    grpc::ClientContext context;
    v1::RenewCertificateResponse response;
    ExpectDenied(StatusOf(stub->RenewCertificate(&context, {}, &response)), "join it first");
  }
}

TEST_F(ClusterTest, ATokenLetsOneHostIn) {
  TestHost& a = Init("a");
  TestHost& b = Add("b");
  TestHost& c = Add("c");
  const std::string token = Token(a);
  ASSERT_OK(Join(b, token));
  ExpectDenied(Join(c, token), "the token is refused");
  EXPECT_FALSE(c.cluster->IsMember());
  EXPECT_EQ(Join(b, Token(a)).error().code(), Code::kAlreadyExists);
  EXPECT_EQ(b.cluster->MakeToken(std::chrono::seconds(0), Now()).error().code(),
            Code::kFailedPrecondition);
}

TEST_F(ClusterTest, ATokenIsUsedUpBeforeACertificateIsMade) {
  TestHost& a = Init("a");
  TestHost& b = Add("b");
  const std::string token = Token(a);
  const std::string list = a.directory + "/hosts/hosts.json";
  std::filesystem::rename(list, list + ".away");
  ASSERT_OK(MakeDirectories(list));  // The list of hosts cannot be written.
  EXPECT_FALSE(Join(b, token).ok());
  std::filesystem::remove(list);
  std::filesystem::rename(list + ".away", list);
  ExpectDenied(Join(b, token), "the token is refused");
  ASSERT_OK(Join(b, Token(a)));
}

TEST_F(ClusterTest, ATakenNameLeavesTheTokenGood) {
  TestHost& a = Init("a");
  TestHost& b = Add("b");
  const std::string token = Token(a);
  v1::JoinRequest request;
  request.set_token(token);
  request.set_host_name("a");
  EXPECT_EQ(b.cluster->Join(request).error().code(), Code::kAlreadyExists);
  ASSERT_OK(Join(b, token));
}

TEST_F(ClusterTest, ATokenOfAnotherClusterOrForAnotherHostIsRefusedBeforeItIsSent) {
  TestHost& a = Init("a");
  TestHost& other = Init("other");
  TestHost& b = Add("b");
  JoinToken token = *ParseToken(Token(a));
  token.address = ParseToken(Token(other))->address;
  ExpectDenied(Join(b, EncodeToken(token)), "not of the cluster that the token is for");
  token = *ParseToken(Token(a));
  token.host_name = "x";
  ExpectDenied(Join(b, EncodeToken(token)), "is host 'a', not 'x'");
}

TEST_F(ClusterTest, ARemovedHostIsRefusedAtOnceOnOldAndNewConnections) {
  TestHost& a = Init("a");
  TestHost& b = Add("b");
  ASSERT_OK(Join(b, Token(a)));
  const Digest digest = Store(a, "x");
  HostFetcher old(b.cluster.get(), "a");
  ASSERT_OK(old.SizeOf(digest));
  ASSERT_OK(a.cluster->Remove("b", Now()));
  ExpectDenied(Fetch(old, digest), "host 'b' was removed from this cluster");
  HostFetcher fresh(b.cluster.get(), "a");
  ExpectDenied(Fetch(fresh, digest), "host 'b' was removed from this cluster");
  ExpectDenied(b.cluster->Renew(Now()), "host 'b' was removed from this cluster");
  HostFetcher back(a.cluster.get(), "b");
  EXPECT_EQ(back.SizeOf(digest).error().code(), Code::kNotFound) << "a does not know b any more";
}

TEST_F(ClusterTest, WhoJoinedLaterIsFoundAtOnce) {
  TestHost& a = Init("a");
  TestHost& b = Add("b");
  TestHost& c = Add("c");
  ASSERT_OK(Join(b, Token(a)));
  ASSERT_OK(Join(c, Token(a)));
  HostFetcher from_c(b.cluster.get(), "c");
  ASSERT_OK(from_c.SizeOf(Store(c, "x")));
  EXPECT_EQ(b.cluster->Connect("d").error().code(), Code::kNotFound);
  a.listener.reset();
  const auto nobody = b.cluster->Connect("d");
  EXPECT_EQ(nobody.error().code(), Code::kNotFound);
  EXPECT_THAT(nobody.error().message(), HasSubstr("there is no host 'd'"));
  EXPECT_THAT(nobody.error().message(), HasSubstr("; the newest list could not be read: "));
}

TEST_F(ClusterTest, AThirdHostRefusesARemovedOneOnceItHasTheList) {
  TestHost& a = Init("a");
  TestHost& b = Add("b");
  TestHost& c = Add("c");
  ASSERT_OK(Join(b, Token(a)));
  ASSERT_OK(Join(c, Token(a)));
  ASSERT_OK(b.cluster->Refresh());
  const Digest digest = Store(c, "x");
  HostFetcher from_c(b.cluster.get(), "c");
  ASSERT_OK(from_c.SizeOf(digest));
  ASSERT_OK(a.cluster->Remove("b", Now()));
  ASSERT_OK(c.cluster->Refresh());
  ExpectDenied(from_c.SizeOf(digest), "host 'b' was removed from this cluster");
}

TEST_F(ClusterTest, ARevokedServerIsNotTalkedTo) {
  TestHost& a = Init("a");
  TestHost& b = Add("b");
  ASSERT_OK(Join(b, Token(a)));
  v1::HostList list = a.cluster->registry().List();
  ASSERT_OK(a.cluster->Remove("b", Now()));
  v1::HostList with_b = a.cluster->registry().List();
  *with_b.add_hosts() = list.hosts(1);  // Its name is there again, its certificate revoked.
  with_b.set_generation(100);
  ASSERT_OK(a.cluster->registry().Follow(with_b));
  EXPECT_EQ(a.cluster->Connect("b").error().code(), Code::kUnavailable);
}

TEST_F(ClusterTest, ManyThatWaitForASilentHostAreToldTogether) {
  TestHost& a = Init("a");
  TestHost& b = Add("b");
  ASSERT_OK(Join(b, Token(a)));
  const std::string address = b.cluster->State()->list().hosts(0).address();
  a.listener->Shutdown(std::chrono::milliseconds(0));
  const UniqueFd silent(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;
  ASSERT_EQ(::setsockopt(silent.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)), 0);
  sockaddr_in at = {};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  ASSERT_EQ(::bind(silent.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)), 0);
  ASSERT_EQ(::listen(silent.get(), 64), 0);
  HostFetcher fetcher(b.cluster.get(), "a");
  const auto start = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back(
          [&] { EXPECT_EQ(fetcher.SizeOf(Hasher::Of("x")).error().code(), Code::kUnavailable); });
    }
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, 3 * rpc::kConnectTimeMax);
}

TEST_F(ClusterTest, CertificatesAreRenewedWhenTheirTimeComesAndNotBefore) {
  TestHost& a = Init("a");
  TestHost& b = Add("b");
  ASSERT_OK(Join(b, Token(a)));
  for (TestHost* host : {&a, &b}) {
    const std::string first = SerialOf(*host);
    ASSERT_OK(host->cluster->RenewIfDue(Now() + hours(24 * 200)));
    EXPECT_EQ(SerialOf(*host), first);
    ASSERT_OK(host->cluster->RenewIfDue(Now() + hours(24 * 300)));
    EXPECT_NE(SerialOf(*host), first);
  }
  EXPECT_EQ(a.cluster->registry().Find("b")->certificates_size(), 2);
  HostFetcher fetcher(b.cluster.get(), "a");
  ASSERT_OK(fetcher.SizeOf(Store(a, "x")));
  // Both of its certificates go with a host.
  ASSERT_OK(a.cluster->Remove("b", Now()));
  EXPECT_EQ(a.cluster->registry().List().revoked_size(), 2);
}

TEST_F(ClusterTest, AMembershipSurvivesARestartAndOneThatWasBrokenOffIsNone) {
  TestHost& a = Init("a");
  TestHost& b = Add("b");
  ASSERT_OK(Join(b, Token(a)));
  const std::string directory = b.directory + "/hosts";
  auto again = Cluster::Open({directory, "b", ""});
  ASSERT_OK(again);
  EXPECT_EQ((*again)->State()->self(), "b");
  EXPECT_EQ((*again)->State()->list().hosts_size(), 2);
  std::filesystem::remove(directory + "/host.pem");
  again = Cluster::Open({directory, "b", ""});
  ASSERT_OK(again);
  EXPECT_FALSE((*again)->IsMember());
  EXPECT_EQ((*again)->State().error().code(), Code::kFailedPrecondition);
}

TEST_F(ClusterTest, AddressesAndNamesAreChecked) {
  auto deaf = Cluster::Open({directory_->path() + "/deaf/hosts", "deaf", ""});
  ASSERT_OK(deaf);
  EXPECT_EQ((*deaf)->Init({}, Now()).error().code(), Code::kFailedPrecondition);
  auto anywhere = Cluster::Open({directory_->path() + "/any/hosts", "any", "0.0.0.0:7443"});
  ASSERT_OK(anywhere);
  EXPECT_THAT((*anywhere)->Init({}, Now()).error().message(), HasSubstr("--address"));
  v1::InitClusterRequest request;
  request.set_address("127.0.0.1:7443");
  request.set_host_name("Bad Name");
  EXPECT_EQ((*anywhere)->Init(request, Now()).error().code(), Code::kInvalidArgument);
  request.set_host_name("good");
  ASSERT_OK((*anywhere)->Init(request, Now()));
}

}  // namespace
}  // namespace strata::imaged
