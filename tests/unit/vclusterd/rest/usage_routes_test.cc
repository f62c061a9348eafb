// What nodes and hosts use, as the API shows it. Who may see it is in role_cases.h.
#include <gtest/gtest.h>

#include "tests/unit/vclusterd/rest/rest_fixture.h"

namespace strata::vcluster::rest {
namespace {

// TestRest::Using
Json UsageOf(int times, double seconds = 10) {
  return {{"cpus", 0.5 * times},
          {"memory_bytes", times * 10},
          {"read_bytes_per_s", times * 20},
          {"written_bytes_per_s", times * 30},
          {"received_bytes_per_s", times * 40},
          {"sent_bytes_per_s", times * 50},
          {"cpu_pressure", 0.125 * times},
          {"memory_pressure", 0.25 * times},
          {"io_pressure", 0.375 * times},
          {"seconds", seconds}};
}

TEST(RestUsageTest, ANodeHasItsNetworkAndItsPressure) {
  TestRest rest;
  rest.Measure();
  const Answered node = rest.Get(rest.SignIn("alice"), "/v1/vclusters/lab/nodes/0");
  ASSERT_EQ(node.status, 200) << node.text;
  EXPECT_EQ(node.json["usage"], UsageOf(1));
}

TEST(RestUsageTest, AHostHasWhatItUsesOnceItWasMeasured) {
  TestRest rest;
  const std::string admin = rest.SignIn("admin");
  const Json before = rest.Get(admin, "/v1/hosts").json["hosts"][0];
  EXPECT_EQ(before["name"], "h1");
  EXPECT_FALSE(before.contains("usage")) << before;
  EXPECT_FALSE(before.contains("disk_free_bytes")) << before;
  rest.Measure();
  const Json after = rest.Get(admin, "/v1/hosts").json["hosts"][0];
  EXPECT_EQ(after["usage"], UsageOf(2));
  EXPECT_EQ(after["disk_free_bytes"], 5000);
}

TEST(RestUsageTest, TheHistoryOfANodeIsToldByMinutes) {
  TestRest rest;
  const std::string alice = rest.SignIn("alice");
  const std::string path = "/v1/vclusters/lab/nodes/1/history";
  EXPECT_EQ(rest.Get(alice, path).json, (Json{{"points", Json::array()}}));
  rest.Measure();
  const Answered history = rest.Get(alice, path);
  ASSERT_EQ(history.status, 200) << history.text;
  const Json& points = history.json["points"];
  ASSERT_EQ(points.size(), 2u) << history.text;
  EXPECT_EQ(points[0]["unix_ms"], 28'000'000LL * 60'000);
  EXPECT_EQ(points[1]["unix_ms"], 28'000'002LL * 60'000);
  EXPECT_EQ(points[0]["usage"], UsageOf(1));
  EXPECT_FALSE(points[0].contains("disk_free_bytes"));
  EXPECT_EQ(rest.Get(alice, "/v1/vclusters/lab/nodes/7/history").status, 404);
  EXPECT_EQ(rest.Get(alice, "/v1/vclusters/none/nodes/0/history").status, 404);
}

TEST(RestUsageTest, TheHistoryOfAHostIsItsOwn) {
  TestRest rest;
  const std::string admin = rest.SignIn("admin");
  rest.Measure();
  const Answered history = rest.Get(admin, "/v1/hosts/h1/history");
  ASSERT_EQ(history.status, 200) << history.text;
  ASSERT_EQ(history.json["points"].size(), 2u) << history.text;
  EXPECT_EQ(history.json["points"][1]["usage"], UsageOf(2));
  EXPECT_EQ(history.json["points"][1]["disk_free_bytes"], 6000);
  EXPECT_EQ(rest.Get(admin, "/v1/hosts/nowhere/history").status, 404);
  rest.clusters().master().RemoveHost("h1");
  EXPECT_EQ(rest.Get(admin, "/v1/hosts/h1/history").status, 503) << "it is known, and lost";
}

}  // namespace
}  // namespace strata::vcluster::rest
