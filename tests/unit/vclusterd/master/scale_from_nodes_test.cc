// What nodes may ask the leader for, by which token, and what keeps them from more.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vclusterd/master/fake_host.h"
#include "tests/unit/vclusterd/test_users.h"
#include "vclusterd/master/clusters.h"
#include "vclusterd/master/single_host.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {
namespace {

using ::testing::HasSubstr;

void Ignore(const std::string&, uint32_t, uint32_t) {}

class ScaleFromNodesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = records::MakeMemoryRecordStore(DesiredTables());
    users_ = std::make_unique<TestUsers>(*store_);
    auto opened = Master::Open(
        MakeMasterOptions("m", net::Ipv4Prefix::Parse("10.215.0.0/16").value(), **users_), *store_);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    master_ = std::move(*opened);
    host_ = std::make_shared<FakeHost>();
    master_->AddHost("h1", host_, {});
    clusters_ = std::make_unique<Clusters>(*master_, **users_);
    alice_ = users_->Add("alice");
    Make(Shop("shop"));
  }

  // Two roles, of which nodes may scale one.
  static Definition Shop(const std::string& name) {
    Definition shop = PlainDefinition(name, "tiny", 1, {});
    shop.roles[0].name = "web";
    shop.roles[0].scale_from_nodes = ScaleFromNodes{1, 4};
    shop.roles.push_back(shop.roles[0]);
    shop.roles[1].name = "db";
    shop.roles[1].scale_from_nodes.reset();
    return shop;
  }
  void Make(const Definition& definition) {
    const auto made = clusters_->Create(alice_, definition, "", Ignore, CancelToken());
    ASSERT_TRUE(made.ok()) << made.error().message();
  }
  void Apply(const Definition& definition) {
    const auto done = clusters_->Apply(alice_, definition, false, false, Ignore, CancelToken());
    ASSERT_TRUE(done.ok()) << done.error().message();
  }
  VclusterPtr Of(const std::string& name) { return master_->Find(alice_.uid, name).vcluster; }
  uint32_t NumberOf(const std::string& name) { return Of(name)->record.number(); }
  uint32_t CountOf(const std::string& name, const std::string& role) {
    return Of(name)->definition.FindRole(role)->count;
  }

  Result<host::v1::NodeTokenResponse> MakeToken(const std::string& name, uint32_t index = 0,
                                                const std::string& host = "h1") {
    host::v1::NodeTokenRequest request;
    request.set_number(NumberOf(name));
    request.set_index(index);
    return clusters_->MakeNodeToken(host, request);
  }
  std::string TokenOf(const std::string& name, uint32_t index = 0) {
    const auto made = MakeToken(name, index);
    EXPECT_TRUE(made.ok()) << made.error().message();
    return made.ok() ? made->token() : "";
  }

  struct Change {
    std::string role;
    int count = 0;
    bool relative = false;
  };
  Result<host::v1::NodeAskResponse> Ask(const std::string& name, const std::string& token,
                                        const std::vector<Change>& changes, uint32_t index = 0,
                                        const std::string& host = "h1") {
    host::v1::NodeAskRequest request;
    request.set_number(NumberOf(name));
    request.set_index(index);
    request.set_token(token);
    for (const Change& change : changes) {
      host::v1::RoleCount* role = request.add_roles();
      role->set_role(change.role);
      role->set_count(change.count);
      role->set_relative(change.relative);
    }
    return clusters_->AnswerNode(host, request);
  }
  static std::string Said(const Result<host::v1::NodeAskResponse>& answer) {
    return answer.ok() ? "" : answer.error().message();
  }
  // Absent: it succeeded.
  template <typename T>
  static std::optional<Code> CodeOf(const Result<T>& result) {
    return result.ok() ? std::nullopt : std::optional(result.error().code());
  }
  size_t TokensOf(const std::string& full_name) {
    return (*users_)->NodeTokensOf(alice_.uid, full_name).size();
  }

  std::unique_ptr<records::RecordStore> store_;
  std::unique_ptr<TestUsers> users_;
  std::unique_ptr<Master> master_;
  std::shared_ptr<FakeHost> host_;
  std::unique_ptr<Clusters> clusters_;
  Caller alice_;
};

