// Who may do what with whose Vclusters: every operation of Clusters, tried by everybody.
#include <gtest/gtest.h>

#include <future>

#include "tests/unit/vclusterd/master/fake_host.h"
#include "tests/unit/vclusterd/test_users.h"
#include "vclusterd/master/clusters.h"
#include "vclusterd/master/single_host.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {
namespace {

void Ignore(const std::string&, uint32_t, uint32_t) {}

class RightsOfClustersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = records::MakeMemoryRecordStore(DesiredTables());
    users_ = std::make_unique<TestUsers>(*store_);
    auto opened = Master::Open(
        MakeMasterOptions("m", net::Ipv4Prefix::Parse("10.215.0.0/16").value(), **users_), *store_);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    master_ = std::move(*opened);
    master_->AddHost("h1", host_, {});
    clusters_ = std::make_unique<Clusters>(*master_, **users_);

    owner_ = users_->Add("owner");
    stranger_ = users_->Add("stranger");
    teacher_ = users_->Add("teacher", users::v1::TEACHER);
    other_teacher_ = users_->Add("other-teacher", users::v1::TEACHER);
    admin_ = users_->Add("admin", users::v1::ADMIN);
    const auto group = (*users_)->CreateGroup(teacher_, "os", "");
    ASSERT_TRUE(group.ok());
    GroupEdit enrol;
    enrol.enrol = {owner_.uid};
    ASSERT_TRUE((*users_)->EditGroup(kRoot, (*group)->number(), enrol).ok());
    ASSERT_TRUE(Create(owner_, "lab").ok());
  }

  Status Create(const Caller& caller, const std::string& name, const Limits& limits = {},
                uint32_t nodes = 1) {
    const auto made = clusters_->Create(caller, PlainDefinition(name, "tiny", nodes, limits), "",
                                        Ignore, CancelToken());
    return made.ok() ? Ok() : Status(made.error());
  }
  // Of the first node of this Vcluster, which may scale it from then on.
  Caller WithNodeToken(const std::string& vcluster) {
    Definition definition = clusters_->Export(owner_, vcluster, /*pin=*/false).value();
    definition.roles[0].scale_from_nodes.emplace();
    EXPECT_TRUE(clusters_->Apply(owner_, definition, false, false, Ignore, CancelToken()).ok());
    host::v1::NodeTokenRequest request;
    request.set_number(master_->Find(owner_.uid, vcluster).vcluster->record.number());
    const auto made = clusters_->MakeNodeToken("h1", request);
    EXPECT_TRUE(made.ok()) << made.error().message();
    return (*users_)->CallerOf(made->token(), "rest", "").value();
  }
  Caller WithToken(const OperationSet& operations, const std::string& vcluster) {
    const auto made =
        (*users_)->MakeNodeToken(owner_.uid, vcluster, operations, kHourMs, "of a test");
    EXPECT_TRUE(made.ok());
    return (*users_)->CallerOf(made->text, "rest", "").value();
  }
  Status SetLimits(const Caller& of, Resource resource, uint64_t amount) {
    LimitSet limits;
    limits[resource] = amount;
    return (*users_)->SetLimits(kRoot, {LimitHolder::Kind::kUser, of.uid}, limits, std::nullopt);
  }

  std::unique_ptr<records::RecordStore> store_;
  std::unique_ptr<TestUsers> users_;
  const std::shared_ptr<FakeHost> host_ = std::make_shared<FakeHost>();
  std::unique_ptr<Master> master_;
  std::unique_ptr<Clusters> clusters_;
  Caller owner_, stranger_, teacher_, other_teacher_, admin_;
};

// Absent: it succeeded.
using Outcome = std::optional<Code>;
constexpr Outcome kDone;

template <typename T>
Outcome CodeOf(const Result<T>& result) {
  return result.ok() ? kDone : result.error().code();
}
Outcome CodeOf(const Status& status) { return status.ok() ? kDone : status.error().code(); }

