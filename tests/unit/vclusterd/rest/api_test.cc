// What the API does with a request before and behind its handlers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "tests/unit/vclusterd/rest/rest_fixture.h"

namespace strata::vcluster::rest {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(RestApiTest, AnUnknownAddressAndAWrongMethodAreToldApart) {
  TestRest rest;
  EXPECT_EQ(rest.Get("", "/v1/nothing").status, 404);
  EXPECT_EQ(rest.Get("", "/").status, 404);
  EXPECT_EQ(rest.Get("", "//////////////////////////").status, 404);
  const Answered answered = rest.Ask({.method = "PUT", .path = "/v1/session"});
  EXPECT_EQ(answered.status, 405);
  EXPECT_THAT(http::Find(answered.headers, "Allow"), HasSubstr("DELETE"));
}

TEST(RestApiTest, ABodyIsCheckedBeforeAnythingIsDone) {
  TestRest rest;
  const std::string admin = rest.SignIn("admin");
  const auto post = [&](const std::string& body, const std::string& type = "application/json") {
    return rest.Ask(
        {.method = "POST", .path = "/v1/users", .token = admin, .type = type, .body = body});
  };
  EXPECT_EQ(post(R"({"name": "carol")").status, 400) << "no JSON";
  EXPECT_EQ(post(R"(["carol"])").status, 400) << "no object";
  EXPECT_EQ(post(R"({})").status, 400) << "a member is missing";
  EXPECT_EQ(post(R"({"name": 1})").status, 400) << "of another type";
  EXPECT_EQ(post(R"({"name": "carol", "rol": "user"})").status, 400) << "an unknown member";
  EXPECT_EQ(post(R"({"name": "carol", "role": "god"})").status, 400) << "no such word";
  EXPECT_EQ(post(std::string(200, '[')).status, 400) << "nested too deeply";
  EXPECT_EQ(post(R"({"name": "carol"})", "text/plain").status, 415);
  EXPECT_EQ(post("{\"name\": \"" + std::string(70'000, 'x') + "\"}").status, 413);
  const Answered wrong = post(R"({"name": "carol", "role": "god"})");
  EXPECT_THAT(wrong.json.value("detail", ""), HasSubstr("role"));
  EXPECT_EQ(rest.users().accounts().FindByName("carol"), nullptr);
  EXPECT_EQ(post(R"({"name": "carol"})").status, 201);
}

TEST(RestApiTest, ParametersOfTheAddressAreChecked) {
  TestRest rest;
  const std::string alice = rest.SignIn("alice");
  const auto list = [&](const std::string& query) {
    return rest.Get(alice, "/v1/vclusters", query).status;
  };
  EXPECT_EQ(list("limit=1"), 200);
  EXPECT_EQ(list("limit=0"), 400);
  EXPECT_EQ(list("limit=many"), 400);
  EXPECT_EQ(list("nodes=false"), 200);
  EXPECT_EQ(list("nodes=maybe"), 400);
  EXPECT_EQ(list("limt=1"), 400);
  EXPECT_EQ(list("limit=1&limit=2"), 400);
}

TEST(RestApiTest, AListIsGivenInPages) {
  TestRest rest;
  const std::string alice = rest.SignIn("alice");
  for (const char* name : {"b", "a"}) {
    rest.Ask({.method = "POST",
              .path = "/v1/vclusters",
              .query = "wait=10s",
              .token = alice,
              .body = std::string(R"({"image": "tiny", "name": ")") + name + "\"}"});
  }
  std::vector<std::string> names;
  std::string after;
  do {
    const Answered page = rest.Get(alice, "/v1/vclusters", "limit=1&after=" + after);
    ASSERT_EQ(page.status, 200) << page.text;
    ASSERT_EQ(page.json["vclusters"].size(), 1u) << page.text;
    names.push_back(page.json["vclusters"][0]["name"]);
    after = page.json.value("next", "");
  } while (!after.empty() && names.size() < 10);
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b", "lab"}));
}

TEST(RestApiTest, ATokenIsGoodUntilItsSessionEnds) {
  TestRest rest;
  const Answered signed_in =
      rest.Post("", "/v1/session", {{"name", "alice"}, {"password", kPassword}});
  ASSERT_EQ(signed_in.status, 201) << signed_in.text;
  const std::string token = signed_in.json["token"];
  EXPECT_EQ(rest.Get(token, "/v1/session").json.value("name", ""), "alice");
  EXPECT_EQ(rest.Ask({.method = "DELETE", .path = "/v1/session", .token = token}).status, 204);
  const Answered after = rest.Get(token, "/v1/session");
  EXPECT_EQ(after.status, 401);
  EXPECT_THAT(http::Find(after.headers, "WWW-Authenticate"), StartsWith("Bearer"));
  EXPECT_EQ(rest.Get("strata_session_nonsense", "/v1/session").status, 401);
}

TEST(RestApiTest, WrongPasswordsAreRefusedAndSoonNotListenedTo) {
  TestRest rest;
  const auto guess = [&] {
    return rest.Post("", "/v1/session", {{"name", "alice"}, {"password", "wrong"}});
  };
  const Answered first = guess();
  EXPECT_EQ(first.status, 403);
  EXPECT_THAT(first.text, Not(HasSubstr("wrong\"")));
  int status = 403;
  for (int i = 0; i < 10 && status == 403; ++i) status = guess().status;
  EXPECT_EQ(status, 429);
}

TEST(RestApiTest, ACookieChangesNothingForOtherSites) {
  TestRest rest;
  const Answered signed_in =
      rest.Post("", "/v1/session", {{"name", "alice"}, {"password", kPassword}, {"cookie", true}});
  ASSERT_EQ(signed_in.status, 201) << signed_in.text;
  EXPECT_FALSE(signed_in.json.contains("token"));
  const std::string set(http::Find(signed_in.headers, "Set-Cookie"));
  for (const char* part : {"__Host-strata=", "Secure", "HttpOnly", "SameSite=Strict", "Path=/"}) {
    EXPECT_THAT(set, HasSubstr(part));
  }
  const http::Field cookie{"Cookie", "other=1; " + set.substr(0, set.find(';'))};
  EXPECT_EQ(rest.Ask({.path = "/v1/session", .headers = {cookie}}).status, 200);

  const auto change = [&](http::Fields headers) {
    headers.push_back(cookie);
    return rest
        .Ask({.method = "POST",
              .path = "/v1/tokens",
              .body = R"({"name": "x"})",
              .headers = headers})
        .status;
  };
  EXPECT_EQ(change({}), 403);
  EXPECT_EQ(change({{"X-Strata-Csrf", "1"}, {"Origin", "https://evil"}}), 403);
  EXPECT_EQ(change({{"X-Strata-Csrf", "1"}, {"Origin", "https://strata"}}), 201);
  EXPECT_EQ(change({{"X-Strata-Csrf", "1"}}), 201);
}

TEST(RestApiTest, WhoAsksTooOftenIsRefused) {
  TestRest rest({.user_per_s = 0.001, .user_burst = 3, .address_per_s = 0.001, .address_burst = 2});
  const std::string alice = rest.SignIn("alice");
  const std::string bob = rest.SignIn("bob");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(rest.Get(alice, "/v1/session").status, 200);
  const Answered refused = rest.Get(alice, "/v1/session");
  EXPECT_EQ(refused.status, 429);
  EXPECT_NE(http::Find(refused.headers, "Retry-After"), "");
  EXPECT_EQ(rest.Get(bob, "/v1/session").status, 200) << "another user has a bucket of his own";
  EXPECT_EQ(rest.Get("", "/v1/session").status, 401);
  EXPECT_EQ(rest.Get("", "/v1/nothing").status, 404);
  EXPECT_EQ(rest.Get("", "/healthz").status, 429);
}

TEST(RestApiTest, AMasterThatDoesNotLeadNamesTheOneThatDoes) {
  TestRest rest;
  const std::string alice = rest.SignIn("alice");
  rest.leads_elsewhere = "lab-2";
  const Answered refused = rest.Get(alice, "/v1/vclusters");
  EXPECT_EQ(refused.status, 503);
  EXPECT_THAT(refused.json.value("detail", ""), HasSubstr("lab-2"));
  EXPECT_EQ(rest.Post("", "/v1/session", {{"name", "alice"}, {"password", kPassword}}).status, 503)
      << "guesses are counted by the leader";
  const Answered health = rest.Get("", "/healthz");
  EXPECT_EQ(health.status, 200);
  EXPECT_EQ(health.json.value("status", ""), "follows");
}

TEST(RestApiTest, WhatOneMayNotKnowOfLooksLikeWhatThereIsNot) {
  TestRest rest;
  const std::string bob = rest.SignIn("bob");
  for (const char* path : {"/v1/users/", "/v1/groups/", "/v1/vclusters/", "/v1/credits/"}) {
    const std::string name = std::string(path) == "/v1/groups/" ? "os" : "alice";
    Answered hidden = rest.Get(bob, path + name);
    Answered absent = rest.Get(bob, path + std::string("nobody"));
    hidden.json.erase("request");
    absent.json.erase("request");
    std::string detail = hidden.json.value("detail", "");
    if (const size_t at = detail.find(name); at != std::string::npos) {
      detail.replace(at, name.size(), "nobody");
    }
    hidden.json["detail"] = detail;
    EXPECT_EQ(hidden.json, absent.json) << path;
  }
}

TEST(RestApiTest, AnOperationIsWaitedForAndCancelled) {
  TestRest rest;
  const std::string alice = rest.SignIn("alice");
  rest.host().SetState("node", host::v1::STARTING, "");
  const Answered begun = rest.Ask({.method = "POST",
                                   .path = "/v1/vclusters",
                                   .token = alice,
                                   .body = R"({"name": "slow", "image": "tiny"})"});
  ASSERT_EQ(begun.status, 202) << begun.text;
  const std::string address = begun.json["location"];
  EXPECT_EQ(http::Find(begun.headers, "Location"), address);
  const Answered waited = rest.Get(alice, address, "wait=50ms");
  EXPECT_EQ(waited.json.value("state", ""), "running") << waited.text;
  EXPECT_EQ(rest.Get(alice, "/v1/operations", "running=true").json["operations"].size(), 1u);

  EXPECT_EQ(rest.Ask({.method = "DELETE", .path = address, .token = alice}).status, 202);
  const Answered ended = rest.Get(alice, address, "wait=20s");
  EXPECT_EQ(ended.json.value("state", ""), "cancelled") << ended.text;
  EXPECT_EQ(rest.Get(alice, "/v1/vclusters/slow").status, 404) << "what was begun is taken away";
  EXPECT_EQ(rest.Ask({.method = "DELETE", .path = address, .token = alice}).status, 409);
}

TEST(RestApiTest, AnOperationThatFailsWithinItsWaitIsAnError) {
  TestRest rest;
  const std::string alice = rest.SignIn("alice");
  const Answered failed = rest.Ask({.method = "POST",
                                    .path = "/v1/vclusters",
                                    .query = "wait=10s",
                                    .token = alice,
                                    .body = R"({"name": "lab", "image": "tiny"})"});
  EXPECT_EQ(failed.status, 409) << failed.text;
  EXPECT_EQ(failed.json.value("code", ""), "already-exists");
}

TEST(RestApiTest, OperationsAreListedInPagesWithoutWhatTheyMade) {
  TestRest rest;
  const std::string alice = rest.SignIn("alice");
  std::vector<std::string> begun;
  for (int i = 0; i < 3; ++i) {
    const Answered started = rest.Post(alice, "/v1/vclusters/lab/start", Json(), "wait=10s");
    ASSERT_EQ(started.status, 200) << started.text;
    EXPECT_TRUE(started.json.contains("result"));
    begun.push_back(started.json["id"]);
  }
  std::vector<std::string> listed;
  std::string after;
  do {
    const Answered page = rest.Get(alice, "/v1/operations", "limit=1&after=" + after);
    ASSERT_EQ(page.status, 200) << page.text;
    ASSERT_EQ(page.json["operations"].size(), 1u) << page.text;
    EXPECT_FALSE(page.json["operations"][0].contains("result"));
    listed.push_back(page.json["operations"][0]["id"]);
    after = page.json.value("next", "");
  } while (!after.empty() && listed.size() < 10);
  // Of the same millisecond they come in any order, but each once.
  std::sort(begun.begin(), begun.end());
  std::sort(listed.begin(), listed.end());
  EXPECT_EQ(listed, begun);
  EXPECT_EQ(rest.Get(alice, "/v1/operations", "after=nonsense").status, 400);
  EXPECT_EQ(rest.Get(rest.SignIn("bob"), "/v1/operations").json["operations"].size(), 0u);
}

TEST(RestApiTest, AUserHasSoManyOperationsAtATime) {
  OperationLimits limits;
  limits.unfinished_of_user = 1;
  TestRest rest({1e6, 1e6, 1e6, 1e6}, limits);
  const std::string alice = rest.SignIn("alice");
  rest.host().SetState("node", host::v1::STARTING, "");
  const auto create = [&](const std::string& name) {
    return rest.Ask({.method = "POST",
                     .path = "/v1/vclusters",
                     .token = alice,
                     .body = R"({"image": "tiny", "name": ")" + name + "\"}"});
  };
  EXPECT_EQ(create("one").status, 202);
  EXPECT_EQ(create("two").status, 403);
}

TEST(RestApiTest, NoPasswordIsInTheAuditLog) {
  TestRest rest;
  const std::string admin = rest.SignIn("admin");
  rest.Post(admin, "/v1/users", {{"name", "carol"}, {"password", "a very secret word"}});
  rest.Post("", "/v1/session", {{"name", "carol"}, {"password", "a very secret word"}});
  rest.Post("", "/v1/session", {{"name", "a very secret word"}, {"password", "carol"}});
  const Answered events = rest.Get(admin, "/v1/audit");
  ASSERT_EQ(events.status, 200) << events.text;
  EXPECT_THAT(events.text, HasSubstr("carol"));
  EXPECT_THAT(events.text, Not(HasSubstr("secret")));
}

TEST(RestApiTest, WhoSearchesTheAuditLogWhileOthersDoIsToldToComeBack) {
  TestRest rest({1e6, 1e6, 1e6, 1e6}, {}, {.questions_max = 0});
  const Answered busy = rest.Get(rest.SignIn("admin"), "/v1/audit");
  EXPECT_EQ(busy.status, 429) << busy.text;
  EXPECT_NE(http::Find(busy.headers, "Retry-After"), "");
}

// What a stream says next.
std::string Read(http::BodySource& stream) {
  std::string text(64 << 10, '\0');
  const auto n = stream.Read(text.data(), text.size());
  EXPECT_TRUE(n.ok());
  text.resize(n.ok() ? *n : 0);
  return text;
}

FeedEvent EventOf(const Target& target, const std::string& data) {
  FeedEvent event;
  event.type = "vcluster.changed";
  event.data = data;
  event.target = target;
  return event;
}

TEST(RestApiTest, EventsReachThoseWhoMayKnow) {
  TestRest rest;
  const auto listen = [&](const std::string& token, const http::Fields& headers = {}) {
    return rest.Ask({.path = "/v1/events", .token = token, .headers = headers});
  };
  const std::string alice = rest.SignIn("alice");
  Answered hers = listen(alice);
  Answered bobs = listen(rest.SignIn("bob"));
  ASSERT_EQ(hers.status, 200) << hers.text;
  EXPECT_EQ(http::Find(hers.headers, "Content-Type"), "text/event-stream");
  EXPECT_THAT(Read(*hers.stream), StartsWith(":"));
  EXPECT_THAT(Read(*bobs.stream), StartsWith(":"));
  const Target lab = rest.clusters().TargetOf(rest.uids["alice"], "lab");
  rest.events().Publish(EventOf(lab, "1"));
  rest.events().Publish(EventOf({rest.uids["bob"], "bob/x", "bob/x"}, "2"));
  const std::string heard = Read(*hers.stream);
  EXPECT_THAT(heard, HasSubstr("event: vcluster.changed\n"));
  EXPECT_THAT(heard, HasSubstr("data: 1\n\n"));
  EXPECT_THAT(heard, Not(HasSubstr("data: 2")));
  EXPECT_THAT(Read(*bobs.stream), HasSubstr("data: 2"));

  // What was missed meanwhile comes with the next stream; of another process' numbers nothing is
  // known.
  const size_t at = heard.find("id: ") + 4;
  const std::string id = heard.substr(at, heard.find('\n', at) - at);
  hers.stream.reset();
  rest.events().Publish(EventOf(lab, "3"));
  Answered again = listen(alice, {{"Last-Event-ID", id}});
  Read(*again.stream);
  EXPECT_THAT(Read(*again.stream), HasSubstr("data: 3"));
  Answered lost = listen(alice, {{"Last-Event-ID", "0123-7"}});
  EXPECT_THAT(Read(*lost.stream), HasSubstr("event: reset"));

  // A stream ends with its token, and with the server.
  rest.Ask({.method = "DELETE", .path = "/v1/session", .token = alice});
  EXPECT_EQ(Read(*again.stream), "");
  rest.events().Close();
  EXPECT_EQ(Read(*bobs.stream), "");
}

TEST(RestApiTest, AUserHasSoManyStreams) {
  TestRest rest;
  const std::string alice = rest.SignIn("alice");
  std::vector<Answered> streams;
  for (int i = 0; i < 8; ++i) {
    streams.push_back(rest.Ask({.path = "/v1/events", .token = alice}));
    EXPECT_EQ(streams.back().status, 200);
  }
  EXPECT_EQ(rest.Ask({.path = "/v1/events", .token = alice}).status, 429);
  streams.pop_back();
  EXPECT_EQ(rest.Ask({.path = "/v1/events", .token = alice}).status, 200);
}

}  // namespace
}  // namespace strata::vcluster::rest
