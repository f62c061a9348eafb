// Room that is kept for somebody: nobody else gets it, from its time to its time.
#include "vclusterd/master/reservations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vclusterd/master/stepped_master.h"

namespace strata::vcluster {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

void Ignore(const std::string&, uint32_t, uint32_t) {}

class ReservationsTest : public ::testing::Test {
 protected:
  ReservationsTest() {
    steps_.AddHost("h1");
    alice_ = steps_.users.Add("alice");
    bob_ = steps_.users.Add("bob");
  }
  // Two of them are as much as a host may promise.
  static constexpr double kHalf = 500;
  Result<ClusterView> Create(const Caller& caller, const std::string& name) {
    Definition definition = PlainDefinition(name, "tiny", 1, {});
    definition.roles[0].limits.cpus = kHalf;
    return steps_.clusters->Create(caller, definition, "", Ignore, CancelToken());
  }
  static master::v1::Reservation Room(const std::string& name, uint32_t pieces) {
    master::v1::Reservation record;
    record.set_name(name);
    record.mutable_piece()->set_cpus_milli(static_cast<uint64_t>(kHalf * 1000));
    record.set_pieces(pieces);
    return record;
  }
  int64_t NowUnixS() {
    return std::chrono::duration_cast<std::chrono::seconds>(steps_.now.time_since_epoch()).count();
  }
  static std::string Text(const auto& result) {
    return result.ok() ? "" : result.error().message();
  }

  std::unique_ptr<records::RecordStore> store_ = records::MakeMemoryRecordStore(DesiredTables());
  SteppedMaster steps_{*store_};
  Caller alice_;
  Caller bob_;
};

TEST_F(ReservationsTest, KeptRoomIsForItsHolderAlone) {
  EXPECT_EQ(steps_.clusters->Reserve(alice_, Room("exam", 2), {.user = "alice"}).error().code(),
            Code::kPermissionDenied);
  ASSERT_EQ(Text(steps_.clusters->Reserve(kRoot, Room("exam", 2), {.user = "alice"})), "");
  EXPECT_THAT(Text(Create(bob_, "others")), HasSubstr("others-1"));
  EXPECT_EQ(Text(Create(alice_, "hers")), "");
  const auto views = steps_.clusters->Reservations(kRoot).value();
  ASSERT_THAT(views, SizeIs(1));
  EXPECT_EQ(views[0].holder, "user alice");
  EXPECT_TRUE(views[0].holds);
  ASSERT_TRUE(steps_.clusters->Unreserve(kRoot, "exam").ok());
  EXPECT_EQ(Text(Create(bob_, "others")), "");
  EXPECT_EQ(steps_.clusters->Unreserve(kRoot, "exam").error().code(), Code::kNotFound);
}

TEST_F(ReservationsTest, ItHoldsFromItsTimeToItsTimeAndThenItIsGone) {
  master::v1::Reservation room = Room("later", 2);
  room.set_from_unix_s(NowUnixS() + 60);
  room.set_until_unix_s(NowUnixS() + 120);
  ASSERT_EQ(Text(steps_.clusters->Reserve(kRoot, room, {.user = "alice"})), "");
  EXPECT_EQ(Text(Create(bob_, "before")), "");
  ASSERT_TRUE(steps_.clusters->Delete(bob_, "before").ok());
  steps_.For(std::chrono::seconds(80));
  EXPECT_THAT(Text(Create(bob_, "within")), HasSubstr("others-1"));
  steps_.For(std::chrono::seconds(60));
  EXPECT_EQ(Text(Create(bob_, "after")), "");
  EXPECT_THAT(steps_.clusters->Reservations(kRoot).value(), IsEmpty());
}

TEST_F(ReservationsTest, OneOfAVclusterEndsWithIt) {
  ASSERT_EQ(Text(Create(alice_, "hers")), "");
  ASSERT_EQ(Text(steps_.clusters->Reserve(kRoot, Room("grow", 2), {.vcluster = "alice/hers"})), "");
  EXPECT_THAT(Text(Create(bob_, "others")), HasSubstr("others-1"));
  ASSERT_TRUE(steps_.clusters->Delete(alice_, "hers").ok());
  steps_.For(std::chrono::seconds(30));
  EXPECT_THAT(steps_.clusters->Reservations(kRoot).value(), IsEmpty());
  EXPECT_EQ(Text(Create(bob_, "others")), "");
}

TEST_F(ReservationsTest, AnotherMasterKeepsThemFromItsFirstMoment) {
  ASSERT_EQ(Text(steps_.clusters->Reserve(kRoot, Room("exam", 2), {.user = "alice"})), "");
  SteppedMaster next(*store_);
  next.AddHost("h1");
  Definition definition = PlainDefinition("others", "tiny", 1, {});
  definition.roles[0].limits.cpus = kHalf;
  const auto made = next.clusters->Create(bob_, definition, "", Ignore, CancelToken());
  EXPECT_THAT(Text(made), HasSubstr("others-1"));
}

TEST_F(ReservationsTest, WhatCannotBeMeantIsRefused) {
  const auto refused = [&](const master::v1::Reservation& record, const std::string& user) {
    return Text(steps_.clusters->Reserve(kRoot, record, {.user = user}));
  };
  EXPECT_THAT(refused(Room("exam", 0), "alice"), HasSubstr("pieces"));
  EXPECT_THAT(refused(Room("Not a name", 1), "alice"), HasSubstr("name"));
  EXPECT_THAT(refused(Room("exam", 1), "nobody-of-that-name"), HasSubstr("nobody-of-that-name"));
  EXPECT_THAT(refused(Room("exam", 1), ""), HasSubstr("a user, a Vcluster or a class"));
  master::v1::Reservation nothing = Room("exam", 1);
  nothing.clear_piece();
  EXPECT_THAT(refused(nothing, "alice"), HasSubstr("nothing would be kept"));
  master::v1::Reservation twice = Room("exam", 1);
  twice.add_hosts("h1");
  twice.add_hosts("h1");
  EXPECT_NE(refused(twice, "alice"), "");
  master::v1::Reservation much = Room("exam", 10'000);
  much.mutable_piece()->set_memory_bytes(uint64_t{1} << 49);
  EXPECT_NE(refused(much, "alice"), "") << "the scheduler could not count it";
  master::v1::Reservation over = Room("exam", 1);
  over.set_from_unix_s(NowUnixS() - 100);
  over.set_until_unix_s(NowUnixS() - 50);
  EXPECT_THAT(refused(over, "alice"), HasSubstr("over already"));
  ASSERT_EQ(refused(Room("exam", 1), "alice"), "");
  EXPECT_THAT(refused(Room("exam", 1), "alice"), HasSubstr("already"));
}

}  // namespace
}  // namespace strata::vcluster