TEST_F(RightsOfClustersTest, EveryOperationByEverybody) {
  const std::string name = "owner/lab";
  struct Tried {
    const char* what;
    std::function<Outcome(const Caller&)> run;
    // Of teacher_; the owner and admins may everything.
    bool taught;
  };
  const std::vector<Tried> tried = {
      {"list", [&](const Caller& c) { return CodeOf(clusters_->List(c, name)); }, true},
      {"history", [&](const Caller& c) { return CodeOf(clusters_->History(c, name + "/0")); },
       true},
      {"why", [&](const Caller& c) { return CodeOf(clusters_->Why(c, name)); }, true},
      {"start", [&](const Caller& c) { return CodeOf(clusters_->Start(c, name)); }, true},
      {"stop",
       [&](const Caller& c) {
         return CodeOf(clusters_->Stop(c, name, std::chrono::milliseconds(1)));
       },
       true},
      {"export", [&](const Caller& c) { return CodeOf(clusters_->Export(c, name, false)); }, true},
      {"exec",
       [&](const Caller& c) {
         return CodeOf(clusters_->FindNode(c, Operation::kVclusterExec, name + "/0"));
       },
       true},
      {"save",
       [&](const Caller& c) {
         return CodeOf(clusters_->FindNode(c, Operation::kVclusterSave, name + "/0"));
       },
       true},
      {"scale",
       [&](const Caller& c) {
         return CodeOf(clusters_->Scale(c, name, "node", 1, Ignore, CancelToken()));
       },
       false},
      {"resize", [&](const Caller& c) { return CodeOf(clusters_->Resize(c, name, 1 << 30)); },
       false},
      {"extend", [&](const Caller& c) { return CodeOf(clusters_->Extend(c, name, 60)); }, false},
      {"rotate keys", [&](const Caller& c) { return CodeOf(clusters_->RotateKeys(c, name)); },
       false},
      {"delete",
       [&](const Caller& c) {
         const Outcome code = CodeOf(clusters_->Delete(c, name));
         if (code == kDone) {
           EXPECT_TRUE(Create(owner_, "lab").ok());
         }
         return code;
       },
       false},
      {"clone",
       [&](const Caller& c) {
         CloneParameters parameters;
         parameters.source = name;
         parameters.prefix = "of-" + std::to_string(c.uid) + "-";
         const Outcome code = CodeOf(clusters_->Clone(c, parameters, Ignore, CancelToken()));
         if (code == kDone) {
           EXPECT_TRUE(clusters_->Delete(c, parameters.prefix + "1").ok());
         }
         return code;
       },
       true},
  };
  for (const Tried& one : tried) {
    // Who does not see it hears that there is none.
    EXPECT_EQ(one.run(stranger_), Code::kNotFound) << one.what;
    EXPECT_EQ(one.run(other_teacher_), Code::kNotFound) << one.what;
    EXPECT_EQ(one.run(teacher_), one.taught ? kDone : Code::kPermissionDenied) << one.what;
    for (const Caller& may : {owner_, admin_, kRoot}) {
      EXPECT_EQ(one.run(may), kDone) << one.what << " by " << may.uid;
    }
  }
  for (const Caller& caller : {owner_, stranger_, teacher_}) {
    EXPECT_EQ(CodeOf(clusters_->Hosts(caller)), Code::kPermissionDenied);
    // Also of one that there is not: who may not list hosts learns nothing of their names.
    EXPECT_EQ(CodeOf(clusters_->HostHistory(caller, "h1")), Code::kPermissionDenied);
    EXPECT_EQ(CodeOf(clusters_->HostHistory(caller, "nowhere")), Code::kPermissionDenied);
    EXPECT_EQ(CodeOf(clusters_->Drain(caller, "h1", true)), Code::kPermissionDenied);
  }
  EXPECT_EQ(CodeOf(clusters_->Hosts(admin_)), kDone);
  EXPECT_EQ(CodeOf(clusters_->HostHistory(admin_, "h1")), kDone);
}

TEST_F(RightsOfClustersTest, TheHistoryOfAHostIsItsOwnAsLongAsItIsThere) {
  host::v1::UsageHistory history;
  history.add_points()->set_unix_s(60);
  host_->SetHistories({}, history);
  EXPECT_EQ(clusters_->HostHistory(admin_, "h1")->points_size(), 1);
  EXPECT_EQ(clusters_->History(owner_, "lab/0")->points_size(), 0);
  EXPECT_EQ(CodeOf(clusters_->HostHistory(admin_, "nowhere")), Code::kNotFound);
  master_->RemoveHost("h1");
  EXPECT_EQ(CodeOf(clusters_->HostHistory(admin_, "h1")), Code::kUnavailable);
  EXPECT_EQ(CodeOf(clusters_->History(owner_, "lab/0")), Code::kUnavailable);
}

