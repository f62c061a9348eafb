// Templates and classes, with hosts in memory.
#include <limits>

#include "tests/unit/vclusterd/classes/classes_fixture.h"

namespace strata::vcluster {
namespace {

TEST_F(ClassesTest, ATemplateHasAnImageOfEachNodeByDigestAndWhatTheVclusterSays) {
  const auto saved = Save();
  ASSERT_TRUE(saved.ok()) << saved.error().message();
  EXPECT_EQ(saved->images_size(), 3);
  EXPECT_EQ(Images().size(), 3u);
  EXPECT_EQ(hosts_["h1"]->Images().size() + hosts_["h2"]->Images().size(), 3u);
  const auto definition = Templates::DefinitionOf(*saved);
  ASSERT_TRUE(definition.ok());
  const Role& role = definition->roles[0];
  EXPECT_EQ(role.count, 3u);
  ASSERT_EQ(role.images.size(), 3u);
  EXPECT_NE(role.images[0], role.images[1]);
  EXPECT_NE(role.images[0].find("/course-node-0@blake3:"), std::string::npos) << role.images[0];
  EXPECT_TRUE(role.hooks.on_create.has_value());
  EXPECT_EQ(role.ports.size(), 1u);

  const auto made =
      classes_->templates().Create(teacher_, "copy", "course:v1", 2, "", Ignore, CancelToken());
  ASSERT_TRUE(made.ok()) << made.error().message();
  ASSERT_EQ(made->size(), 2u);
  EXPECT_EQ((*made)[1].name, "copy-2");
  EXPECT_EQ((*made)[1].nodes[1].image, role.images[1]);
}

TEST_F(ClassesTest, OthersUseATemplateWhenItIsSharedAndByItsOwnersRight) {
  ASSERT_TRUE(Save().ok());
  const std::string text = std::string("teacher/course:v1");
  const auto create = [&](const Caller& caller, const std::string& name) {
    return classes_->templates().Create(caller, name, text, 1, "", Ignore, CancelToken());
  };
  const auto refused = create(other_, "mine");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kNotFound);
  EXPECT_TRUE(classes_->templates().List(other_).empty());

  ShareTemplateParameters share;
  share.add_uids = {other_.uid};
  hosts_["h1"]->SetSecrets(2);
  auto shared = classes_->templates().Share(teacher_, "course:v1", share);
  ASSERT_FALSE(shared.ok());
  EXPECT_NE(shared.error().message().find("2 secrets"), std::string::npos);
  hosts_["h1"]->SetSecrets(0);
  ASSERT_TRUE(classes_->templates().Share(teacher_, "course:v1", share).ok());
  EXPECT_EQ(classes_->templates().Share(other_, text, share).error().code(),
            Code::kPermissionDenied);
  ASSERT_TRUE(create(other_, "mine").ok());
  const VclusterView found = master_->Find(other_.uid, "mine");
  ASSERT_NE(found.vcluster, nullptr);
  const master::v1::Vcluster& record = found.vcluster->record;
  host::v1::Part order = hosts_[record.nodes(0).host()]->Order(record.number());
  EXPECT_EQ(order.nodes(0).image_uid(), teacher_.uid);

