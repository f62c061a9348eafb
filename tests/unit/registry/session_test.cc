// A registry's client, against a registry that misbehaves as asked.
#include "imaged/registry_client/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <optional>

#include "common/file_io.h"
#include "common/http/server.h"

namespace strata::imaged {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// Gives `text` from `from` on, but breaks off after `bytes`.
class BreakingSource : public http::BodySource {
 public:
  BreakingSource(std::string text, size_t from, size_t bytes)
      : text_(std::move(text)), at_(from), left_(bytes) {}
  Result<size_t> Read(char* buffer, size_t size) override {
    if (at_ == text_.size()) return size_t{0};
    if (left_ == 0) return Error(Code::kUnavailable, "broken off");
    const size_t n = std::min({size, left_, text_.size() - at_});
    text_.copy(buffer, n, at_);
    at_ += n;
    left_ -= n;
    return n;
  }

 private:
  const std::string text_;
  size_t at_;
  size_t left_;
};

struct Seen {
  std::string line;  // "GET /v2/"
  std::string authorization;
  std::string range;
};

// A registry of one blob that wants the token "good".
class FakeRegistry : public http::Handler {
 public:
  http::Answer Handle(const http::Request& request) override {
    const std::lock_guard lock(mutex);
    const std::string authorization(http::Find(request.headers, "Authorization"));
    seen.push_back({request.method + " " + request.path, authorization,
                    std::string(http::Find(request.headers, "Range"))});
    http::Response response;
    if (request.path == "/token") {
      response.status = token_status;
      response.text = R"({"token": "good"})";
      return response;
    }
    if (failures > 0) {
      --failures;
      response.status = failure_status;
      response.headers.push_back({"Retry-After", "0"});
      return response;
    }
    if (challenge && authorization != "Bearer good") {
      response.status = 401;
      response.headers.push_back(
          {"WWW-Authenticate", "Bearer realm=\"" + url + "/token?x=1\",service=\"s\""});
      return response;
    }
    if (request.path.starts_with("/v2/a/b/blobs/") && !location.empty()) {
      response.status = 307;
      response.headers.push_back({"Location", location});
      return response;
    }
    if (request.path == "/elsewhere" || request.path.starts_with("/v2/a/b/blobs/")) {
      const size_t from =
          ranges && request.path.size() > 0 && !http::Find(request.headers, "Range").empty()
              ? std::stoull(std::string(http::Find(request.headers, "Range")).substr(6))
              : 0;
      response.status = from > 0 ? 206 : 200;
      response.content_length = blob.size() - from;
      response.body = std::make_unique<BreakingSource>(blob, from, break_after);
      return response;
    }
    if (request.path != "/v2/") response.status = 404;
    return response;
  }

  std::mutex mutex;
  std::string url;
  std::string blob = std::string(300'000, 'a') + std::string(300'000, 'b');
  bool challenge = true;
  bool ranges = true;
  int token_status = 200;
  int failures = 0;
  int failure_status = 503;
  size_t break_after = SIZE_MAX;
  std::string location;
  std::vector<Seen> seen;
};

class SessionTest : public testing::Test {
 protected:
  void SetUp() override {
    http::ServerOptions options;
    options.address = "127.0.0.1:0";
    server_ = std::move(*http::Server::Start(options, &fake_));
    other_server_ = std::move(*http::Server::Start(options, &other_));
    fake_.url = UrlOf(*server_);
    other_.url = UrlOf(*other_server_);
    other_.challenge = false;
  }
  static std::string UrlOf(const http::Server& server) {
    return "http://127.0.0.1:" + std::to_string(server.port());
  }
  std::unique_ptr<RegistrySession> Open() {
    RegistrySessionOptions options;
    options.http.verify_tls = false;
    options.allow_plain_http = true;
    options.first_pause = std::chrono::milliseconds(1);
    options.credentials = {"team", "pass:word"};
    auto session = RegistrySession::Create(
        *ParseRegistryLocation("docker://127.0.0.1:" + std::to_string(server_->port()) + "/a/b"),
        false, std::move(options), &cancel_);
    EXPECT_TRUE(session.ok()) << session.error().message();
    return session.ok() ? std::move(*session) : nullptr;
  }
  oci::Descriptor Blob() const {
    oci::Descriptor blob;
    blob.digest = Sha256Hasher::Of(fake_.blob);
    blob.size = fake_.blob.size();
    return blob;
  }
  Status Fetch(RegistrySession& session, const oci::Descriptor& blob) {
    got_.clear();
    return session.GetBlob(blob, [&](std::string_view data) -> Status {
      got_ += data;
      return Ok();
    });
  }

