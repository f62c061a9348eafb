// Every route, tried as everybody.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "tests/unit/vclusterd/rest/rest_fixture.h"
#include "tests/unit/vclusterd/rest/role_cases.h"

namespace strata::vcluster::rest {
namespace {

// Routes of Docklet's that Strata answers, but does not do.
bool IsAbsent(const Route& route) { return route.id.starts_with("dockletAbsent"); }

const RoleCase* CaseOf(const Route& route) {
  static const RoleCase kAbsent{kDockletNobody, "x=1", ""};
  if (IsAbsent(route)) return &kAbsent;
  const auto found = kRoleCases.find(route.id);
  return found == kRoleCases.end() ? nullptr : &found->second;
}

// A Strata as it is before somebody tries something.
class Stage {
 public:
  explicit Stage(const std::string& path) {
    if (path.starts_with("/v1/jobs")) rest_.RunAJob();
    if (path.starts_with("/v1/templates")) rest_.SaveATemplate();
    if (path.starts_with("/v1/classes")) rest_.MakeAClass();
    tokens_[kOwner] = rest_.SignIn("alice");
    tokens_[kOtherUser] = rest_.SignIn("bob");
    tokens_[kTeacher] = rest_.SignIn("teacher");
    tokens_[kOtherTeacher] = rest_.SignIn("other-teacher");
    tokens_[kAdmin] = rest_.SignIn("admin");
    tokens_[kScoped] = rest_.Scoped({Operation::kVclusterList});
    tokens_[kNode] = rest_.NodeToken();
    rest_.Measure();
    spare_ = rest_.users().CallerOf(rest_.SignIn("alice"), "test", "").value().token->id;
    const Answered started =
        rest_.Post(tokens_[kOwner], "/v1/vclusters/lab/start", Json(), "wait=10s");
    EXPECT_EQ(started.status, 200) << started.text;
    operation_ = started.json.value("id", "");
  }

  Answered Try(const Route& route, const RoleCase& tried, Who who) {
    Asked asked;
    asked.method = route.method;
    asked.path = PathOf(route);
    asked.query = tried.query;
    for (const QueryParameter& parameter : route.query) {
      if (parameter.name != "wait" || route.method == "GET") continue;
      asked.query += (asked.query.empty() ? "" : "&") + std::string("wait=10s");
    }
    asked.token = tokens_[who];
    asked.body = tried.body;
    if (route.body == BodyKind::kDefinition) asked.type = "application/yaml";
    if (route.body == BodyKind::kForm) {
      asked.type = "application/x-www-form-urlencoded";
      if (!tokens_[who].empty()) asked.body += "&token=" + tokens_[who];
      asked.token = "";
    }
    return rest_.Ask(asked);
  }

 private:
  std::string PathOf(const Route& route) {
    const std::map<std::string, std::string> values = {
        {"vcluster", "alice:lab"},
        {"node", "0"},
        {"user", "alice"},
        {"group", route.id == "joinGroup" ? "guests" : "os"},
        {"token", spare_},
        {"operation", operation_},
        {"job", "1"},
        {"class", "teacher:os-lab"},
        {"template", "teacher:course:latest"},
        {"host", "h1"},
        {"number", "1"},
        {"con_id", "alice:lab:0"},
        {"com_id", "h1"},
        {"issue", route.id == "dockletMonitorHost" ? "status" : "owner"}};
    std::string path;
    for (const std::string& segment : SegmentsOf(route.path)) {
      path +=
          "/" + (IsVariable(segment) ? values.at(segment.substr(1, segment.size() - 2)) : segment);
    }
    return path;
  }

  TestRest rest_;
  std::array<std::string, kWhos> tokens_;
  std::string spare_;      // The id of another token of the owner.
  std::string operation_;  // The id of one that he has started.
};

// Where answers are written for open_api_test.py, which compares them with the document.
void Keep(const Route& route, const Answered& answered) {
  static const char* const kPath = std::getenv("STRATA_REST_ANSWERS");
  if (kPath == nullptr || answered.json.is_null()) return;
  std::ofstream(kPath, std::ios::app)
      << Json{{"id", route.id},
              {"status", answered.status},
              {"type", http::Find(answered.headers, "Content-Type")},
              {"body", answered.json}}
             .dump()
      << "\n";
}

TEST(RestRolesTest, EveryRouteSaysWhoMayUseIt) {
  const RouteTable table = MakeRoutes();
  std::set<std::string> ids;
  for (const auto& route : table.routes()) {
    EXPECT_NE(CaseOf(*route), nullptr) << route->id << " has no line in role_cases.h";
    EXPECT_TRUE(ids.insert(route->id).second) << route->id << " is there twice";
  }
  for (const auto& [id, tried] : kRoleCases) {
    EXPECT_TRUE(ids.contains(id)) << id << " of role_cases.h is no route";
  }
}

class RouteTest : public ::testing::TestWithParam<std::string> {};

TEST_P(RouteTest, IsForThoseWhoMay) {
  const RouteTable table = MakeRoutes();
  const Route* route = nullptr;
  for (const auto& one : table.routes()) {
    if (one->id == GetParam()) route = one.get();
  }
  ASSERT_NE(route, nullptr);
  const RoleCase& tried = *CaseOf(*route);
  auto stage = std::make_unique<Stage>(route->path);
  for (int i = 0; i < kWhos; ++i) {
    const Who who = static_cast<Who>(i);
    const Answered answered = stage->Try(*route, tried, who);
    const bool is_docklet = route->body == BodyKind::kForm;
    const int expected = tried.status[who];
    EXPECT_EQ(answered.status, is_docklet ? 200 : expected)
        << route->method << " " << route->path << " by " << kWhoNames[who] << ": " << answered.text;
    if (is_docklet) {
      EXPECT_EQ(answered.json.value("success", ""), expected == kYes ? "true" : "false")
          << route->path << " by " << kWhoNames[who] << ": " << answered.text;
    } else if (answered.status >= 400) {
      EXPECT_EQ(http::Find(answered.headers, "Content-Type"), "application/problem+json");
      EXPECT_EQ(answered.json.value("status", 0), answered.status) << answered.text;
    }
    EXPECT_NE(http::Find(answered.headers, "X-Request-Id"), "");
    Keep(*route, answered);
    // What was refused has changed nothing.
    const bool is_done =
        is_docklet ? answered.json.value("success", "") == "true" : answered.status < 400;
    const bool has_changed = is_done && route->method != "GET";
    if (has_changed && i + 1 < kWhos) stage = std::make_unique<Stage>(route->path);
  }
}

std::vector<std::string> Ids() {
  std::vector<std::string> ids;
  const RouteTable table = MakeRoutes();
  for (const auto& route : table.routes()) {
    if (CaseOf(*route) != nullptr) ids.push_back(route->id);
  }
  return ids;
}

INSTANTIATE_TEST_SUITE_P(Every, RouteTest, ::testing::ValuesIn(Ids()),
                         [](const auto& tried) { return tried.param; });

}  // namespace
}  // namespace strata::vcluster::rest