TEST_F(RightsOfClustersTest, ALockedAccountSeesNothingNotEvenItsOwn) {
  AccountEdit lock;
  lock.status = users::v1::LOCKED;
  ASSERT_TRUE((*users_)->EditAccount(kRoot, owner_.uid, lock).ok());
  EXPECT_EQ(CodeOf(clusters_->List(owner_, "lab")), Code::kNotFound);
  EXPECT_EQ(CodeOf(Create(owner_, "more")), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(clusters_->List(kRoot, "owner/lab")), kDone);
}

TEST_F(RightsOfClustersTest, ATokenOfANodeScalesItsOwnVclusterAndNothingElse) {
  ASSERT_TRUE(Create(owner_, "other").ok());
  const Caller node = WithNodeToken("lab");
  EXPECT_EQ(CodeOf(clusters_->Scale(node, "lab", "node", 2, Ignore, CancelToken())), kDone);
  EXPECT_EQ(CodeOf(clusters_->Scale(node, "other", "node", 2, Ignore, CancelToken())),
            Code::kNotFound);
  EXPECT_EQ(CodeOf(clusters_->Delete(node, "lab")), Code::kNotFound);
  EXPECT_EQ(CodeOf(clusters_->Stop(node, "lab", std::chrono::milliseconds(1))), Code::kNotFound);
  EXPECT_TRUE(clusters_->List(node, "")->empty());
  // It goes with the Vcluster, so one of the same name is not its own.
  const std::string id = node.token->id;
  ASSERT_TRUE(clusters_->Delete(owner_, "lab").ok());
  EXPECT_EQ((*users_)->tokens().Find(id), nullptr);
}

TEST_F(RightsOfClustersTest, ListsHoldWhatOneMaySee) {
  ASSERT_TRUE(Create(stranger_, "lab").ok());
  EXPECT_EQ(clusters_->List(owner_, "")->size(), 1u);
  EXPECT_EQ(clusters_->List(teacher_, "")->size(), 1u);
  EXPECT_EQ(clusters_->List(other_teacher_, "")->size(), 0u);
  EXPECT_EQ(clusters_->List(admin_, "")->size(), 2u);
  // The owner may be left out where the name says enough.
  EXPECT_EQ(CodeOf(clusters_->List(teacher_, "lab")), kDone);
  EXPECT_EQ(CodeOf(clusters_->List(admin_, "lab")), Code::kInvalidArgument);
}

TEST_F(RightsOfClustersTest, PagesHoldWhatTheCallerMaySeeAndNothingElse) {
  for (const Caller& who : {owner_, admin_, other_teacher_}) {
    for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(Create(who, name, {}, 1).ok());
  }
  const auto read = [&](const Caller& caller, size_t limit, const std::string& owner = "") {
    std::vector<std::string> names;
    Clusters::PageQuery query;
    query.limit = limit;
    query.owner = owner;
    do {
      const auto page = clusters_->ListPage(caller, query);
      EXPECT_TRUE(page.ok());
      EXPECT_LE(page->views.size(), limit);
      EXPECT_FALSE(page->views.empty() && !names.empty()) << "the last page has something";
      for (const ClusterView& view : page->views) names.push_back(view.owner + "/" + view.name);
      query.after = page->next;
    } while (!query.after.empty() && names.size() < 100);
    return names;
  };
  const auto all = [&](const Caller& caller) {
    std::vector<std::string> names;
    const auto views = clusters_->Glance(caller, "");
    for (const ClusterView& view : *views) names.push_back(view.owner + "/" + view.name);
    return names;
  };
  EXPECT_EQ(all(teacher_).size(), 4u) << "of his pupil";
  EXPECT_EQ(all(other_teacher_).size(), 3u) << "his own";
  const Caller scoped = WithToken(OperationSet::Of({Operation::kVclusterList}), "owner/b");
  EXPECT_EQ(all(scoped), (std::vector<std::string>{"owner/b"}));
  for (const Caller& caller : {owner_, teacher_, other_teacher_, admin_, scoped}) {
    for (const size_t limit : {1u, 2u, 3u, 100u}) EXPECT_EQ(read(caller, limit), all(caller));
  }
  EXPECT_EQ(read(admin_, 2, "owner").size(), 4u);
  EXPECT_EQ(read(teacher_, 2, "owner").size(), 4u);
  EXPECT_TRUE(read(other_teacher_, 2, "owner").empty());
  EXPECT_TRUE(read(admin_, 2, "nobody-at-all").empty());
}

