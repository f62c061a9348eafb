// What a program in a node may say over its socket, and what it hears.
#include "vclusterd/host/node_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/printable.h"
#include "vclusterd/definition/definition.h"

namespace strata::vcluster {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kFront[] = "strata 1 scale\ntoken strata_node_x\n";

NodeCall Parse(const std::string& text) {
  auto call = ParseNodeCall(text);
  EXPECT_TRUE(call.ok()) << text << ": " << call.error().message();
  return call.ok() ? *call : NodeCall();
}
std::string Refused(const std::string& text) {
  const auto call = ParseNodeCall(text);
  if (call.ok()) return "(taken)";
  EXPECT_EQ(call.error().code(), Code::kInvalidArgument);
  EXPECT_EQ(PrintablePrefix(call.error().message()), call.error().message().size());
  return call.error().message();
}

TEST(NodeCallTest, NumbersAreAbsoluteOrRelative) {
  const NodeCall call =
      Parse(std::string(kFront) + "role web=5\nrole db=+2\nrole cache=-1\nrole none=0\njson\n\n");
  EXPECT_TRUE(call.json);
  EXPECT_EQ(call.request.token(), "strata_node_x");
  ASSERT_EQ(call.request.roles_size(), 4);
  const auto has = [&](int i, const char* role, int count, bool relative) {
    EXPECT_EQ(call.request.roles(i).role(), role);
    EXPECT_EQ(call.request.roles(i).count(), count) << role;
    EXPECT_EQ(call.request.roles(i).relative(), relative) << role;
  };
  has(0, "web", 5, false);
  has(1, "db", 2, true);
  has(2, "cache", -1, true);
  has(3, "none", 0, false);
}

TEST(NodeCallTest, ACallEndsWithAnEmptyLineAndWhatFollowsIsNotLookedAt) {
  EXPECT_FALSE(IsWholeNodeCall("strata 1 status\ntoken x\n"));
  EXPECT_TRUE(IsWholeNodeCall("strata 1 status\ntoken x\n\n"));
  EXPECT_EQ(Parse("strata 1 status\ntoken x\n\nrole web=5\n\n").request.roles_size(), 0);
}

TEST(NodeCallTest, WhatIsNoCallIsRefusedInWordsThatCanBeShown) {
  const std::string front = kFront;
  for (const char* role : {"web", "=5", "web=", "web=five", "web=5x", "web=+-5", "web=--5",
                           "web=99999999999", "web=1001", "web=-1001", "web= 5", "web=+"}) {
    EXPECT_THAT(Refused(front + "role " + role + "\n\n"), HasSubstr("is no ROLE=N")) << role;
  }
  EXPECT_THAT(Refused(front + "role " + std::string(kRoleNameSizeMax + 1, 'a') + "=1\n\n"),
              HasSubstr("is of no role"));
  EXPECT_THAT(Refused(front + "role w\x1b=1\n\n"), HasSubstr("is of no role"));
  EXPECT_THAT(Refused(front + "role web=1\nrole web=2\n\n"), HasSubstr("named twice"));
  EXPECT_THAT(Refused(front + "\n\n"), HasSubstr("which role"));
  EXPECT_THAT(Refused("strata 1 status\ntoken x\nrole web=1\n\n"), HasSubstr("no role is named"));
  EXPECT_THAT(Refused("strata 1 scale\nrole web=1\n\n"), HasSubstr("shows no token"));
  EXPECT_THAT(Refused(front + "token again\n\n"), HasSubstr("is not known"));
  EXPECT_THAT(Refused(front + "shutdown now\n\n"), HasSubstr("'shutdown now' is not known"));
  EXPECT_THAT(Refused("strata 2 scale\n\n"), HasSubstr("no call that is known"));
  EXPECT_THAT(Refused("GET / HTTP/1.1\r\n\r\n\n\n"), HasSubstr("no call that is known"));
  EXPECT_THAT(Refused("\n\n"), HasSubstr("no call that is known"));
  EXPECT_THAT(Refused(""), HasSubstr("does not end"));
  EXPECT_THAT(Refused(std::string("strata 1 status\ntoken ") + std::string(65, 'x') + "\n\n"),
              HasSubstr("no token"));
  EXPECT_THAT(Refused(std::string("strata 1 status\ntoken a\0b\n\n", 27)), HasSubstr("no token"));
}

TEST(NodeCallTest, LengthAndRolesAreBounded) {
  std::string many = kFront;
  for (size_t i = 0; i <= kRolesMax; ++i) many += "role r" + std::to_string(i) + "=1\n";
  EXPECT_THAT(Refused(many + "\n"), HasSubstr("too many roles"));
  EXPECT_THAT(Refused(kFront + std::string(kNodeCallBytesMax, 'x') + "\n\n"),
              HasSubstr("does not end within"));
}

TEST(NodeCallTest, EveryTruncationIsRefused) {
  const std::string whole = std::string(kFront) + "role web=5\n\n";
  ASSERT_TRUE(ParseNodeCall(whole).ok());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(ParseNodeCall(whole.substr(0, size)).ok()) << size;
  }
}

host::v1::NodeAskResponse Answer() {
  host::v1::NodeAskResponse answer;
  answer.set_vcluster("alice/shop");
  host::v1::RoleState* web = answer.add_roles();
  web->set_role("web");
  web->set_before(2);
  web->set_wanted(5);
  web->set_running(2);
  web->set_scales(true);
  web->set_min(1);
  web->set_max(8);
  host::v1::RoleState* db = answer.add_roles();
  db->set_role("db");
  db->set_before(1);
  db->set_wanted(1);
  db->set_running(1);
  return answer;
}

TEST(NodeCallTest, AnswersAreForPeopleOrForPrograms) {
  const NodeCall status = Parse("strata 1 status\ntoken x\n\n");
  EXPECT_EQ(FormatNodeAnswer(status, Answer()),
            "0\n"
            "ROLE  WANTED  RUNNING  NODES MAY ASK FOR\n"
            "web   5       2        1 to 8\n"
            "db    1       1        -\n");
  const NodeCall scale = Parse(std::string(kFront) + "role web=5\n\n");
  EXPECT_EQ(FormatNodeAnswer(scale, Answer()), "0\nweb: 2 -> 5 nodes (2 running)\n");
  const NodeCall same = Parse(std::string(kFront) + "role db=1\n\n");
  EXPECT_EQ(FormatNodeAnswer(same, Answer()), "0\ndb: 1 node, as before (1 running)\n");
  const NodeCall json = Parse("strata 1 status\ntoken x\njson\n\n");
  const std::string text = FormatNodeAnswer(json, Answer());
  EXPECT_THAT(text, StartsWith("0\n{"));
  EXPECT_THAT(text, HasSubstr("\"wanted\": 5"));
}

TEST(NodeCallTest, RefusalsHaveTheExitCodesOfTheOtherCommands) {
  EXPECT_EQ(FormatNodeRefusal(Error(Code::kPermissionDenied, "no")), "4\nno\n");
  EXPECT_EQ(FormatNodeRefusal(Error(Code::kResourceExhausted, "full")), "7\nfull\n");
  EXPECT_EQ(FormatNodeRefusal(Error(Code::kUnavailable, "away")), "6\naway\n");
  EXPECT_EQ(FormatNodeRefusal(Error(Code::kNotFound, "a\x1b[2Jb")), "3\na\\x1b[2Jb\n");
  EXPECT_LT(FormatNodeRefusal(Error(Code::kInternal, std::string(1 << 20, 'x'))).size(),
            kNodeAnswerBytesMax);
}

}  // namespace
}  // namespace strata::vcluster
