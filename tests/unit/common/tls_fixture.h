// A cluster's authority, hosts that it signed, and a TLS server of one of them.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "common/file_io.h"
#include "common/pki/authority.h"
#include "common/rpc/status.h"
#include "common/rpc/tls_channel.h"
#include "common/rpc/tls_server.h"
#include "imaged/api/imaged.grpc.pb.h"

namespace strata::rpc {

// List answers the caller's name as an image's; Show works without a certificate. Export never
// stops to send.
class WhoCalls final : public imaged::v1::ImageService::Service {
 public:
  explicit WhoCalls(std::atomic<int>* running) : running_(running) {}
  grpc::Status List(grpc::ServerContext* context, const imaged::v1::ListRequest*,
                    imaged::v1::ListResponse* response) override {
    const auto peer = PeerOf(*context);
    if (!peer.ok()) return ToGrpc(peer.error());
    response->add_images()->set_name(peer->host_name());
    return grpc::Status::OK;
  }
  grpc::Status Show(grpc::ServerContext*, const imaged::v1::ShowRequest*,
                    imaged::v1::ShowResponse*) override {
    return grpc::Status::OK;
  }
  grpc::Status Export(grpc::ServerContext*, const imaged::v1::ExportRequest*,
                      grpc::ServerWriter<imaged::v1::ExportChunk>* writer) override {
    ++*running_;
    imaged::v1::ExportChunk chunk;
    chunk.set_tar(std::string(65'536, 'x'));
    while (writer->Write(chunk)) {
    }
    --*running_;
    running_->notify_all();
    return grpc::Status::OK;
  }

 private:
  std::atomic<int>* const running_;
};

class TlsTest : public testing::Test {
 protected:
  using Time = pki::Time;

  void SetUp() override {
    auto created = TemporaryDirectory::Create("/var/tmp", "strata-tls.");
    ASSERT_TRUE(created.ok());
    directory_.emplace(std::move(*created));
    Serve("server", {});
  }

  static Time Now() { return std::chrono::system_clock::now(); }

  TlsIdentity Identity(const std::string& name, const pki::Authority& authority, Time now = Now()) {
    const auto key = pki::PrivateKey::Generate();
    const auto request = pki::ParseRequest(*pki::MakeRequest(*key, name));
    return {authority_.certificate().ToPem(), authority.SignHost(*request, now)->ToPem(),
            *key->ToPem()};
  }
  TlsIdentity Identity(const std::string& name) { return Identity(name, authority_); }
  // Trusts the cluster, shows nothing.
  TlsIdentity Nobody() const { return {authority_.certificate().ToPem(), "", ""}; }

  void WriteIdentity(const TlsIdentity& identity) {
    ASSERT_TRUE(pki::SaveSecret(IdentityPath(), identity.key_pem + identity.certificate_pem +
                                                    identity.authority_pem)
                    .ok());
    ASSERT_TRUE(WriteFileDurably(AuthorityPath(), identity.authority_pem).ok());
  }
  std::string IdentityPath() const { return directory_->path() + "/host.pem"; }
  std::string AuthorityPath() const { return directory_->path() + "/ca.pem"; }

  void Serve(const std::string& name, TlsServerOptions options, Time now = Now()) {
    server_.reset();
    WriteIdentity(Identity(name, authority_, now));
    options.addresses = {"127.0.0.1:0"};
    options.identity_path = IdentityPath();
    options.authority_path = AuthorityPath();
    std::vector<std::unique_ptr<grpc::Service>> services;
    services.push_back(std::make_unique<WhoCalls>(&running_));
    auto server = TlsServer::Start(options, std::move(services));
    ASSERT_TRUE(server.ok()) << server.error().message();
    server_ = std::move(*server);
    address_ = "127.0.0.1:" + std::to_string(server_->ports()[0]);
  }

  // Who the server says that calls.
  Result<std::string> Ask(const TlsIdentity& identity, const std::string& expected = "server",
                          CertificateCheck check = {},
                          std::chrono::milliseconds time_max = kConnectTimeMax) {
    ASSIGN_OR_RETURN(const auto channel,
                     ConnectTls(address_, expected, identity, std::move(check), time_max));
    return AskOver(channel);
  }
  static Result<std::string> AskOver(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    imaged::v1::ListResponse response;
    const auto status = imaged::v1::ImageService::NewStub(channel)->List(&context, {}, &response);
    if (!status.ok()) return FromGrpc(status);
    return response.images(0).name();
  }
  Status ShowOver(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    imaged::v1::ShowResponse response;
    const auto status = imaged::v1::ImageService::NewStub(channel)->Show(&context, {}, &response);
    return status.ok() ? Ok() : Status(FromGrpc(status));
  }
  void ExpectAlive() {
    const auto name = Ask(Identity("alive"));
    ASSERT_TRUE(name.ok()) << name.error().message();
    EXPECT_EQ(*name, "alive");
  }
  static void ExpectRefused(const Result<std::string>& answer, const std::string& message) {
    ASSERT_FALSE(answer.ok()) << "served " << *answer;
    EXPECT_EQ(answer.error().code(), Code::kPermissionDenied) << answer.error().message();
    EXPECT_THAT(answer.error().message(), testing::HasSubstr(message));
  }

  const pki::Authority authority_ = *pki::Authority::Create(Now() - std::chrono::hours(24 * 1000));
  std::optional<TemporaryDirectory> directory_;
  std::atomic<int> running_{0};
  std::unique_ptr<TlsServer> server_;
  std::string address_;
};

}  // namespace strata::rpc
