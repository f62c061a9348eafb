// Jobs, classes and templates over REST: what their routes answer. Who may use them is tested in
// role_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vclusterd/rest/rest_fixture.h"

namespace strata::vcluster::rest {
namespace {

using testing::HasSubstr;

Answered Submit(TestRest& rest, const std::string& token, const std::string& file) {
  return rest.Ask({.method = "POST",
                   .path = "/v1/jobs",
                   .token = token,
                   .type = "application/yaml",
                   .body = file});
}

TEST(RestJobsTest, AJobIsHandedInShownAndItsOutputRead) {
  TestRest rest;
  const std::string alice = rest.SignIn("alice");
  rest.RunAJob();
  const Answered job = rest.Get(alice, "/v1/jobs/count");
  ASSERT_EQ(job.status, 200) << job.text;
  EXPECT_EQ(job.json["state"], "succeeded");
  EXPECT_EQ(job.json["exit_code"], 0);
  EXPECT_EQ(job.json["vcluster"], "alice/lab");
  EXPECT_EQ(job.json["tasks"][0]["runs"][0]["node"], "node-0") << job.text;
  const Answered output = rest.Get(alice, "/v1/jobs/1/output", "task=a&node=node-0");
  ASSERT_EQ(output.status, 200) << output.text;
  ASSERT_EQ(output.json["outputs"].size(), 1u) << output.text;
  EXPECT_EQ(output.json["outputs"][0]["output"], "hello\n");
  EXPECT_EQ(rest.Get(alice, "/v1/jobs/1/output", "task=b").status, 404);

  const Answered submitted =
      Submit(rest, alice, "{name: other, vcluster: lab, tasks: {a: {run: sleep 1000}}}");
  ASSERT_EQ(submitted.status, 201) << submitted.text;
  EXPECT_EQ(http::Find(submitted.headers, "Location"), "/v1/jobs/2");
  EXPECT_EQ(rest.Ask({.method = "DELETE", .path = "/v1/jobs/2", .token = alice}).status, 409);
  EXPECT_EQ(rest.Post(alice, "/v1/jobs/2/cancel", Json()).status, 200);
  EXPECT_EQ(rest.Ask({.method = "DELETE", .path = "/v1/jobs/1", .token = alice}).status, 204);
  EXPECT_EQ(rest.Get(alice, "/v1/jobs/1").status, 404);
}

TEST(RestJobsTest, AFileThatIsWrongIsRefusedWithItsPlaces) {
  TestRest rest;
  const std::string alice = rest.SignIn("alice");
  const Answered unknown = Submit(rest, alice, "{name: j, vcluster: lab, tasks: {a: {rum: x}}}");
  EXPECT_EQ(unknown.status, 400);
  EXPECT_THAT(unknown.json.value("detail", ""), HasSubstr("the body:1:"));
  const Answered named =
      Submit(rest, alice, "{name: j, create: cluster.yaml, tasks: {a: {run: x}}}");
  EXPECT_EQ(named.status, 400);
  EXPECT_THAT(named.json.value("detail", ""), HasSubstr("under 'create'"));
  EXPECT_EQ(rest.Get(alice, "/v1/jobs").json["jobs"].size(), 0u);
}

TEST(RestJobsTest, JobsAreListedInPagesTheNewestFirst) {
  TestRest rest;
  const std::string alice = rest.SignIn("alice");
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(Submit(rest, alice, "{name: j, vcluster: lab, tasks: {a: {run: x}}}").status, 201);
  }
  std::vector<int> numbers;
  std::string query = "limit=1";
  while (numbers.size() < 10) {
    const Answered page = rest.Get(alice, "/v1/jobs", query);
    ASSERT_EQ(page.status, 200) << page.text;
    ASSERT_EQ(page.json["jobs"].size(), 1u) << page.text;
    numbers.push_back(page.json["jobs"][0]["number"]);
    if (!page.json.contains("next")) break;
    query = "limit=1&after=" + page.json["next"].dump();
  }
  EXPECT_EQ(numbers, (std::vector<int>{3, 2, 1}));
  const std::string teacher = rest.SignIn("teacher");
  EXPECT_EQ(rest.Get(teacher, "/v1/jobs").json["jobs"].size(), 0u) << "his own";
  EXPECT_EQ(rest.Get(teacher, "/v1/jobs", "all=true").json["jobs"].size(), 3u);
}

TEST(RestClassesTest, AClassIsServedResetCollectedAndDeleted) {
  TestRest rest;
  const std::string teacher = rest.SignIn("teacher");
  const Answered saved = rest.Post(teacher, "/v1/templates",
                                   {{"vcluster", "alice:lab"}, {"name", "course:v1"}}, "wait=20s");
  ASSERT_EQ(saved.status, 200) << saved.text;
  EXPECT_EQ(saved.json["result"]["node_count"], 2);
  const Answered made = rest.Post(teacher, "/v1/classes",
                                  {{"name", "os-lab"},
                                   {"template", "course:v1"},
                                   {"roster", "user,group\nalice,morning\n"},
                                   {"quota", {{"nodes", 4}}}},
                                  "wait=20s");
  ASSERT_EQ(made.status, 200) << made.text;
  EXPECT_EQ(made.json["result"]["ready_count"], 1) << made.text;
  EXPECT_EQ(made.json["result"]["students"][0]["group"], "morning");
  EXPECT_EQ(rest.Get(rest.SignIn("alice"), "/v1/vclusters/alice:os-lab").status, 200);

  const auto change = [&](const std::string& what, const Json& body) {
    const Answered done = rest.Post(teacher, "/v1/classes/os-lab/" + what, body, "wait=20s");
    EXPECT_EQ(done.status, 200) << what << done.text;
    return done.json["result"];
  };
  EXPECT_EQ(change("stop", Json())["state"], "stopped");
  EXPECT_EQ(change("start", Json())["state"], "running");
  EXPECT_EQ(change("extend", {{"ends_unix_s", 4'000'000'000}})["ends_unix_s"], 4'000'000'000);
  EXPECT_EQ(change("reset", {{"students", {"alice"}}})["ready_count"], 1);
  const Json collected = change("collect", Json::object());
  EXPECT_EQ(collected["failures"], Json::array()) << collected;
  EXPECT_EQ(collected["class"]["students"][0]["collected"].size(), 2u) << collected;
  EXPECT_EQ(rest.Post(teacher, "/v1/classes/os-lab/reset", Json()).status, 400)
      << "whose, has to be said";

  const auto remove = [&](const std::string& path) {
    return rest.Ask({.method = "DELETE", .path = path, .query = "wait=20s", .token = teacher});
  };
  EXPECT_EQ(remove("/v1/templates/course:v1").status, 409) << "a class uses it";
  const Answered deleted = remove("/v1/classes/os-lab");
  EXPECT_EQ(deleted.status, 200) << deleted.text;
  EXPECT_EQ(rest.Get(teacher, "/v1/classes/os-lab").status, 404);
  EXPECT_EQ(remove("/v1/templates/course:v1").status, 200);
  EXPECT_EQ(rest.Get(teacher, "/v1/templates").json["templates"].size(), 0u);
}

TEST(RestClassesTest, ARosterThatIsWrongIsRefusedWithItsLine) {
  TestRest rest;
  rest.SaveATemplate();
  const std::string teacher = rest.SignIn("teacher");
  const Answered refused = rest.Post(
      teacher, "/v1/classes",
      {{"name", "os-lab"}, {"template", "course"}, {"roster", "user\nalice\nalice\n"}}, "wait=20s");
  EXPECT_EQ(refused.status, 400) << refused.text;
  EXPECT_THAT(refused.json.value("detail", ""), HasSubstr("roster, line 3"));
  EXPECT_EQ(rest.Get(teacher, "/v1/classes").json["classes"].size(), 0u);
}

TEST(RestClassesTest, ATemplateMakesVclustersForThoseWithWhomItIsShared) {
  TestRest rest;
  const std::string teacher = rest.SignIn("teacher");
  const std::string bob = rest.SignIn("bob");
  ASSERT_EQ(rest.Post(teacher, "/v1/templates", {{"vcluster", "alice:lab"}, {"name", "course"}},
                      "wait=20s")
                .status,
            200);
  const std::string address = "/v1/templates/teacher:course:latest";
  EXPECT_EQ(rest.Get(bob, address).status, 404);
  EXPECT_EQ(rest.Post(teacher, address + "/share", {{"add_users", {"nobody"}}}).status, 404);
  const std::string number = std::to_string(rest.uids["bob"]);
  EXPECT_EQ(rest.Post(teacher, address + "/share", {{"add_users", {number}}}).status, 404)
      << "numbers could be tried in turn";
  const Answered shared = rest.Post(teacher, address + "/share", {{"add_users", {"bob"}}});
  ASSERT_EQ(shared.status, 200) << shared.text;
  EXPECT_EQ(shared.json["shared_with"], Json::array({"bob"}));
  const Answered made =
      rest.Post(bob, address + "/vclusters", {{"name", "copy"}, {"count", 2}}, "wait=20s");
  ASSERT_EQ(made.status, 200) << made.text;
  EXPECT_EQ(made.json["result"]["vclusters"].size(), 2u);
  EXPECT_EQ(rest.Get(bob, "/v1/vclusters/copy-2").status, 200);
}

}  // namespace
}  // namespace strata::vcluster::rest