  // By that right alone: another private image of the teacher's stays out of reach.
  Definition other = found.vcluster->definition;
  other.roles[0].image = std::to_string(teacher_.uid) + "/secret";
  other.roles[0].images.clear();
  ASSERT_TRUE(
      clusters_->Apply(other_, other, false, /*recreate=*/true, Ignore, CancelToken()).ok());
  order = hosts_[record.nodes(0).host()]->Order(record.number());
  EXPECT_FALSE(order.nodes(0).has_image_uid());
}

TEST_F(ClassesTest, WhatIsWithdrawnWhileSecretsAreCountedStaysWithdrawn) {
  ASSERT_TRUE(Save().ok());
  ShareTemplateParameters share;
  share.keep_secrets = true;
  share.add_uids = {students_[0].uid};
  ASSERT_TRUE(classes_->templates().Share(teacher_, "course:v1", share).ok());
  bool counted = false;
  hosts_["h1"]->on_images = [&](host::v1::ImagesChange change) {
    if (change != host::v1::IMAGES_COUNT_SECRETS || std::exchange(counted, true)) return;
    ShareTemplateParameters withdraw;
    withdraw.remove_uids = {students_[0].uid};
    EXPECT_TRUE(classes_->templates().Share(teacher_, "course:v1", withdraw).ok());
  };
  ShareTemplateParameters another;
  another.add_uids = {other_.uid};
  const auto shared = classes_->templates().Share(teacher_, "course:v1", another);
  ASSERT_TRUE(shared.ok()) << shared.error().message();
  ASSERT_TRUE(counted);
  EXPECT_EQ(std::vector<uint32_t>(shared->shared_uids().begin(), shared->shared_uids().end()),
            std::vector<uint32_t>{other_.uid});
  EXPECT_TRUE(classes_->templates().List(students_[0]).empty());
}

TEST_F(ClassesTest, ATemplateThatIsDeletedWhileSecretsAreCountedDoesNotComeBack) {
  ASSERT_TRUE(Save().ok());
  hosts_["h1"]->on_images = [&](host::v1::ImagesChange change) {
    if (change != host::v1::IMAGES_COUNT_SECRETS) return;
    EXPECT_TRUE(classes_->templates().Delete(teacher_, "course:v1").ok());
  };
  ShareTemplateParameters share;
  share.is_public = true;
  EXPECT_EQ(classes_->templates().Share(teacher_, "course:v1", share).error().code(),
            Code::kNotFound);
  EXPECT_TRUE(classes_->templates().List(teacher_).empty());
  const std::string key = TemplateKey(teacher_.uid, "course", "v1");
  EXPECT_FALSE(store_->Get(kTemplatesTable, key)->has_value());
}

TEST_F(ClassesTest, ASaveThatFailsLeavesNothing) {
  for (const char* step : {"copy", "freeze", "take", "finish"}) {
    hosts_["h1"]->FailSaves(step);
    hosts_["h2"]->FailSaves(step);
    const auto saved = Save();
    ASSERT_FALSE(saved.ok()) << step;
    EXPECT_NE(saved.error().message().find("the disk is full"), std::string::npos);
    EXPECT_TRUE(Images().empty()) << step;
    EXPECT_TRUE(classes_->templates().List(teacher_).empty()) << step;
  }
  hosts_["h1"]->FailSaves("");
  hosts_["h2"]->FailSaves("");
  EXPECT_TRUE(Save().ok());
  EXPECT_EQ(Save().error().code(), Code::kAlreadyExists);
}

TEST_F(ClassesTest, WhatACrashLeftOfASaveIsRemoved) {
  ASSERT_TRUE(Save().ok());
  const size_t good = Images().size();
  Templates::Template half;
  half.set_version(1);
  half.set_owner_uid(teacher_.uid);
  half.set_name("half");
  half.set_tag("v1");
  half.set_phase(master::v1::TEMPLATE_SAVING);
  for (const char* host : {"h1", "h2"}) {
    master::v1::TemplateImage* image = half.add_images();
    image->set_host(host);
    image->set_reference("64001/half-node-" + std::string(host) + ":v1-00000000");
  }
  // One of the two was published before the master ended.
  hosts_["h2"]->AddImage(half.images(1).reference());
  const std::string key = TemplateKey(teacher_.uid, "half", "v1");
  ASSERT_TRUE(store_->Put(kTemplatesTable, key, half.SerializeAsString()).ok());
  Open();
  EXPECT_TRUE(Await([&] { return !store_->Get(kTemplatesTable, key)->has_value(); }));
  EXPECT_EQ(Images().size(), good);
  EXPECT_EQ(classes_->templates().List(teacher_).size(), 1u);
}

TEST_F(ClassesTest, ImagesOfAHostThatComesAfterItsMasterAreRemovedThenToo) {
  Templates::Template leaving;
  leaving.set_version(1);
  leaving.set_owner_uid(teacher_.uid);
  leaving.set_name("old");
  leaving.set_tag("v1");
  leaving.set_phase(master::v1::TEMPLATE_DELETING);
  master::v1::TemplateImage* image = leaving.add_images();
  image->set_host("h3");
  image->set_reference("64001/old-node-0:v1-00000000");
  const std::string key = TemplateKey(teacher_.uid, "old", "v1");
  ASSERT_TRUE(store_->Put(kTemplatesTable, key, leaving.SerializeAsString()).ok());
  Open();
  classes_->templates().CleanUp();
  ASSERT_TRUE(store_->Get(kTemplatesTable, key)->has_value());
  hosts_["h3"] = std::make_shared<FakeHost>();
  hosts_["h3"]->AddImage(image->reference());
  master_->AddHost("h3", hosts_["h3"], {});
  classes_->templates().CleanUp();
  EXPECT_FALSE(store_->Get(kTemplatesTable, key)->has_value());
  EXPECT_TRUE(hosts_["h3"]->Images().empty());

  // One that does not come at all is not waited for.
  image->set_host("h4");
  ASSERT_TRUE(store_->Put(kTemplatesTable, key, leaving.SerializeAsString()).ok());
  Open();
  classes_->templates().CleanUp();
  ASSERT_TRUE(store_->Get(kTemplatesTable, key)->has_value());
  passed_min_ = 11;
  classes_->templates().CleanUp();
  EXPECT_FALSE(store_->Get(kTemplatesTable, key)->has_value());
}

TEST_F(ClassesTest, ATemplateInUseIsNotDeleted) {
  ASSERT_TRUE(Save().ok());
  ASSERT_TRUE(CreateClass(1).ok());
  Watch();
  auto deleted = classes_->templates().Delete(teacher_, "course:v1");
  ASSERT_FALSE(deleted.ok());
  EXPECT_NE(deleted.error().message().find("is used by"), std::string::npos);
  ASSERT_TRUE(classes_->Change(teacher_, "os-lab", ClassChange::kDelete, {}, 0).ok());
  const auto gone = classes_->Watch(teacher_, "os-lab", Ignore, CancelToken());
  // It may be gone before anybody looks.
  EXPECT_TRUE(gone.ok() ? gone->record.name().empty() : gone.error().code() == Code::kNotFound);
  EXPECT_TRUE(classes_->templates().Delete(teacher_, "course:v1").ok());
  EXPECT_TRUE(Images().empty());
}

TEST_F(ClassesTest, ATemplateIsNotDeletedWhileSomethingIsMadeOfIt) {
  ASSERT_TRUE(Save().ok());
  const size_t images = Images().size();
  std::atomic<int> refused = 0;
  hosts_["h1"]->on_images = [&](host::v1::ImagesChange change) {
    if (change == host::v1::IMAGES_REMOVE) return;
    const Status deleted = classes_->templates().Delete(teacher_, "course:v1");
    ASSERT_FALSE(deleted.ok());
    EXPECT_EQ(deleted.error().code(), Code::kFailedPrecondition);
    EXPECT_NE(deleted.error().message().find("something is being made"), std::string::npos);
    ++refused;
  };
  // Its images are on their way, and there is no Vcluster yet.
  ASSERT_TRUE(
      classes_->templates().Create(teacher_, "c", "course:v1", 1, "", Ignore, CancelToken()).ok());
  EXPECT_EQ(refused, 1);
  ASSERT_TRUE(clusters_->Delete(teacher_, "c").ok());
  CreateClassParameters parameters;
  parameters.prestage = false;
  ASSERT_TRUE(CreateClass(1, parameters).ok());  // While secrets are counted.
  EXPECT_EQ(refused, 2);
  EXPECT_EQ(Images().size(), images);
  hosts_["h1"]->on_images = {};
  // What was held is let go of.
  ASSERT_TRUE(classes_->Change(teacher_, "os-lab", ClassChange::kDelete, {}, 0).ok());
  ASSERT_TRUE(Await([&] { return classes_->List(teacher_, "")->empty(); }));
  EXPECT_TRUE(classes_->templates().Delete(teacher_, "course:v1").ok());
}

TEST_F(ClassesTest, EveryStudentGetsOneOfHisOwnAndNoTwoAreAlike) {
  ASSERT_TRUE(Save().ok());
  ASSERT_TRUE(CreateClass(30).ok());
  const ClassView view = Watch();
  EXPECT_EQ(view.state, "running");
  ASSERT_EQ(Count(view, StudentState::kReady), 30u);
  EXPECT_EQ(hosts_["h1"]->PrestagedTo(), (std::set<std::string>{"h2"}));
  std::set<std::string> keys;
  std::set<std::string> machines;
  std::set<std::string> subnets;
  for (int i = 0; i < 30; ++i) {
    const VclusterView seen = Of(i);
    ASSERT_NE(seen.vcluster, nullptr);
    const master::v1::Vcluster& record = seen.vcluster->record;
    EXPECT_EQ(record.name(), "os-lab");
    EXPECT_EQ(record.nodes_size(), 3);
    keys.insert(record.ssh_login_seed());
    keys.insert(record.ssh_host_seed());
    subnets.insert(record.subnet());
    for (const master::v1::Node& node : record.nodes()) machines.insert(node.machine_id());
  }
  EXPECT_EQ(keys.size(), 60u);
  EXPECT_EQ(machines.size(), 90u);
  EXPECT_EQ(subnets.size(), 30u);
}

TEST_F(ClassesTest, ATeacherEntersAndSavesButDoesNotDeleteOrScale) {
  ASSERT_TRUE(Save().ok());
  ASSERT_TRUE(CreateClass(2).ok());
  Watch();
  const std::string name = "s0/os-lab";
  EXPECT_TRUE(clusters_->FindNode(teacher_, Operation::kVclusterExec, name + "/0").ok());
  EXPECT_EQ(clusters_->Delete(teacher_, name).error().code(), Code::kPermissionDenied);
  EXPECT_EQ(clusters_->Scale(teacher_, name, "node", 1, Ignore, CancelToken()).error().code(),
            Code::kPermissionDenied);
  EXPECT_EQ(clusters_->FindNode(other_, Operation::kVclusterExec, name + "/0").error().code(),
            Code::kNotFound);
  EXPECT_EQ(clusters_->FindNode(students_[1], Operation::kVclusterExec, name + "/0").error().code(),
            Code::kNotFound);
  EXPECT_FALSE(classes_->List(other_, "os-lab").ok());
  EXPECT_TRUE(classes_->List(other_, "")->empty());
}

TEST_F(ClassesTest, OneWhoCannotBeServedHoldsNobodyUp) {
  ASSERT_TRUE(Save().ok());
  ASSERT_TRUE(clusters_
                  ->Create(students_[1], PlainDefinition("os-lab", "tiny", 1, {}), "", Ignore,
                           CancelToken())
                  .ok());
  ASSERT_TRUE(CreateClass(4).ok());
  ClassView view = Watch();
  EXPECT_EQ(Count(view, StudentState::kReady), 3u);
  EXPECT_EQ(view.students[1].state, StudentState::kFailed);
  EXPECT_NE(view.students[1].problem.find("of his own"), std::string::npos);
  ASSERT_TRUE(clusters_->Delete(students_[1], "os-lab").ok());
  now_ms_ += 60'000;
  EXPECT_TRUE(Await([&] { return Count(Watch(), StudentState::kReady) == 4; }));
}

TEST_F(ClassesTest, OneWhoMayNotStartLeavesThePlaceToOthersAndIsTriedAtOnceWhenAskedAnew) {
  ASSERT_TRUE(Save().ok());
  CreateClassParameters parameters;
  parameters.parallel = 1;
  ASSERT_TRUE(CreateClass(3, parameters).ok());
  ASSERT_TRUE(Await([&] { return Count(Watch(), StudentState::kReady) == 3; }));
  ASSERT_TRUE(classes_->Change(teacher_, "os-lab", ClassChange::kStop, {}, 0).ok());
  ASSERT_EQ(Count(Watch(), StudentState::kStopped), 3u);
  refused_uid_ = students_[0].uid;
  ASSERT_TRUE(classes_->Change(teacher_, "os-lab", ClassChange::kStart, {}, 0).ok());
  ASSERT_TRUE(Await([&] { return Count(Watch(), StudentState::kReady) == 2; }));
  const ClassView view = Watch();
  EXPECT_EQ(view.students[0].state, StudentState::kFailed);
  EXPECT_EQ(view.students[0].problem, "his credits are used up");
  EXPECT_EQ(view.students[0].next_try_unix_ms, now_ms_ + 5'000);
  refused_uid_ = 0;
  ASSERT_TRUE(classes_->Change(teacher_, "os-lab", ClassChange::kStart, {}, 0).ok());
  EXPECT_TRUE(Await([&] { return Count(Watch(), StudentState::kReady) == 3; }));
}

TEST_F(ClassesTest, ANewMasterGoesOnWhereTheLastOneWas) {
  ASSERT_TRUE(Save().ok());
  CreateClassParameters parameters;
  parameters.parallel = 2;
  for (const auto& [name, host] : hosts_) host->SetState("node", host::v1::STARTING, "");
  ASSERT_TRUE(CreateClass(6, parameters).ok());
  ASSERT_TRUE(Await([&] { return Of(1).vcluster != nullptr; }));
  EXPECT_EQ(Of(2).vcluster, nullptr);  // Two at a time, and they never get ready.
  const uint32_t number = Of(0).vcluster->record.number();
  for (const auto& [name, host] : hosts_) host->SetState("node", host::v1::READY, "");
  Open();
  EXPECT_TRUE(Await([&] { return Count(Watch(), StudentState::kReady) == 6; }));
  EXPECT_EQ(Of(0).vcluster->record.number(), number);
}

TEST_F(ClassesTest, AClassWhoseCreationWasInterruptedIsRemoved) {
  ASSERT_TRUE(Save().ok());
  Classes::Class half;
  half.set_version(1);
  half.set_owner_uid(teacher_.uid);
  half.set_name("os-lab");
  half.set_parallel(1);
  const std::string key = ClassKey(teacher_.uid, "os-lab");
  ASSERT_TRUE(store_->Put(kClassesTable, key, half.SerializeAsString()).ok());
  Open();
  EXPECT_TRUE(Await([&] { return !store_->Get(kClassesTable, key)->has_value(); }));
  EXPECT_TRUE(Await([&] { return CreateClass(1).ok(); }));
}

TEST_F(ClassesTest, AResetMakesNodesAnewAndOnlyThoseThatWereNamed) {
  ASSERT_TRUE(Save().ok());
  ASSERT_TRUE(CreateClass(2).ok());
  Watch();
  // The student has changed what it is, too.
  ASSERT_TRUE(clusters_->Scale(students_[0], "os-lab", "node", 1, Ignore, CancelToken()).ok());
  const auto other = Of(1).vcluster->record.SerializeAsString();
  ASSERT_FALSE(classes_->Change(teacher_, "os-lab", ClassChange::kReset, {"s9"}, 0).ok());
  const uint32_t before = Of(0).vcluster->record.nodes(0).incarnation();
  ASSERT_TRUE(classes_->Change(teacher_, "os-lab", ClassChange::kReset, {"s0"}, 0).ok());
  EXPECT_EQ(Count(Watch(), StudentState::kReady), 2u);
  const master::v1::Vcluster after = Of(0).vcluster->record;
  EXPECT_EQ(after.nodes_size(), 3);
  EXPECT_GT(after.nodes(0).incarnation(), before);
  EXPECT_EQ(after.class_resets(), 1u);
  EXPECT_EQ(Of(1).vcluster->record.SerializeAsString(), other);
}

TEST_F(ClassesTest, AtItsTimeItStartsAndEnds) {
  ASSERT_TRUE(Save().ok());
  CreateClassParameters parameters;
  parameters.starts_unix_s = now_ms_ / 1000 + 600;
  parameters.ends_unix_s = now_ms_ / 1000 + 1200;
  ASSERT_TRUE(CreateClass(2, parameters).ok());
  EXPECT_EQ(Count(Watch(), StudentState::kWaiting), 2u);
  EXPECT_EQ(Of(0).vcluster, nullptr);
  now_ms_ += 601'000;
  EXPECT_TRUE(Await([&] { return Count(Watch(), StudentState::kReady) == 2; }));
  now_ms_ += 600'000;
  EXPECT_TRUE(Await([&] { return Count(Watch(), StudentState::kStopped) == 2; }));
  EXPECT_EQ(Watch().state, "ended");
  EXPECT_FALSE(classes_->Change(teacher_, "os-lab", ClassChange::kStart, {}, 0).ok());
  ASSERT_TRUE(classes_->Change(teacher_, "os-lab", ClassChange::kExtend, {}, 0).ok());
  EXPECT_TRUE(Await([&] { return Count(Watch(), StudentState::kReady) == 2; }));
  ASSERT_TRUE(classes_->Change(teacher_, "os-lab", ClassChange::kStop, {}, 0).ok());
  EXPECT_EQ(Count(Watch(), StudentState::kStopped), 2u);
}

TEST_F(ClassesTest, RoomThatIsKeptForAClassIsItsVclusters) {
  ASSERT_TRUE(Save().ok());
  master::v1::Reservation room;
  room.set_name("lesson");
  room.mutable_piece()->set_cpus_milli(4'000'000);
  room.set_pieces(6);
  ASSERT_TRUE(clusters_->Reserve(kRoot, room, {.class_name = "teacher/os-lab"}).ok());
  Definition large = PlainDefinition("large", "tiny", 4, {});
  large.roles[0].limits.cpus = 4000;
  const auto refused = clusters_->Create(other_, large, "", Ignore, CancelToken());
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("others-1"), std::string::npos)
      << refused.error().message();
  CreateClassParameters parameters;
  parameters.quota.set_cpus(4000);
  ASSERT_TRUE(CreateClass(2, parameters).ok());
  EXPECT_TRUE(Await([&] { return Count(Watch(), StudentState::kReady) == 2; }));
  ASSERT_TRUE(clusters_->Unreserve(kRoot, "lesson").ok());
}

TEST_F(ClassesTest, TimesThatNoClockCountsAreRefused) {
  ASSERT_TRUE(Save().ok());
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  CreateClassParameters parameters;
  parameters.starts_unix_s = std::numeric_limits<int64_t>::min();
  EXPECT_EQ(CreateClass(1, parameters).error().code(), Code::kInvalidArgument);
  parameters.starts_unix_s = 0;
  parameters.ends_unix_s = kMost;
  EXPECT_EQ(CreateClass(1, parameters).error().code(), Code::kInvalidArgument);
  parameters.ends_unix_s = 253'402'300'799;
  ASSERT_TRUE(CreateClass(1, parameters).ok());
  const auto extend = [&](int64_t unix_s) {
    return classes_->Change(teacher_, "os-lab", ClassChange::kExtend, {}, unix_s);
  };
  for (const int64_t unix_s : {kMost, kMost / 1000, -kMost, int64_t{253'402'300'800}}) {
    const auto extended = extend(unix_s);
    ASSERT_FALSE(extended.ok()) << unix_s;
    EXPECT_EQ(extended.error().code(), Code::kInvalidArgument);
  }
  EXPECT_TRUE(extend(now_ms_ / 1000 + 60).ok());
}

TEST_F(ClassesTest, QuotasHoldFromTheStartAndWhateverAStudentDoes) {
  ASSERT_TRUE(Save().ok());
  CreateClassParameters parameters;
  parameters.quota.set_nodes(2);
  EXPECT_EQ(CreateClass(1, parameters).error().code(), Code::kResourceExhausted);
  parameters.quota.set_nodes(3);
  parameters.quota.set_memory_bytes(64 << 20);
  ASSERT_TRUE(CreateClass(1, parameters).ok());
  Watch();
  EXPECT_EQ(Of(0).vcluster->definition.roles[0].limits.memory_bytes, 64u << 20);
  const auto scaled = clusters_->Scale(students_[0], "os-lab", "node", 4, Ignore, CancelToken());
  ASSERT_FALSE(scaled.ok());
  EXPECT_EQ(scaled.error().code(), Code::kResourceExhausted);
  Definition more = Of(0).vcluster->definition;
  more.roles[0].limits.memory_bytes = 0;
  EXPECT_EQ(
      clusters_->Apply(students_[0], more, false, false, Ignore, CancelToken()).error().code(),
      Code::kResourceExhausted);
}

TEST_F(ClassesTest, OnlyTeachersMakeThemAndRostersAreChecked) {
  ASSERT_TRUE(Save("course:v1", /*is_public=*/true).ok());
  CreateClassParameters parameters;
  parameters.name = "mine";
  parameters.template_name = std::string("teacher/course:v1");
  parameters.roster = Roster(1);
  const auto untaught = classes_->Create(other_, parameters);
  ASSERT_FALSE(untaught.ok());
  EXPECT_NE(untaught.error().message().find("line 2: you do not teach 's0'"), std::string::npos);
  EXPECT_EQ(classes_->Create(students_[0], parameters).error().code(), Code::kPermissionDenied);
  parameters.roster = "user\ns1\nnobody\n";
  const auto unknown = classes_->Create(teacher_, parameters);
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().message().find("line 3: "), std::string::npos);
  parameters.roster = "user\ns1\n" + std::to_string(students_[1].uid) + "\n";
  EXPECT_NE(classes_->Create(teacher_, parameters).error().message().find("same user"),
            std::string::npos);
  hosts_["h2"]->SetSecrets(1);
  parameters.roster = Roster(1);
  EXPECT_EQ(classes_->Create(teacher_, parameters).error().code(), Code::kFailedPrecondition);
}

TEST_F(ClassesTest, WhatStudentsMadeIsCollectedAsTheTeachersImages) {
  ASSERT_TRUE(Save().ok());
  const size_t before = Images().size();
  ASSERT_TRUE(CreateClass(3).ok());
  Watch();
  const auto collected = classes_->Collect(teacher_, "os-lab", {"s0", "s2"}, Ignore, CancelToken());
  ASSERT_TRUE(collected.ok()) << collected.error().message();
  EXPECT_TRUE(collected->failures.empty());
  EXPECT_EQ(Images().size(), before + 6);
  const master::v1::Student& student = collected->view.students[0].record;
  ASSERT_EQ(student.collected_size(), 3);
  EXPECT_TRUE(student.pending().empty());
  EXPECT_TRUE(student.collected(0).reference().starts_with(std::to_string(teacher_.uid) +
                                                           "/os-lab-s0-node-0:collect-"));
  EXPECT_NE(student.collected(1).base().find("/course-node-1@blake3:"), std::string::npos);
  EXPECT_EQ(collected->view.students[1].record.collected_size(), 0);

  hosts_["h1"]->FailSaves("finish");
  hosts_["h2"]->FailSaves("finish");
  const auto failed = classes_->Collect(teacher_, "os-lab", {"s1"}, Ignore, CancelToken());
  ASSERT_TRUE(failed.ok());
  ASSERT_EQ(failed->failures.size(), 1u);
  EXPECT_EQ(Images().size(), before + 6);  // What was made of it is gone again.
}

TEST_F(ClassesTest, OneWhoLeftTheTeachersGroupIsNotCollectedAndSaidSo) {
  ASSERT_TRUE(Save().ok());
  ASSERT_TRUE(CreateClass(2).ok());
  Watch();
  const size_t before = Images().size();
  GroupEdit leaves;
  leaves.remove = {students_[1].uid};
  ASSERT_TRUE((*users_)->EditGroup(kRoot, group_, leaves).ok());
  auto collected = classes_->Collect(teacher_, "os-lab", {}, Ignore, CancelToken());
  ASSERT_TRUE(collected.ok()) << collected.error().message();
  ASSERT_EQ(collected->failures.size(), 1u);
  EXPECT_TRUE(collected->failures[0].starts_with("s1: you do not teach him"))
      << collected->failures[0];
  EXPECT_EQ(Images().size(), before + 3);
  EXPECT_EQ(collected->view.students[1].record.collected_size(), 0);
  // Who may save anybody's may collect his.
  collected = classes_->Collect(kRoot, "teacher/os-lab", {"s1"}, Ignore, CancelToken());
  ASSERT_TRUE(collected.ok()) << collected.error().message();
  EXPECT_TRUE(collected->failures.empty());
}

}  // namespace
}  // namespace strata::vcluster