TEST_F(RightsOfClustersTest, APageGoesOnBehindAVclusterThatIsGone) {
  for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(Create(owner_, name, {}, 1).ok());
  Clusters::PageQuery query;
  query.limit = 2;
  auto page = clusters_->ListPage(owner_, query);
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->next, "owner/b");
  ASSERT_TRUE(clusters_->Delete(owner_, "b").ok());
  ASSERT_TRUE(Create(owner_, "aa", {}, 1).ok());
  query.after = page->next;
  page = clusters_->ListPage(owner_, query);
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->views.size(), 2u);
  EXPECT_EQ(page->views[0].name, "c");
  EXPECT_EQ(page->views[1].name, "lab");
  EXPECT_EQ(page->next, "");
}

TEST_F(RightsOfClustersTest, ChangesAndRefusalsAreRecorded) {
  EXPECT_FALSE(clusters_->Scale(teacher_, "owner/lab", "node", 1, Ignore, CancelToken()).ok());
  ASSERT_TRUE(clusters_->Scale(owner_, "lab", "node", 2, Ignore, CancelToken()).ok());
  const auto events = (*users_)->Events(kRoot, {});
  ASSERT_TRUE(events.ok());
  const auto has = [&](const std::string& user, bool allowed) {
    return std::any_of(events->events.begin(), events->events.end(),
                       [&](const users::v1::AuditEvent& event) {
                         return event.operation() == "vcluster.scale" && event.user() == user &&
                                event.object() == "owner/lab" && (event.error().empty() == allowed);
                       });
  };
  EXPECT_TRUE(has("teacher", false));
  EXPECT_TRUE(has("owner", true));
}