TEST_F(ScaleFromNodesTest, ANodeScalesItsOwnVclusterWithoutWaitingForTheNodes) {
  host_->SetState("web", host::v1::STARTING, "");  // They never come.
  const std::string token = TokenOf("shop");
  const auto grown = Ask("shop", token, {{"web", 3}});
  ASSERT_TRUE(grown.ok()) << grown.error().message();
  EXPECT_EQ(CountOf("shop", "web"), 3u);
  EXPECT_EQ(grown->vcluster(), "alice/shop");
  EXPECT_EQ(grown->node(), "web-0");
  ASSERT_EQ(grown->roles_size(), 2);
  EXPECT_EQ(grown->roles(0).before(), 1u);
  EXPECT_EQ(grown->roles(0).wanted(), 3u);
  EXPECT_TRUE(grown->roles(0).scales());
  EXPECT_EQ(grown->roles(0).max(), 4u);
  EXPECT_FALSE(grown->roles(1).scales());
  ASSERT_TRUE(Ask("shop", token, {{"web", -2, true}}).ok());
  EXPECT_EQ(CountOf("shop", "web"), 1u);
  ASSERT_TRUE(Ask("shop", token, {{"web", 2, true}}).ok());
  EXPECT_EQ(CountOf("shop", "web"), 3u);
}

TEST_F(ScaleFromNodesTest, StatusTellsWhatRuns) {
  const auto told = Ask("shop", TokenOf("shop"), {});
  ASSERT_TRUE(told.ok()) << told.error().message();
  EXPECT_EQ(told->roles(0).role(), "web");
  EXPECT_EQ(told->roles(0).wanted(), 1u);
  EXPECT_EQ(told->roles(0).running(), 1u);
  EXPECT_EQ(told->roles(1).running(), 1u);
}

TEST_F(ScaleFromNodesTest, AllThatIsAskedForOrNothing) {
  const std::string token = TokenOf("shop");
  EXPECT_EQ(CodeOf(Ask("shop", token, {{"web", 2}, {"db", 2}})), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(Ask("shop", token, {{"web", 2}, {"cache", 2}})), Code::kNotFound);
  EXPECT_EQ(CountOf("shop", "web"), 1u);
}

TEST_F(ScaleFromNodesTest, NoNodeAsksBeyondTheLimitsOfTheRole) {
  const std::string token = TokenOf("shop");
  const auto many = Ask("shop", token, {{"web", 5}});
  EXPECT_EQ(CodeOf(many), Code::kResourceExhausted);
  EXPECT_THAT(Said(many), HasSubstr("role web may have 1 to 4 nodes when nodes ask, not 5"));
  EXPECT_EQ(CodeOf(Ask("shop", token, {{"web", 4, true}})), Code::kResourceExhausted);
  EXPECT_EQ(CodeOf(Ask("shop", token, {{"web", 0}})), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(Ask("shop", token, {{"web", -9, true}})), Code::kFailedPrecondition);
  EXPECT_EQ(CountOf("shop", "web"), 1u);
  // The owner may.
  ASSERT_TRUE(clusters_->Scale(alice_, "shop", "web", 5, Ignore, CancelToken()).ok());
  // What autoscale allows holds too.
  Definition shop = Shop("shop");
  shop.roles[0].count = 2;
  shop.roles[0].autoscale = Autoscale{2, 3, 50};
  Apply(shop);
  EXPECT_THAT(Said(Ask("shop", token, {{"web", 4}})), HasSubstr("may have 2 to 3 nodes"));
  EXPECT_EQ(CodeOf(Ask("shop", token, {{"web", 1}})), Code::kFailedPrecondition);
}

TEST_F(ScaleFromNodesTest, NoNodeAsksBeyondTheQuotaOfTheOwner) {
  LimitSet limits;
  limits[Resource::kNodes] = 3;
  ASSERT_TRUE((*users_)
                  ->SetLimits(kRoot, {LimitHolder::Kind::kUser, alice_.uid}, limits, std::nullopt)
                  .ok());
  const std::string token = TokenOf("shop");
  EXPECT_TRUE(Ask("shop", token, {{"web", 2}}).ok());
  const auto refused = Ask("shop", token, {{"web", 3}});
  EXPECT_EQ(CodeOf(refused), Code::kResourceExhausted);
  EXPECT_THAT(Said(refused), HasSubstr("which is the limit of alice"));
  EXPECT_EQ(CountOf("shop", "web"), 2u);
}

TEST_F(ScaleFromNodesTest, OnlyTheHostThatHasTheNodeSpeaksForIt) {
  const std::string token = TokenOf("shop");
  EXPECT_EQ(CodeOf(MakeToken("shop", 0, "h2")), Code::kNotFound);
  EXPECT_EQ(CodeOf(MakeToken("shop", 77)), Code::kNotFound);
  EXPECT_EQ(CodeOf(Ask("shop", token, {{"web", 2}}, 0, "h2")), Code::kNotFound);
  EXPECT_EQ(CountOf("shop", "web"), 1u);
}

