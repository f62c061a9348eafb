// For every route: how it is tried, and what everybody gets. A route without a line here fails the
// test, so nobody adds one without saying who may use it.
#pragma once

#include <array>
#include <map>
#include <string>

namespace strata::vcluster::rest {

// Who tries, in this order.
enum Who { kStranger, kOwner, kOtherUser, kTeacher, kOtherTeacher, kAdmin, kScoped, kNode, kWhos };
inline constexpr const char* kWhoNames[kWhos] = {
    "a stranger", "the owner",      "another user",          "his teacher", "another teacher",
    "an admin",   "a token (list)", "a node's token (scale)"};

// Docklet's failures have the status 200 too: kNo is "success": "false".
inline constexpr int kYes = 200;
inline constexpr int kNo = -1;

struct RoleCase {
  std::array<int, kWhos> status;
  std::string body;   // JSON, a definition, or a form without its token.
  std::string query;  // Beside wait.
};

// clang-format off: a table.
//                           stranger owner other teacher other-t. admin scoped node
inline const std::array<int, kWhos> kReadsVcluster =
                            {401,     200,  404,  200,    404,     200,  200,   404};
inline const std::array<int, kWhos> kActsOnVcluster =
                            {401,     200,  404,  200,    404,     200,  403,   404};
inline const std::array<int, kWhos> kShapesVcluster =
                            {401,     200,  404,  403,    404,     200,  403,   404};
inline const std::array<int, kWhos> kReadsUser =
                            {401,     200,  404,  200,    404,     200,  404,   404};
inline const std::array<int, kWhos> kAdminOfUser =
                            {401,     403,  404,  403,    404,     200,  404,   404};
inline const std::array<int, kWhos> kAdminOfUser204 =
                            {401,     403,  404,  403,    404,     204,  404,   404};
inline const std::array<int, kWhos> kAdminAlone =
                            {401,     403,  403,  403,    403,     200,  403,   403};
inline const std::array<int, kWhos> kAdminAlone204 =
                            {401,     403,  403,  403,    403,     204,  403,   403};
inline const std::array<int, kWhos> kFiltered =
                            {401,     200,  200,  200,    200,     200,  200,   200};
inline const std::array<int, kWhos> kOwnOnly =
                            {401,     200,  404,  404,    404,     404,  403,   403};
inline const std::array<int, kWhos> kReadsJob =
                            {401,     200,  404,  200,    404,     200,  404,   404};
inline const std::array<int, kWhos> kTeachers =
                            {401,     404,  404,  200,    404,     200,  404,   404};
inline const std::array<int, kWhos> kUsesTemplate =
                            {401,     200,  200,  200,    200,     200,  404,   404};
inline const std::array<int, kWhos> kOwnsTemplate =
                            {401,     403,  403,  200,    403,     200,  404,   404};
inline const std::array<int, kWhos> kDockletActs =
                            {kNo,     kYes, kNo,  kYes,   kNo,     kYes, kNo,   kNo};
inline const std::array<int, kWhos> kDockletShapes =
                            {kNo,     kYes, kNo,  kNo,    kNo,     kYes, kNo,   kNo};
inline const std::array<int, kWhos> kDockletReads =
                            {kNo,     kYes, kNo,  kYes,   kNo,     kYes, kYes,  kNo};
inline const std::array<int, kWhos> kDockletAdmin =
                            {kNo,     kNo,  kNo,  kNo,    kNo,     kYes, kNo,   kNo};
inline const std::array<int, kWhos> kDockletNobody =
                            {kNo,     kNo,  kNo,  kNo,    kNo,     kNo,  kNo,   kNo};

inline const std::map<std::string, RoleCase> kRoleCases = {
    {"getOpenApi",        {{200, 200, 200, 200, 200, 200, 200, 200}}},
    {"getHealth",         {{200, 200, 200, 200, 200, 200, 200, 200}}},
    {"signIn",            {{201, 201, 201, 201, 201, 201, 201, 201},
                           R"({"name": "alice", "password": "correct horse battery"})"}},
    {"showSession",       {{401, 200, 200, 200, 200, 200, 200, 200}}},
    {"signOut",           {{401, 204, 204, 204, 204, 204, 204, 204}}},
    {"register",          {{201, 201, 201, 201, 201, 201, 201, 201},
                           R"({"name": "newcomer", "password": "long enough for all"})"}},
    // There is no issuer here.
    {"startOpenId",       {{404, 404, 404, 404, 404, 404, 404, 404}}},
    {"finishOpenId",      {{404, 404, 404, 404, 404, 404, 404, 404}}},

    {"listVclusters",     {kFiltered}},
    {"createVcluster",    {{401, 200, 200, 200, 200, 200, 403, 403}, "{name: fresh, image: tiny}"}},
    {"getVcluster",       {kReadsVcluster}},
    {"exportVcluster",    {kActsOnVcluster}},
    {"explainVcluster",   {kReadsVcluster}},
    {"applyVcluster",     {kOwnOnly, "{name: lab, image: tiny, nodes: 2, description: other}"}},
    {"diffVcluster",      {kOwnOnly, "{name: lab, image: tiny, nodes: 3}"}},
    {"deleteVcluster",    {kShapesVcluster}},
    {"startVcluster",     {kActsOnVcluster}},
    {"stopVcluster",      {kActsOnVcluster, R"({"grace_s": 1})"}},
    {"scaleVcluster",     {{401, 200, 404, 403, 404, 200, 403, 200},
                           R"({"role": "node", "count": 3})"}},
    {"cloneVcluster",     {kActsOnVcluster, R"({"count": 1, "prefix": "copy-"})"}},
    {"resizeVcluster",    {kShapesVcluster, R"({"disk_bytes": 1073741824})"}},
    {"extendVcluster",    {kShapesVcluster, R"({"for_seconds": 60})"}},
    {"rotateVclusterKeys", {kShapesVcluster}},
    {"listNodes",         {kReadsVcluster}},
    {"getNode",           {kReadsVcluster}},
    {"startNode",         {kActsOnVcluster}},
    {"stopNode",          {kActsOnVcluster, "{}"}},
    {"resizeNode",        {kShapesVcluster, R"({"disk_bytes": 1073741824})"}},
    {"saveNode",          {kActsOnVcluster, R"({"reference": "kept"})"}},
    {"explainNode",       {kReadsVcluster}},
    {"getNodeHistory",    {kReadsVcluster}},

    // Job 1 is the owner's, and done.
    {"submitJob",         {{401, 201, 404, 201, 404, 201, 403, 404},
                           "{name: j, vcluster: alice/lab, tasks: {a: {run: x}}}"}},
    {"listJobs",          {kFiltered}},
    {"getJob",            {kReadsJob}},
    {"getJobOutput",      {kReadsJob}},
    {"cancelJob",         {kReadsJob}},
    {"deleteJob",         {{401, 204, 404, 204, 404, 204, 404, 404}}},

    // The teacher's, of which the owner is a student.
    {"listClasses",       {kFiltered}},
    {"createClass",       {{401, 403, 403, 200, 403, 200, 403, 403},
                           R"({"name": "new-class", "template": "teacher/course",
                               "roster": "user\nalice\n"})"}},
    {"getClass",          {kTeachers}},
    {"startClass",        {kTeachers}},
    {"stopClass",         {kTeachers}},
    {"extendClass",       {kTeachers, R"({"ends_unix_s": 4000000000})"}},
    {"resetClass",        {kTeachers, R"({"students": ["alice"]})"}},
    {"collectClass",      {kTeachers}},
    {"deleteClass",       {kTeachers}},
    // The teacher's, and public.
    {"listTemplates",     {kFiltered}},
    {"saveTemplate",      {{401, 200, 404, 200, 404, 200, 403, 404},
                           R"({"vcluster": "alice:lab", "name": "mine"})"}},
    {"getTemplate",       {kUsesTemplate}},
    {"createFromTemplate", {kUsesTemplate, R"({"name": "fresh"})"}},
    {"shareTemplate",     {kOwnsTemplate, R"({"add_users": ["bob"]})"}},
    {"deleteTemplate",    {kOwnsTemplate}},

    {"listOperations",    {kFiltered}},
    // Of the owner's start, which nobody else but an admin knows of.
    {"getOperation",      {{401, 200, 404, 404, 404, 200, 404, 404}}},
    {"cancelOperation",   {{401, 409, 404, 404, 404, 409, 404, 404}}},
    {"listen",            {kFiltered}},
    {"listHosts",         {kAdminAlone}},
    {"getHostHistory",    {kAdminAlone}},
    {"drainHost",         {kAdminAlone204}},
    {"resumeHost",        {kAdminAlone204}},

    {"listUsers",         {kFiltered}},
    {"createUser",        {{401, 403, 403, 403, 403, 201, 403, 403},
                           R"({"name": "carol", "password": "long enough for all"})"}},
    {"getUser",           {kReadsUser}},
    {"editUser",          {{401, 200, 404, 403, 404, 200, 404, 404}, R"({"real_name": "Alice"})"}},
    {"deleteUser",        {kAdminOfUser204}},
    {"setPassword",       {{401, 204, 404, 403, 404, 204, 404, 404},
                           R"({"old": "correct horse battery", "new": "another horse battery"})"}},
    {"unlockSignIn",      {kAdminOfUser204}},
    {"listTokens",        {{401, 200, 404, 403, 404, 200, 404, 404}, "", "user=alice"}},
    {"createToken",       {{401, 201, 201, 201, 201, 201, 403, 403}, R"({"name": "program"})"}},
    {"revokeToken",       {{401, 204, 404, 404, 404, 204, 403, 403}}},

    {"listGroups",        {kFiltered}},
    {"createGroup",       {{401, 403, 403, 201, 201, 201, 403, 403}, R"({"name": "new-group"})"}},
    {"getGroup",          {kReadsUser}},
    {"editGroup",         {{401, 403, 404, 200, 404, 200, 404, 404}, R"({"description": "x"})"}},
    {"deleteGroup",       {{401, 403, 404, 204, 404, 204, 404, 404}}},
    // "guests", to which the owner is invited; and "os", of which he is a member.
    {"joinGroup",         {{401, 204, 404, 404, 404, 404, 404, 404}}},
    {"leaveGroup",        {{401, 204, 404, 404, 404, 404, 404, 404}}},

    {"getLimitsDefault",  {kAdminAlone}},
    {"setLimitsDefault",  {kAdminAlone, R"({"limits": {"nodes": 100}})"}},
    {"getLimitsOfUser",   {kReadsUser}},
    {"setLimitsOfUser",   {kAdminOfUser, R"({"limits": {"nodes": 100}})"}},
    {"getLimitsOfEachMember", {kReadsUser}},
    {"setLimitsOfEachMember", {kAdminOfUser, R"({"limits": {"nodes": 100}})"}},
    {"getLimitsOfAllMembers", {kReadsUser}},
    {"setLimitsOfAllMembers", {kAdminOfUser, R"({"limits": {"nodes": 100}})"}},
    {"getCredits",        {kReadsUser}},
    {"grantCredits",      {kAdminOfUser, R"({"amount_milli": 1000, "reason": "good work"})"}},
    {"setCreditBudget",   {kAdminOfUser, R"({"budget_milli": 1000})"}},
    {"listCreditApplications", {kFiltered}},
    {"applyForCredits",   {{401, 201, 201, 201, 201, 201, 403, 403},
                           R"({"amount_milli": 1000, "reason": "more"})"}},
    {"decideCreditApplication", {{401, 403, 404, 200, 404, 200, 404, 404},
                           R"({"approve": false, "comment": "no"})"}},
    {"listAuditEvents",   {{401, 200, 200, 200, 200, 200, 403, 403}}},

    {"dockletLogin",      {{kYes, kYes, kYes, kYes, kYes, kYes, kYes, kYes},
                           "user=alice&key=correct+horse+battery"}},
    {"dockletCreateCluster", {{kNo, kYes, kYes, kYes, kYes, kYes, kNo, kNo},
                           "clustername=fresh&imagename=tiny&imagetype=private&imageowner=alice"}},
    {"dockletStartCluster",  {kDockletActs, "clustername=alice/lab"}},
    {"dockletSaveCluster",   {kDockletActs,
                              "clustername=alice/lab&containername=lab:0&image=kept&isforce=true"}},
    {"dockletStopCluster",   {kDockletActs, "clustername=alice/lab"}},
    {"dockletDeleteCluster", {kDockletShapes, "clustername=alice/lab"}},
    {"dockletListClusters",  {{kNo, kYes, kYes, kYes, kYes, kYes, kYes, kYes}, "unknown=1"}},
    {"dockletShowCluster",   {kDockletReads, "clustername=alice/lab"}},
    {"dockletScaleOut",      {kDockletShapes, "clustername=alice/lab&imagename=tiny"}},
    {"dockletScaleIn",       {kDockletShapes, "clustername=alice/lab&containername=lab:1"}},
    {"dockletMonitorNode",   {kDockletReads, "x=1"}},
    {"dockletMonitorHost",   {kDockletAdmin, "x=1"}},
    {"dockletListHosts",     {kDockletAdmin, "x=1"}},
};
// clang-format on

}  // namespace strata::vcluster::rest