  FakeRegistry fake_;
  FakeRegistry other_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<http::Server> other_server_;
  CancelToken cancel_;
  std::string got_;
};

TEST_F(SessionTest, AChallengeIsAnsweredAtItsRealmWithThePassword) {
  const auto session = Open();
  ASSERT_TRUE(session);
  ASSERT_TRUE(Fetch(*session, Blob()).ok());
  EXPECT_EQ(got_, fake_.blob);
  for (const Seen& one : fake_.seen) {
    const bool login = one.line == "GET /token";
    EXPECT_EQ(one.authorization.starts_with("Basic "), login) << one.line;
    if (login) {
      EXPECT_EQ(one.authorization, "Basic " + http::Base64("team:pass:word"));
    }
  }
  EXPECT_EQ(fake_.seen.back().authorization, "Bearer good");
}

TEST_F(SessionTest, AWrongPasswordIsToldAndNotRepeated) {
  const auto session = Open();
  fake_.token_status = 401;
  fake_.seen.clear();
  const Status got = Fetch(*session, Blob());
  EXPECT_EQ(got.ok() ? Code::kInternal : got.error().code(), Code::kPermissionDenied);
  EXPECT_THAT(got.error().message(), Not(HasSubstr("pass")));
  EXPECT_LE(fake_.seen.size(), 2u);
}

TEST_F(SessionTest, AnotherHostGetsNoAuthorization) {
  fake_.location = other_.url + "/elsewhere";
  const auto session = Open();
  ASSERT_TRUE(Fetch(*session, Blob()).ok());
  EXPECT_EQ(got_, fake_.blob);
  ASSERT_EQ(other_.seen.size(), 1u);
  EXPECT_EQ(other_.seen[0].authorization, "");
}

TEST_F(SessionTest, ABlobGoesOnWhereItBrokeOff) {
  fake_.break_after = 200'000;
  const auto session = Open();
  fake_.seen.clear();
  ASSERT_TRUE(Fetch(*session, Blob()).ok());
  EXPECT_EQ(got_, fake_.blob);
  std::vector<std::string> ranges;
  for (const Seen& one : fake_.seen) {
    if (one.authorization == "Bearer good") ranges.push_back(one.range);
  }
  EXPECT_THAT(ranges, ElementsAre("", "bytes=200000-", "bytes=400000-"));
}

TEST_F(SessionTest, WhoKnowsNoRangesIsReadAgainFromTheStart) {
  fake_.ranges = false;
  fake_.break_after = 200'000;
  const auto session = Open();
  // It breaks off each time at the same place: after some attempts that is told.
  EXPECT_EQ(Fetch(*session, Blob()).error().code(), Code::kUnavailable);
  EXPECT_EQ(got_, fake_.blob.substr(0, 200'000)) << "no byte twice";
}

TEST_F(SessionTest, FailuresThatPassAreRepeated) {
  const auto session = Open();
  for (const int status : {503, 429}) {
    fake_.failure_status = status;
    fake_.failures = 3;
    ASSERT_TRUE(session->HasBlob(Blob()).ok()) << status;
  }
  fake_.failures = 100;
  EXPECT_EQ(session->HasBlob(Blob()).error().code(), Code::kResourceExhausted);
  EXPECT_EQ(fake_.failures, 94) << "six times in all";
  fake_.failures = 1;
  fake_.failure_status = 400;
  EXPECT_EQ(session->HasBlob(Blob()).error().code(), Code::kFailedPrecondition);
}

TEST_F(SessionTest, AnotherBlobOrALongerOneIsCorrupt) {
  const auto session = Open();
  oci::Descriptor blob = Blob();
  fake_.blob[5] = 'x';
  EXPECT_EQ(Fetch(*session, blob).error().code(), Code::kCorrupt);
  fake_.blob += "more";
  EXPECT_EQ(Fetch(*session, blob).error().code(), Code::kCorrupt);
  EXPECT_LE(got_.size(), blob.size);
}

TEST_F(SessionTest, ACancelledPullEnds) {
  const auto session = Open();
  fake_.failures = 1000;
  cancel_.Cancel();
  EXPECT_EQ(session->HasBlob(Blob()).error().code(), Code::kCancelled);
}

TEST_F(SessionTest, PlainHttpIsTakenOnlyWhereTlsIsNotAskedFor) {
  RegistrySessionOptions options;
  auto session = RegistrySession::Create(
      *ParseRegistryLocation("docker://127.0.0.1:" + std::to_string(server_->port()) + "/a/b"),
      false, std::move(options), &cancel_);
  EXPECT_FALSE(session.ok());
  EXPECT_TRUE(fake_.seen.empty());
}

TEST(RegistryLocations, AreReadStrictly) {
  const auto simple = ParseRegistryLocation("docker://h:5000/a/b");
  ASSERT_TRUE(simple.ok());
  EXPECT_EQ(simple->host, "h:5000");
  EXPECT_EQ(simple->repository, "a/b");
  EXPECT_EQ(simple->tag, "latest");
  const std::string digest = "sha256:" + std::string(64, 'a');
  const auto both = ParseRegistryLocation("docker://h/a:v1@" + digest);
  ASSERT_TRUE(both.ok());
  EXPECT_EQ(both->tag, "v1");
  EXPECT_EQ(both->ManifestReference(), digest);
  const auto hub = ParseRegistryLocation("docker://docker.io/debian:12");
  ASSERT_TRUE(hub.ok());
  EXPECT_EQ(hub->repository, "library/debian");
  EXPECT_EQ(hub->Endpoint(), "registry-1.docker.io");
  for (const char* text :
       {"h/a", "docker://", "docker://h", "docker://h/", "docker:///a", "docker://h/A",
        "docker://h/../a", "docker://h/a/../b", "docker://h/a//b",
        "docker://h/a:", "docker://h/a:.x", "docker://h/a@sha256:12", "docker://user@h/a",
        "docker://h/a?x", "docker://h/a b", "docker://h/a%2fb", "docker://-h/a", "docker://h/a/"}) {
    EXPECT_FALSE(ParseRegistryLocation(text).ok()) << text;
  }
}

TEST(RegistryCredentialFiles, TheLongestEntryCounts) {
  const auto location = *ParseRegistryLocation("docker://h:5000/team/app");
  const std::string text = R"({"auths": {"h:5000": {"auth": ")" + http::Base64("a:1") +
                           R"("}, "h:5000/team": {"auth": ")" + http::Base64("b:2:3") +
                           R"("}, "h:5000/tea": {"auth": ")" + http::Base64("c:4") + R"("}}})";
  const auto found = FindCredentials(text, location);
  ASSERT_TRUE(found.ok() && *found);
  EXPECT_EQ((*found)->user, "b");
  EXPECT_EQ((*found)->password, "2:3");
  EXPECT_FALSE(FindCredentials("{}", location)->has_value());
  EXPECT_FALSE(FindCredentials(R"({"auths": {"other": {"auth": "YTox"}}})", location)->has_value());
  EXPECT_EQ(FindCredentials(R"({"credHelpers": {"h:5000": "x"}})", location).error().code(),
            Code::kUnsupported);
  for (const char* bad : {"", "[]", R"({"auths": 1})", R"({"auths": {"h:5000": {"auth": "?"}}})"}) {
    EXPECT_EQ(FindCredentials(bad, location).error().code(), Code::kInvalidArgument) << bad;
  }
}

