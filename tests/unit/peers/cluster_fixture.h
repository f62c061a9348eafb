// Hosts of one cluster in one process, each with its state and its TLS server on loopback.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "common/file_io.h"
#include "common/rpc/status.h"
#include "imaged/peers/cluster.h"
#include "imaged/peers/host_fetcher.h"
#include "imaged/peers/image_puller.h"
#include "imaged/peers/peer_listener.h"
#include "tests/unit/common/free_port.h"

namespace strata::imaged {

#ifndef ASSERT_OK
#define ASSERT_OK(expr)                                         \
  do {                                                          \
    const auto& ok_result = (expr);                             \
    ASSERT_TRUE(ok_result.ok()) << ok_result.error().message(); \
  } while (false)
#endif

// gRPC and the list of hosts need to know it beforehand.
inline std::string FreeAddress() { return "127.0.0.1:" + std::to_string(FreePort()); }

struct TestHost {
  std::string directory;
  std::unique_ptr<Cluster> cluster;
  std::unique_ptr<Repository> repository;
  std::unique_ptr<ImagePuller> puller;
  std::unique_ptr<PeerListener> listener;  // Ends first.
};

class ClusterTest : public testing::Test {
 protected:
  void SetUp() override {
    auto created = TemporaryDirectory::Create("/var/tmp", "strata-cluster.");
    ASSERT_OK(created);
    directory_.emplace(std::move(*created));
  }
  void TearDown() override { hosts_.clear(); }

  virtual std::unique_ptr<Repository> OpenRepository(const std::string&,
                                                     const std::string& directory) {
    return std::move(*Repository::Open(directory));
  }
  // A host that listens, and is in no cluster.
  TestHost& Add(const std::string& name) {
    TestHost& host = hosts_[name];
    host.directory = directory_->path() + "/" + name;
    const std::string address = FreeAddress();
    auto cluster = Cluster::Open({host.directory + "/hosts", name, address});
    EXPECT_TRUE(cluster.ok()) << cluster.error().message();
    host.cluster = std::move(*cluster);
    host.repository = OpenRepository(name, host.directory);
    host.puller = std::move(*ImagePuller::Open(host.cluster.get(), host.repository.get()));
    host.listener = std::make_unique<PeerListener>(host.cluster.get(), host.repository.get(),
                                                   host.puller.get(), address);
    return host;
  }
  TestHost& Init(const std::string& name, pki::Time now = std::chrono::system_clock::now()) {
    TestHost& host = Add(name);
    const Status made = host.cluster->Init({}, now);
    EXPECT_TRUE(made.ok()) << made.error().message();
    EXPECT_TRUE(host.listener->StartIfMember().ok());
    return host;
  }
  static std::string Token(TestHost& issuer) {
    const auto made =
        issuer.cluster->MakeToken(std::chrono::seconds(0), std::chrono::system_clock::now());
    EXPECT_TRUE(made.ok()) << made.error().message();
    return made.ok() ? made->token() : "";
  }
  static Status Join(TestHost& host, const std::string& token) {
    v1::JoinRequest request;
    request.set_token(token);
    RETURN_IF_ERROR(host.cluster->Join(request));
    return host.listener->StartIfMember();
  }
  static Digest Store(TestHost& host, const std::string& content) {
    auto ingest = std::move(*host.repository->objects().StartIngest());
    const Digest digest = *ingest->Add(content);
    EXPECT_TRUE(ingest->Commit().ok());
    return digest;
  }
  static Result<std::string> Fetch(HostFetcher& fetcher, const Digest& digest) {
    std::string bytes;
    const CancelToken cancel;
    RETURN_IF_ERROR(fetcher.Fetch(
        digest,
        [&](std::string_view data) -> Status {
          bytes += data;
          return Ok();
        },
        cancel));
    return bytes;
  }
  static std::string SerialOf(TestHost& host) {
    const auto state = host.cluster->State();
    return pki::Certificate::FromPem(*ReadFile(host.cluster->IdentityPath()))->serial();
  }
  static Status StatusOf(const grpc::Status& status) {
    return status.ok() ? Ok() : Status(rpc::FromGrpc(status));
  }
  template <typename Answer>
  static void ExpectDenied(const Answer& status, const std::string& message) {
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code(), Code::kPermissionDenied) << status.error().message();
    EXPECT_THAT(status.error().message(), testing::HasSubstr(message));
  }

  std::optional<TemporaryDirectory> directory_;
  std::map<std::string, TestHost> hosts_;
};

}  // namespace strata::imaged