TEST_F(RightsOfClustersTest, TheLeastLimitOfAUsersNodesOnAHostHolds) {
  const auto limits = [](uint64_t bits_per_s) {
    LimitSet set;
    set[Resource::kHostBandwidth] = bits_per_s;
    return set;
  };
  const auto set = [&](LimitHolder holder, uint64_t bits_per_s) {
    return CodeOf((*users_)->SetLimits(kRoot, holder, limits(bits_per_s), {}));
  };
  EXPECT_EQ(NetworkLimitOf(**users_, owner_.uid), 0u);
  EXPECT_EQ(set({LimitHolder::Kind::kDefault, 0}, 5'000'000), kDone);
  EXPECT_EQ(NetworkLimitOf(**users_, owner_.uid), 5'000'000u);
  EXPECT_EQ(NetworkLimitOf(**users_, 0), 0u) << "root has none";
  EXPECT_EQ(set({LimitHolder::Kind::kUser, owner_.uid}, 8'000'000), kDone);
  EXPECT_EQ(NetworkLimitOf(**users_, owner_.uid), 8'000'000u);
  // It refuses nothing.
  EXPECT_TRUE(Create(owner_, "more", {}, 2).ok());
  EXPECT_EQ(set({LimitHolder::Kind::kUser, owner_.uid}, 7'999), Code::kInvalidArgument);
  EXPECT_EQ(set({LimitHolder::Kind::kUser, owner_.uid}, 100'000'000'001), Code::kInvalidArgument);
  EXPECT_EQ(set({LimitHolder::Kind::kGroupAll, 1}, 8'000'000), Code::kInvalidArgument);
}

TEST_F(RightsOfClustersTest, NobodyGetsMoreThanHisQuotaByAnyWay) {
  ASSERT_TRUE(SetLimits(owner_, Resource::kNodes, 3).ok());
  EXPECT_EQ(CodeOf(Create(owner_, "more", {}, 3)), Code::kResourceExhausted);
  ASSERT_TRUE(Create(owner_, "more", {}, 2).ok());
  EXPECT_EQ(CodeOf(clusters_->Scale(owner_, "lab", "node", 2, Ignore, CancelToken())),
            Code::kResourceExhausted);
  CloneParameters clone;
  clone.source = "lab";
  EXPECT_EQ(CodeOf(clusters_->Clone(owner_, clone, Ignore, CancelToken())),
            Code::kResourceExhausted);
  const auto applied = clusters_->Apply(owner_, PlainDefinition("more", "tiny", 3, {}), false,
                                        false, Ignore, CancelToken());
  EXPECT_EQ(CodeOf(applied), Code::kResourceExhausted);
  // Less, and what stays the same, may always be.
  EXPECT_TRUE(clusters_->Scale(owner_, "more", "node", 1, Ignore, CancelToken()).ok());
  ASSERT_TRUE(SetLimits(owner_, Resource::kNodes, 1).ok());
  EXPECT_TRUE(clusters_->Start(owner_, "more").ok());
  EXPECT_EQ(clusters_->List(owner_, "")->size(), 2u);
}

TEST_F(RightsOfClustersTest, ANodeThatLeavesCountsUntilItIsGone) {
  Limits limits;
  limits.memory_bytes = 1u << 30;
  Definition two = PlainDefinition("more", "tiny", 2, limits);
  two.roles.push_back(two.roles[0]);
  two.roles[0].name = "a";
  two.roles[1].name = "b";
  Definition one = two;
  one.roles[0].count = 1;
  one.roles.pop_back();  // One of its nodes leaves, and all of a role that is gone.
  ASSERT_TRUE(clusters_->Create(stranger_, two, "", Ignore, CancelToken()).ok());
  ASSERT_TRUE(SetLimits(stranger_, Resource::kMemory, uint64_t{4} << 30).ok());
  host_->hold_removals = true;  // Their end hooks run.
  CancelToken cancel;
  auto shrunk = std::async(std::launch::async, [&] {
    return clusters_->Apply(stranger_, one, false, false, Ignore, cancel);
  });
  while (host_->Order(2).nodes_size() != 1) std::this_thread::yield();
  EXPECT_EQ(clusters_->Used()[stranger_.uid][Resource::kNodes], 4u);
  EXPECT_EQ(clusters_->Used()[stranger_.uid][Resource::kMemory], uint64_t{4} << 30);
  EXPECT_EQ(CodeOf(Create(stranger_, "again", limits)), Code::kResourceExhausted);
  host_->hold_removals = false;
  master_->Report("h1", host_->SaysOf(2));
  EXPECT_EQ(CodeOf(shrunk.get()), kDone);
  EXPECT_EQ(clusters_->Used()[stranger_.uid][Resource::kMemory], uint64_t{1} << 30);
  EXPECT_EQ(CodeOf(Create(stranger_, "again", limits)), kDone);
}

TEST_F(RightsOfClustersTest, TwoWhoResizeAtOnceAreHeldAgainstTheQuotaTogether) {
  Limits limits;
  limits.disk_bytes = 1 << 30;
  ASSERT_TRUE(Create(stranger_, "a", limits).ok());
  ASSERT_TRUE(Create(stranger_, "b", limits).ok());
  ASSERT_TRUE(SetLimits(stranger_, Resource::kDisk, uint64_t{5} << 30).ok());
  // While the host resizes the one, somebody asks for the other, and for the same again.
  std::optional<Outcome> other;
  std::optional<Outcome> same;
  host_->on_resize = [&](uint32_t, uint64_t) {
    if (other.has_value()) return Ok();
    other = kDone;
    other = CodeOf(clusters_->Resize(stranger_, "b", uint64_t{3} << 30));
    same = CodeOf(clusters_->Resize(stranger_, "a", uint64_t{2} << 30));
    return Ok();
  };
  EXPECT_EQ(CodeOf(clusters_->Resize(stranger_, "a", uint64_t{3} << 30)), kDone);
  EXPECT_EQ(*other, Code::kResourceExhausted);
  EXPECT_EQ(*same, Code::kUnavailable);
  EXPECT_EQ(clusters_->Used()[stranger_.uid][Resource::kDisk], uint64_t{4} << 30);
  EXPECT_EQ(CodeOf(clusters_->Resize(stranger_, "a", uint64_t{2} << 30)), kDone);
  EXPECT_EQ(CodeOf(clusters_->Resize(stranger_, "b", uint64_t{3} << 30)), kDone);
}

TEST_F(RightsOfClustersTest, ADiskThatCannotGrowCountsAsBeforeAndOneThatMayHaveGrownAsAsked) {
  Limits limits;
  limits.disk_bytes = 1 << 30;
  ASSERT_TRUE(Create(stranger_, "a", limits, 3).ok());
  const auto resize = [&](Code second) {
    host_->on_resize = [&, second](uint32_t index, uint64_t) -> Status {
      if (index != 1) return Ok();
      return Error(second, "no");
    };
    EXPECT_EQ(CodeOf(clusters_->Resize(stranger_, "a", uint64_t{2} << 30)), second);
    return clusters_->Used()[stranger_.uid][Resource::kDisk] >> 30;
  };
  EXPECT_EQ(resize(Code::kFailedPrecondition), 2u + 1 + 1);
  EXPECT_EQ(resize(Code::kUnavailable), 2u + 2 + 1);
}

TEST_F(RightsOfClustersTest, WhereMemoryIsLimitedEveryRoleSaysItsOwn) {
  ASSERT_TRUE(SetLimits(stranger_, Resource::kMemory, 1u << 30).ok());
  const Status unsaid = Create(stranger_, "a");
  EXPECT_EQ(CodeOf(unsaid), Code::kInvalidArgument);
  EXPECT_NE(unsaid.error().message().find("roles.node.limits.memory"), std::string::npos)
      << unsaid.error().message();
  Limits limits;
  limits.memory_bytes = 768u << 20;
  EXPECT_TRUE(Create(stranger_, "a", limits).ok());
  EXPECT_EQ(CodeOf(Create(stranger_, "b", limits)), Code::kResourceExhausted);
  // What was made before the limit stays, and takes no more.
  limits.memory_bytes = 0;
  EXPECT_EQ(CodeOf(clusters_->Apply(stranger_, PlainDefinition("a", "tiny", 1, limits), false,
                                    false, Ignore, CancelToken())),
            Code::kInvalidArgument);
}

TEST_F(RightsOfClustersTest, WhatHadNoLimitDoesNotGrowWithoutOne) {
  ASSERT_TRUE(SetLimits(owner_, Resource::kMemory, 1u << 30).ok());
  EXPECT_TRUE(clusters_->Start(owner_, "lab").ok());
  EXPECT_EQ(CodeOf(clusters_->Scale(owner_, "lab", "node", 2, Ignore, CancelToken())),
            Code::kInvalidArgument);
}

// Of what a definition says itself, two nodes' worth is the limit of one, and three nodes' of a
// group's members together.
TEST_F(RightsOfClustersTest, CpusPortsAndBandwidthAreTakenUpToTheLimitAndNotBeyond) {
  GroupEdit enrol;
  enrol.enrol = {stranger_.uid};
  const auto group = (*users_)->groups().FindByName("os");
  ASSERT_TRUE((*users_)->EditGroup(kRoot, group->number(), enrol).ok());
  ASSERT_TRUE(clusters_->Delete(owner_, "lab").ok());  // It has no limits.
  struct Counted {
    Resource resource;
    uint64_t of_one;
    std::string unsaid;  // What a role has to say where there is a limit; empty: nothing.
    std::function<void(Role*)> say;
  };
  const std::vector<Counted> all = {
      // The product of 2.007 and 1000 is more than 2007, as computers have it.
      {Resource::kCpus, 2007, "roles.node.limits.cpus",
       [](Role* role) { role->limits.cpus = 2.007; }},
      {Resource::kPorts, 2, "",
       [](Role* role) {
         role->ports = {{.node_port = 80}, {.node_port = 53, .protocol = Protocol::kUdp}};
       }},
      {Resource::kBandwidth, 100'000'000, "roles.node.limits.network",
       [](Role* role) { role->limits.network_bits_per_s = 100'000'000; }},
  };
  using Kind = LimitHolder::Kind;
  for (const Counted& counted : all) {
    SCOPED_TRACE(NameOf(counted.resource));
    const auto create = [&](const Caller& caller, const std::string& name, uint32_t nodes) {
      Definition definition = PlainDefinition(name, "tiny", nodes, {});
      counted.say(&definition.roles[0]);
      const auto made = clusters_->Create(caller, definition, "", Ignore, CancelToken());
      return made.ok() ? std::string() : made.error().message();
    };
    const auto limit = [&](Kind kind, uint32_t number, std::optional<uint64_t> amount) {
      LimitSet limits;
      limits[counted.resource] = amount;
      ASSERT_TRUE((*users_)->SetLimits(kRoot, {kind, number}, limits, std::nullopt).ok());
    };
    const auto scaled = [&](uint32_t nodes) {
      return CodeOf(clusters_->Scale(owner_, "a", "node", nodes, Ignore, CancelToken()));
    };
    const std::string what = std::string(NameOf(counted.resource)) + ": ";
    for (const auto& [kind, number] :
         {std::pair(Kind::kUser, owner_.uid), std::pair(Kind::kGroupEach, group->number())}) {
      limit(kind, number, 2 * counted.of_one);
      EXPECT_TRUE(create(owner_, "a", 3).starts_with(what)) << create(owner_, "a", 3);
      EXPECT_EQ(create(owner_, "a", 1), "");
      EXPECT_EQ(scaled(3), Code::kResourceExhausted);
      EXPECT_EQ(scaled(2), kDone);
      EXPECT_EQ(clusters_->Used()[owner_.uid][counted.resource], 2 * counted.of_one);
      EXPECT_TRUE(create(owner_, "b", 1).starts_with(what)) << create(owner_, "b", 1);
      const Status unsaid = Create(owner_, "c");
      if (counted.unsaid.empty()) {
        EXPECT_EQ(CodeOf(unsaid), kDone);
        EXPECT_TRUE(clusters_->Delete(owner_, "c").ok());
      } else {
        EXPECT_TRUE(!unsaid.ok() && unsaid.error().message().starts_with(counted.unsaid));
      }
      limit(kind, number, 2 * counted.of_one - 1);
      EXPECT_EQ(scaled(1), kDone);
      EXPECT_EQ(scaled(2), Code::kResourceExhausted) << "a thousandth, a port, a bit too much";
      ASSERT_TRUE(clusters_->Delete(owner_, "a").ok());
      limit(kind, number, std::nullopt);
    }
    limit(Kind::kGroupAll, group->number(), 3 * counted.of_one);
    EXPECT_EQ(create(owner_, "a", 2), "");
    EXPECT_TRUE(create(stranger_, "a", 2).starts_with(what)) << create(stranger_, "a", 2);
    EXPECT_EQ(create(stranger_, "a", 1), "");
    EXPECT_TRUE(create(stranger_, "b", 1).starts_with(what)) << create(stranger_, "b", 1);
    EXPECT_EQ(create(admin_, "a", 1), "") << "who is no member";
    for (const Caller& caller : {owner_, stranger_, admin_}) {
      ASSERT_TRUE(clusters_->Delete(caller, "a").ok());
    }
    limit(Kind::kGroupAll, group->number(), std::nullopt);
  }
}

TEST_F(RightsOfClustersTest, ALimitOfAGroupCountsWhatIsMadeTogether) {
  const auto group = (*users_)->groups().FindByName("os");
  GroupEdit enrol;
  enrol.enrol = {stranger_.uid};
  ASSERT_TRUE((*users_)->EditGroup(kRoot, group->number(), enrol).ok());
  LimitSet limits;
  limits[Resource::kNodes] = 2;  // Of which one is there.
  ASSERT_TRUE(
      (*users_)
          ->SetLimits(kRoot, {LimitHolder::Kind::kGroupAll, group->number()}, limits, std::nullopt)
          .ok());
  const auto record = [&](const Caller& owner) {
    return NewVcluster(PlainDefinition("batch", "tiny", 1, {}), owner.uid, 0).value();
  };
  EXPECT_EQ(CodeOf(master_->Add({record(owner_), record(stranger_)})), Code::kResourceExhausted);
  EXPECT_EQ(CodeOf(master_->Add({record(stranger_)})), kDone);
}

TEST_F(RightsOfClustersTest, ALimitOfAGroupCountsAllItsMembers) {
  const auto group = (*users_)->groups().FindByName("os");
  GroupEdit enrol;
  enrol.enrol = {stranger_.uid};
  ASSERT_TRUE((*users_)->EditGroup(kRoot, group->number(), enrol).ok());
  LimitSet limits;
  limits[Resource::kNodes] = 2;
  ASSERT_TRUE(
      (*users_)
          ->SetLimits(kRoot, {LimitHolder::Kind::kGroupAll, group->number()}, limits, std::nullopt)
          .ok());
  ASSERT_TRUE(Create(stranger_, "a").ok());
  EXPECT_EQ(CodeOf(Create(owner_, "b")), Code::kResourceExhausted);
  EXPECT_EQ(CodeOf(Create(stranger_, "b")), Code::kResourceExhausted);
  EXPECT_TRUE(Create(admin_, "b").ok());
}

}  // namespace
}  // namespace strata::vcluster
