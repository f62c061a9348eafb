// The whole interface over HTTPS, by a client that knows no more than its address.
#include "vclusterd/rest/rest_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "common/http/client.h"
#include "common/pki/authority.h"
#include "tests/unit/vclusterd/rest/rest_fixture.h"

namespace strata::vcluster::rest {
namespace {

using testing::HasSubstr;

class RestServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const pki::Time now = std::chrono::system_clock::now();
    const auto authority = pki::Authority::Create(now).value();
    const auto key = pki::PrivateKey::Generate().value();
    const auto request = pki::ParseRequest(pki::MakeRequest(key, "localhost").value()).value();
    const std::string certificate = authority.SignHost(request, now).value().ToPem();
    ASSERT_TRUE(
        WriteFileAtomically(dir_.path() + "/ca.pem", authority.certificate().ToPem(), 0644).ok());
    ASSERT_TRUE(
        WriteFileAtomically(dir_.path() + "/host.pem", certificate + key.ToPem().value(), 0600)
            .ok());
    Start({"127.0.0.1:0", {dir_.path() + "/host.pem", dir_.path() + "/host.pem"}});
  }

  void Start(RestServerOptions options) {
    auto server = RestServer::Start(
        std::move(options),
        [this]() -> Result<std::shared_ptr<Clusters>> { return rest_.services().clusters(); },
        rest_.services().classes, rest_.users(), nullptr);
    ASSERT_TRUE(server.ok()) << server.error().message();
    server_ = std::move(*server);
  }

  http::Outgoing Request(const std::string& method, const std::string& path,
                         const std::string& token) {
    http::Outgoing request;
    request.method = method;
    request.url = "https://localhost:" + std::to_string(server_->port()) + path;
    if (!token.empty()) request.headers = {{"Authorization", "Bearer " + token}};
    return request;
  }
  std::unique_ptr<http::Client> MakeClient() {
    http::ClientOptions options;
    options.ca_file = dir_.path() + "/ca.pem";
    return http::Client::Create(options).value();
  }

  TemporaryDirectory dir_ = TemporaryDirectory::Create("/tmp", "strata-rest.").value();
  TestRest rest_;
  std::unique_ptr<RestServer> server_;
  CancelToken never_;
};

TEST_F(RestServerTest, AVclusterIsMadeUsedAndDeleted) {
  const auto client = MakeClient();
  http::Outgoing sign_in = Request("POST", "/v1/session", "");
  sign_in.headers.push_back({"Content-Type", "application/json"});
  sign_in.text = Json{{"name", "alice"}, {"password", kPassword}}.dump();
  const auto signed_in = client->Perform(sign_in, nullptr, never_);
  ASSERT_TRUE(signed_in.ok()) << signed_in.error().message();
  ASSERT_EQ(signed_in->status, 201) << signed_in->text;
  const std::string token = Json::parse(signed_in->text)["token"];

  http::Outgoing create = Request("POST", "/v1/vclusters?wait=30s", token);
  create.headers.push_back({"Content-Type", "application/yaml"});
  create.text = "name: hpc\nimage: tiny\nnodes: 3\n";
  const auto created = client->Perform(create, nullptr, never_);
  ASSERT_TRUE(created.ok()) << created.error().message();
  ASSERT_EQ(created->status, 200) << created->text;
  const auto shown =
      client->Perform(Request("GET", "/v1/vclusters/alice%3Ahpc", token), nullptr, never_);
  EXPECT_EQ(Json::parse(shown->text)["ready_count"], 3) << shown->text;
  const auto head = client->Perform(Request("HEAD", "/v1/vclusters/hpc", token), nullptr, never_);
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->text, "");
  const auto deleted =
      client->Perform(Request("DELETE", "/v1/vclusters/hpc?wait=30s", token), nullptr, never_);
  EXPECT_EQ(deleted->status, 200) << deleted->text;
  EXPECT_EQ(client->Perform(Request("GET", "/v1/vclusters/hpc", token), nullptr, never_)->status,
            404);
}

TEST_F(RestServerTest, EventsComeAtOnceAndEndWithTheServer) {
  const std::string token = rest_.SignIn("alice");
  std::mutex mutex;
  std::condition_variable changed;
  std::string heard;
  auto ended = std::async(std::launch::async, [&] {
    const auto client = MakeClient();
    return client->Perform(
        Request("GET", "/v1/events", token),
        [&](const http::Incoming&, std::string_view data) {
          const std::lock_guard lock(mutex);
          heard.append(data);
          changed.notify_all();
          return Ok();
        },
        never_);
  });
  const auto await = [&](const std::string& text) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(20),
                            [&] { return heard.find(text) != std::string::npos; });
  };
  ASSERT_TRUE(await(": strata")) << "the head is not passed on";
  ASSERT_TRUE(rest_.clusters()
                  .Create(
                      rest_.Of("alice"), PlainDefinition("fresh", "tiny", 1, Limits()), "",
                      [](const std::string&, uint32_t, uint32_t) {}, CancelToken())
                  .ok());
  EXPECT_TRUE(await("event: vcluster.changed")) << heard;
  EXPECT_TRUE(await("\"ready_count\":1")) << heard;
  ASSERT_TRUE(rest_.clusters().Delete(rest_.Of("alice"), "fresh").ok());
  EXPECT_TRUE(await("event: vcluster.deleted")) << heard;
  server_->Shutdown(std::chrono::seconds(5));
  EXPECT_EQ(ended.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_TRUE(ended.get().ok()) << "a stream ends whole";
}

TEST_F(RestServerTest, OnlyLoopbackIsServedWithoutACertificate) {
  const auto clusters = [this]() -> Result<std::shared_ptr<Clusters>> {
    return rest_.services().clusters();
  };
  EXPECT_EQ(RestServer::Start({.address = "0.0.0.0:0"}, clusters, rest_.services().classes,
                              rest_.users(), nullptr)
                .error()
                .code(),
            Code::kInvalidArgument);
  const auto plain = RestServer::Start({.address = "127.0.0.1:0"}, clusters,
                                       rest_.services().classes, rest_.users(), nullptr);
  ASSERT_TRUE(plain.ok()) << plain.error().message();
  EXPECT_FALSE((*plain)->tls());
}

}  // namespace
}  // namespace strata::vcluster::rest