TEST_F(ScaleFromNodesTest, ATokenIsOfOneNodeOfOneVcluster) {
  Make(Shop("other"));
  const std::string of_other = TokenOf("other");
  EXPECT_EQ(CodeOf(Ask("shop", of_other, {{"web", 2}})), Code::kPermissionDenied);
  // Of the other node of the same Vcluster.
  EXPECT_EQ(CodeOf(Ask("shop", TokenOf("shop", 1), {{"web", 2}})), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(Ask("shop", "strata_node_nonsense", {{"web", 2}})), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(Ask("shop", "", {})), Code::kPermissionDenied);
  // Of the owner himself: it is not for nodes.
  NewToken own;
  own.kind = users::v1::API;
  own.life_ms = kHourMs;
  const std::string api = (*users_)->CreateToken(alice_, own)->text;
  EXPECT_EQ(CodeOf(Ask("shop", api, {{"web", 2}})), Code::kPermissionDenied);
  EXPECT_EQ(CountOf("shop", "web"), 1u);
}

TEST_F(ScaleFromNodesTest, ARevokedTokenAndALockedOwnerAreRefused) {
  const std::string token = TokenOf("shop");
  AccountEdit lock;
  lock.status = users::v1::LOCKED;
  ASSERT_TRUE((*users_)->EditAccount(kRoot, alice_.uid, lock).ok());
  EXPECT_EQ(CodeOf(Ask("shop", token, {{"web", 2}})), Code::kPermissionDenied);
  lock.status = users::v1::ACTIVE;
  ASSERT_TRUE((*users_)->EditAccount(kRoot, alice_.uid, lock).ok());
  const std::string later = TokenOf("shop");
  const auto tokens = (*users_)->NodeTokensOf(alice_.uid, "alice/shop");
  ASSERT_FALSE(tokens.empty());
  EXPECT_THAT(tokens[0]->record.name(), HasSubstr("node shop/web-0 ("));
  ASSERT_TRUE((*users_)->RevokeToken(alice_, tokens.back()->id).ok());
  EXPECT_EQ(CodeOf(Ask("shop", later, {{"web", 2}})), Code::kPermissionDenied);
  EXPECT_EQ(CountOf("shop", "web"), 1u);
}

TEST_F(ScaleFromNodesTest, TurnedOffNothingIsGivenAndNothingGivenIsGood) {
  const std::string token = TokenOf("shop");
  const uint32_t turn = host_->Order(NumberOf("shop")).nodes(0).scales();
  EXPECT_NE(turn, 0u);
  Definition off = Shop("shop");
  off.roles[0].scale_from_nodes.reset();
  Apply(off);
  EXPECT_EQ(TokensOf("alice/shop"), 0u);
  EXPECT_EQ(host_->Order(NumberOf("shop")).nodes(0).scales(), 0u);
  EXPECT_EQ(CodeOf(Ask("shop", token, {{"web", 2}})), Code::kPermissionDenied);
  const auto none = MakeToken("shop");
  EXPECT_EQ(CodeOf(none), Code::kPermissionDenied);
  EXPECT_THAT(none.error().message(), HasSubstr("scale-from-nodes"));
  // On again: hosts are told so that they fetch others.
  Apply(Shop("shop"));
  EXPECT_GT(host_->Order(NumberOf("shop")).nodes(0).scales(), turn);
  EXPECT_EQ(CodeOf(Ask("shop", token, {{"web", 2}})), Code::kPermissionDenied);
  EXPECT_TRUE(Ask("shop", TokenOf("shop"), {{"web", 2}}).ok());
}

// A crash may come between the change and the end of the tokens.
TEST_F(ScaleFromNodesTest, ATokenThatOutlivedTheKeyDoesNothing) {
  const auto made = TokenOf("shop");
  const auto name = (*users_)->NodeTokensOf(alice_.uid, "alice/shop")[0]->record.name();
  Definition off = Shop("shop");
  off.roles[0].scale_from_nodes.reset();
  Apply(off);
  const auto left = (*users_)->MakeNodeToken(
      alice_.uid, "alice/shop", OperationSet::Of({Operation::kVclusterScale}), kHourMs, name);
  ASSERT_TRUE(left.ok());
  EXPECT_EQ(CodeOf(Ask("shop", left->text, {{"web", 2}})), Code::kPermissionDenied);
  const Caller caller = (*users_)->CallerOf(left->text, "rest", "").value();
  EXPECT_EQ(CodeOf(clusters_->Scale(caller, "shop", "web", 2, Ignore, CancelToken())),
            Code::kPermissionDenied);
  EXPECT_EQ(CountOf("shop", "web"), 1u);
}