TEST(Challenges, AreReadAsTheStandardSays) {
  const auto challenge =
      http::ParseChallenge(R"(Bearer realm="https://a/b?c=\"d\"", service=s ,scope="x:y:z,w")");
  ASSERT_TRUE(challenge);
  EXPECT_EQ(challenge->scheme, "bearer");
  EXPECT_EQ(http::Find(challenge->parameters, "Realm"), R"(https://a/b?c="d")");
  EXPECT_EQ(http::Find(challenge->parameters, "service"), "s");
  EXPECT_EQ(http::Find(challenge->parameters, "scope"), "x:y:z,w");
  EXPECT_EQ(http::ParseChallenge("Basic")->scheme, "basic");
  for (const char* text : {"", " ", "=", "Bearer realm=\"open", "Bearer realm=,x=1"}) {
    EXPECT_FALSE(http::ParseChallenge(text)) << text;
  }
}

TEST(Urls, LeadOnlyWhereTheySay) {
  EXPECT_EQ(http::ParseUrl("https://h:1?q")->host, "h:1");
  EXPECT_EQ(*http::ResolveUrl("https://h:1/a/b", "/c?d"), "https://h:1/c?d");
  EXPECT_EQ(*http::ResolveUrl("https://h/a", "http://o/x"), "http://o/x");
  for (const char* text : {"file:///etc/passwd", "ftp://h/", "h/x", "http://", "http://u@h/",
                           "http://h/a b", "http://h\\@o/"}) {
    EXPECT_FALSE(http::ParseUrl(text).ok()) << text;
  }
  EXPECT_FALSE(http::ResolveUrl("https://h/a", "//evil/x").ok());
  EXPECT_FALSE(http::ResolveUrl("https://h/a", "").ok());
}

}  // namespace
}  // namespace strata::imaged
