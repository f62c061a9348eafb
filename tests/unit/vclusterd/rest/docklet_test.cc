// Docklet's routes as its clients use them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vclusterd/rest/rest_fixture.h"

namespace strata::vcluster::rest {
namespace {

using testing::HasSubstr;

Json Ask(TestRest& rest, const std::string& path, const std::string& form) {
  const Answered answered = rest.Ask(
      {.method = "POST", .path = path, .type = "application/x-www-form-urlencoded", .body = form});
  EXPECT_EQ(answered.status, 200) << path << ": " << answered.text;
  return answered.json;
}

TEST(DockletTest, SeesItsOwnForm) {
  TestRest rest;
  const auto ask = [&](const std::string& path, const std::string& form) {
    return Ask(rest, path, form);
  };
  const std::string token =
      ask("/login/", "user=alice&key=correct+horse+battery")["data"].value("token", "");
  ASSERT_NE(token, "");
  const std::string with = "token=" + token;
  EXPECT_EQ(ask("/cluster/create/", with + "&clustername=w&imagename=tiny").value("success", ""),
            "true");
  EXPECT_EQ(ask("/cluster/list/", with)["clusters"], Json::array({"lab", "w"}));
  const Json info = ask("/cluster/info/", with + "&clustername=w")["message"];
  ASSERT_EQ(info.value("size", 0), 1) << info;
  const std::string container = info["containers"][0].value("containername", "");
  EXPECT_EQ(container, "w:0");
  for (const char* issue : {"cpu_use", "mem_use", "disk_use", "basic_info", "owner"}) {
    const Json answer = ask("/monitor/vnodes/" + container + "/" + issue + "/", with);
    EXPECT_TRUE(answer["monitor"].contains(issue)) << answer;
  }
  EXPECT_EQ(ask("/monitor/vnodes/" + container + "/color/", with).value("success", ""), "false");
  EXPECT_EQ(ask("/cluster/save/", with + "&clustername=w&image=kept&containername=w:0")
                .value("success", ""),
            "true");
  EXPECT_EQ(ask("/cluster/start/", with).value("message", ""), "clustername is null");
  EXPECT_EQ(ask("/cluster/start/", "clustername=w").value("Unauthorized", ""), "True");
}

TEST(DockletTest, ARequestWaitsForABoundedTimeAndWhatItAskedForGoesOn) {
  TestRest rest;
  const std::string alice = rest.SignIn("alice");
  rest.host().SetState("node", host::v1::STARTING, "");
  const auto begun = std::chrono::steady_clock::now();
  const Json waits = Ask(rest, "/cluster/create/",
                         "token=" + alice + "&clustername=slow&imagename=tiny&wait=50ms");
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(20));
  EXPECT_EQ(waits.value("success", ""), "false");
  const std::string address = waits.value("operation", "");
  EXPECT_THAT(waits.value("message", ""), HasSubstr(address));
  const Answered goes_on = rest.Get(alice, address);
  ASSERT_EQ(goes_on.status, 200) << waits << goes_on.text;
  EXPECT_EQ(goes_on.json.value("state", ""), "running");
  EXPECT_TRUE(goes_on.json.value("cancellable", false));

  EXPECT_EQ(rest.Ask({.method = "DELETE", .path = address, .token = alice}).status, 202);
  EXPECT_EQ(rest.Get(alice, address, "wait=20s").json.value("state", ""), "cancelled");
  EXPECT_EQ(rest.Get(alice, "/v1/vclusters/slow").status, 404) << "what was begun is taken away";
  EXPECT_EQ(Ask(rest, "/cluster/start/", "token=" + alice + "&clustername=lab&wait=soon")
                .value("success", ""),
            "false");
}

TEST(DockletTest, OperationsAreThoseOfTheModernApi) {
  TestRest rest;
  const std::string alice = rest.SignIn("alice");
  const std::string form = "token=" + alice + "&clustername=lab";
  EXPECT_EQ(Ask(rest, "/cluster/start/", form).value("success", ""), "true");
  EXPECT_EQ(Ask(rest, "/cluster/stop/", form).value("success", ""), "true");
  const Answered stopped =
      rest.Post(alice, "/v1/vclusters/lab/stop", {{"grace_s", 10}}, "wait=10s");
  ASSERT_EQ(stopped.status, 200) << stopped.text;
  const Json list = rest.Get(alice, "/v1/operations").json["operations"];
  ASSERT_EQ(list.size(), 3u) << list;
  for (const Json& one : list) {
    if (one["operation"] == "vcluster.start") continue;
    for (const char* member : {"operation", "object", "cancellable", "state"}) {
      EXPECT_EQ(one[member], stopped.json[member]) << one;
    }
  }
}

}  // namespace
}  // namespace strata::vcluster::rest