TEST_F(ScaleFromNodesTest, ByRestTheSameHolds) {
  const Caller caller = (*users_)->CallerOf(TokenOf("shop"), "rest", "").value();
  const auto scale = [&](const std::string& role, uint32_t count) {
    return CodeOf(clusters_->Scale(caller, "alice/shop", role, count, Ignore, CancelToken()));
  };
  EXPECT_EQ(scale("web", 2), std::nullopt);
  EXPECT_EQ(scale("web", 5), Code::kResourceExhausted);
  EXPECT_EQ(scale("db", 2), Code::kPermissionDenied);
}

TEST_F(ScaleFromNodesTest, ATokenEndsWithItsNode) {
  ASSERT_TRUE(clusters_->Scale(alice_, "shop", "web", 2, Ignore, CancelToken()).ok());
  const VclusterPtr shop = Of("shop");
  const auto added = std::find_if(
      shop->record.nodes().begin(), shop->record.nodes().end(),
      [](const master::v1::Node& node) { return node.role() == "web" && node.ordinal() == 1; });
  ASSERT_NE(added, shop->record.nodes().end());
  const uint32_t index = added->index();
  const std::string token = TokenOf("shop", index);
  const Caller caller = (*users_)->CallerOf(token, "rest", "").value();
  ASSERT_TRUE(clusters_->Scale(alice_, "shop", "web", 1, Ignore, CancelToken()).ok());
  EXPECT_EQ(CodeOf(clusters_->Scale(caller, "shop", "web", 3, Ignore, CancelToken())),
            Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(Ask("shop", token, {{"web", 3}}, index)), Code::kNotFound);
  // And is forgotten when the next one is made.
  TokenOf("shop");
  for (const TokenPtr& left : (*users_)->NodeTokensOf(alice_.uid, "alice/shop")) {
    EXPECT_NE(left->id, caller.token->id);
  }
}

TEST_F(ScaleFromNodesTest, OfANodesTokensTheLastTwoAreGood) {
  const std::string first = TokenOf("shop");
  const std::string second = TokenOf("shop");
  EXPECT_TRUE(Ask("shop", first, {}).ok());
  const std::string third = TokenOf("shop");
  EXPECT_EQ(CodeOf(Ask("shop", first, {})), Code::kPermissionDenied);
  EXPECT_TRUE(Ask("shop", second, {}).ok());
  EXPECT_TRUE(Ask("shop", third, {}).ok());
  EXPECT_EQ(TokensOf("alice/shop"), 2u);
}

TEST_F(ScaleFromNodesTest, TokensEndWithTheVcluster) {
  TokenOf("shop");
  ASSERT_TRUE(clusters_->Delete(alice_, "shop").ok());
  EXPECT_EQ(TokensOf("alice/shop"), 0u);
}

TEST_F(ScaleFromNodesTest, WhatNodesAskForIsRecordedWithTheirTokens) {
  ASSERT_TRUE(Ask("shop", TokenOf("shop"), {{"web", 2}}).ok());
  EXPECT_FALSE(Ask("shop", TokenOf("shop"), {{"web", 9}}).ok());
  const auto tokens = (*users_)->NodeTokensOf(alice_.uid, "alice/shop");
  const auto events = (*users_)->Events(kRoot, {});
  ASSERT_TRUE(events.ok());
  const auto has = [&](const std::string& detail, const std::string& token, bool done) {
    return std::any_of(events->events.begin(), events->events.end(),
                       [&](const users::v1::AuditEvent& event) {
                         return event.operation() == "vcluster.scale" && event.user() == "alice" &&
                                event.object() == "alice/shop" &&
                                event.source() == "alice/shop/web-0" && event.detail() == detail &&
                                event.token() == token && (event.outcome() == "ok") == done;
                       });
  };
  ASSERT_EQ(tokens.size(), 2u);
  EXPECT_TRUE(has("web=2", tokens[0]->id, true));
  EXPECT_TRUE(has("web=9", tokens[1]->id, false));
}

TEST_F(ScaleFromNodesTest, ManyChangesAtOnceHaveToWait) {
  const std::string token = TokenOf("shop");
  std::optional<Code> code;
  int done = 0;
  for (int i = 0; i < 100 && !code.has_value(); ++i, ++done) {
    code = CodeOf(Ask("shop", token, {{"web", 1 + i % 3}}));
  }
  EXPECT_EQ(code, Code::kResourceExhausted);
  EXPECT_GE(done, 5);
  EXPECT_LT(done, 30);
  EXPECT_TRUE(Ask("shop", token, {}).ok());  // Looking is not changing.
}

}  // namespace
}  // namespace strata::vcluster
