// Machines from being wanted to being gone, with a cluster and a provider in memory and a clock
// that is set. A master that ends is another Rentals over the same records.
#include "vclusterd/providers/rentals.h"

#include <gtest/gtest.h>

namespace strata::vcluster {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

// Lends machines that join when the test says so.
struct FakeCloud {
  std::map<std::string, std::string> machines;  // Tag by id.
  std::vector<StartOrder> orders;
  std::optional<Error> no_starts;
  std::optional<Error> no_stops;
  std::optional<Error> no_lists;
  std::function<void()> on_stop;
  bool lists_stopped = false;  // Machines that are stopped are listed all the same.
  bool start_answers = true;   // Otherwise the machine is there and the answer is lost.
  double price = 2;
  int next = 1;
};

class FakeProvider final : public HostProvider {
 public:
  explicit FakeProvider(FakeCloud& cloud) : cloud_(cloud) {}
  Result<std::vector<Offer>> Offers(const CancelToken&) override {
    Offer offer;
    offer.name = "m";
    offer.cpus = 8;
    offer.memory_bytes = 32 * kGiB;
    offer.disk_bytes = 100 * kGiB;
    offer.price_per_hour = cloud_.price;
    return std::vector<Offer>{offer};
  }
  Result<std::string> Start(const StartOrder& order, const CancelToken&) override {
    cloud_.orders.push_back(order);
    if (cloud_.no_starts.has_value()) return *cloud_.no_starts;
    const std::string id = "i-" + std::to_string(cloud_.next++);
    cloud_.machines[id] = order.tag;
    if (!cloud_.start_answers) return Error(Code::kDeadlineExceeded, "killed");
    return id;
  }
  Status Stop(const std::string& id, const CancelToken&) override {
    if (cloud_.on_stop) cloud_.on_stop();
    if (cloud_.no_stops.has_value()) return *cloud_.no_stops;
    if (!cloud_.lists_stopped) cloud_.machines.erase(id);
    return Ok();
  }
  Result<std::vector<Machine>> Machines(const std::string& prefix, const CancelToken&) override {
    if (cloud_.no_lists.has_value()) return *cloud_.no_lists;
    std::vector<Machine> machines;
    for (const auto& [id, tag] : cloud_.machines) {
      if (tag.starts_with(prefix)) machines.push_back({id, tag});
    }
    return machines;
  }

 private:
  FakeCloud& cloud_;
};

class FakeSite final : public RentalSite {
 public:
  std::map<std::string, Host> Hosts() override { return hosts; }
  RentalQuestion WantedRoom() override {
    RentalQuestion question{PlacementState::Create({}).value(), {}, {}, {}, 1, 1};
    if (!wanted) return question;
    VclusterDemand demand;
    demand.number = 1;
    demand.name = "v";
    NodeDemand& node = demand.nodes.emplace_back();
    node.key = {1, 0};
    node.name = "v/0";
    node.request = {4, kGiB, 0};
    question.wanted.push_back({demand, "alice"});
    return question;
  }
  void Answer(const std::map<uint32_t, RoomAnswer>& given) override {
    if (given.contains(1)) answer = given.at(1);
  }
  Status Drain(const std::string& host, bool drain) override {
    hosts[host].draining = drain;
    hosts[host].looked = drain;
    return Ok();
  }
  Status Forget(const std::string& host) override {
    hosts.erase(host);
    forgotten.push_back(host);
    return Ok();
  }
  Result<std::string> JoinToken() override {
    if (no_token.has_value()) return *no_token;
    return "token-" + std::to_string(++tokens);
  }
  Status Store(const std::string& tag, const std::optional<std::string>& record) override {
    if (no_store.has_value()) return *no_store;
    if (record.has_value()) {
      records[tag] = *record;
    } else {
      records.erase(tag);
    }
    return Ok();
  }
  Result<std::map<std::string, std::string>> Stored() override { return records; }
  Status StillLeads() override { return leads ? Ok() : Error(Code::kFailedPrecondition, "no"); }
  int64_t NowUnixMs() override { return now_ms; }
  void ShowRents(const std::map<std::string, Rent>& shown) override { rents = shown; }

  std::map<std::string, Host> hosts;
  std::map<std::string, std::string> records;
  std::map<std::string, Rent> rents;
  std::vector<std::string> forgotten;
  std::optional<RoomAnswer> answer;
  std::optional<Error> no_store;
  std::optional<Error> no_token;
  bool wanted = false;
  bool leads = true;
  int tokens = 0;
  int64_t now_ms = 1'800'000'000'000;
};

class RentalsTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    rentals_.reset();
    RentalOptions options;
    options.tag_prefix = "strata-a-";
    options.masters = "lab-1=10.0.0.1:7445";
    options.threaded = false;
    ProviderConfig config;
    config.rules = {"cloud", 2, 10, {}};
    config.idle = std::chrono::seconds(600);
    config.join = std::chrono::seconds(300);
    config.cool_down = std::chrono::seconds(60);
    config.exec.timeout = std::chrono::seconds(120);
    std::vector<Rentals::Lender> lenders;
    lenders.push_back({config, std::make_unique<FakeProvider>(cloud_)});
    auto opened = Rentals::Open(options, std::move(lenders), site_);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    rentals_ = std::move(*opened);
  }
  void Step(int64_t seconds = 1) {
    site_.now_ms += seconds * 1000;
    rentals_->Step();
  }
  master::v1::MachineRecord Record() {
    master::v1::MachineRecord record;
    EXPECT_EQ(site_.records.size(), 1u);
    if (site_.records.empty()) return record;
    EXPECT_TRUE(record.ParseFromString(site_.records.begin()->second));
    return record;
  }
  void Join() {
    RentalSite::Host& host = site_.hosts[Record().host()];
    host.present = true;
    host.cpus = 8;
    host.memory_bytes = 31 * kGiB;
    host.disk_bytes = 90 * kGiB;
  }
  // A machine that is a host.
  void Rent() {
    site_.wanted = true;
    Step();
    ASSERT_EQ(cloud_.machines.size(), 1u);
    Join();
    site_.wanted = false;
    Step();
    ASSERT_EQ(Record().stage(), master::v1::RUNNING);
  }
  bool Empty() { return site_.records.empty() && cloud_.machines.empty(); }

  FakeCloud cloud_;
  FakeSite site_;
  std::unique_ptr<Rentals> rentals_;
};

TEST_F(RentalsTest, NothingIsRentedUntilSomebodyHasNoRoom) {
  for (int i = 0; i < 5; ++i) Step(100);
  EXPECT_TRUE(cloud_.orders.empty());
}

TEST_F(RentalsTest, AMachineIsRentedJoinsAndIsGivenBackWhenItIsIdle) {
  site_.wanted = true;
  Step();
  ASSERT_EQ(cloud_.orders.size(), 1u);
  EXPECT_EQ(cloud_.orders[0].token, "token-1");
  EXPECT_EQ(cloud_.orders[0].masters, "lab-1=10.0.0.1:7445");
  EXPECT_TRUE(cloud_.orders[0].tag.starts_with("strata-a-"));
  EXPECT_TRUE(site_.answer->wait);
  const std::string host = Record().host();
  EXPECT_EQ(cloud_.orders[0].host, host);
  EXPECT_EQ(site_.rents.at(host).price_per_hour, 2);
  for (int i = 0; i < 5; ++i) Step();
  EXPECT_EQ(cloud_.orders.size(), 1u);  // It is on its way.
  Join();
  site_.hosts[host].nodes = 1;
  site_.wanted = false;
  Step();
  EXPECT_EQ(Record().stage(), master::v1::RUNNING);
  EXPECT_EQ(Record().memory_bytes(), 31 * kGiB);
  Step(10'000);
  EXPECT_EQ(Record().stage(), master::v1::RUNNING);  // It is used.
  site_.hosts[host].nodes = 0;
  Step();
  Step(599);
  EXPECT_EQ(Record().stage(), master::v1::RUNNING);
  Step(2);
  EXPECT_EQ(Record().stage(), master::v1::RETURNING);
  EXPECT_TRUE(site_.hosts[host].draining);  // Before it is stopped.
  Step();
  EXPECT_EQ(Record().stage(), master::v1::STOPPING);
  Step();
  EXPECT_TRUE(Empty());
  EXPECT_EQ(site_.forgotten, std::vector<std::string>{host});
  EXPECT_TRUE(site_.rents.empty());
}

TEST_F(RentalsTest, TheRecordIsThereBeforeTheMachine) {
  site_.no_store = Error(Code::kFailedPrecondition, "another master leads");
  site_.wanted = true;
  Step();
  EXPECT_TRUE(cloud_.orders.empty());
}

TEST_F(RentalsTest, AMasterThatEndsBeforeTheAnswerForgetsNoMachine) {
  site_.wanted = true;
  Step();
  site_.wanted = false;
  master::v1::MachineRecord record = Record();
  record.clear_id();
  record.set_stage(master::v1::STARTING);
  site_.records[record.tag()] = record.SerializeAsString();
  Open();
  Step();
  EXPECT_EQ(Record().stage(), master::v1::JOINING);
  EXPECT_EQ(Record().id(), "i-1");
  Join();
  Step();
  EXPECT_EQ(Record().stage(), master::v1::RUNNING);
}

TEST_F(RentalsTest, AMasterThatEndsBeforeTheMachineIsThereLeavesNothing) {
  site_.wanted = true;
  Step();
  site_.wanted = false;
  master::v1::MachineRecord record = Record();
  record.clear_id();
  record.set_stage(master::v1::STARTING);
  site_.records[record.tag()] = record.SerializeAsString();
  cloud_.machines.clear();
  Open();
  Step();
  EXPECT_EQ(Record().stage(), master::v1::STARTING);  // The program may still be at it.
  Step(121);
  Step();
  Step();
  EXPECT_TRUE(Empty());
}

TEST_F(RentalsTest, EveryStageGoesOnWithAnotherMaster) {
  Rent();
  Open();
  Step();
  Step(601);
  ASSERT_EQ(Record().stage(), master::v1::RETURNING);
  Open();
  Step();
  ASSERT_EQ(Record().stage(), master::v1::STOPPING);
  Open();
  Step();
  EXPECT_TRUE(Empty());
}

TEST_F(RentalsTest, ACrashBetweenTheRecordAndTheDrainIsMadeUpFor) {
  Rent();
  Step();  // From here on it is seen without nodes.
  Step(601);
  const std::string host = Record().host();
  site_.hosts[host].draining = false;
  Open();
  Step();
  EXPECT_TRUE(site_.hosts[host].draining);
}

TEST_F(RentalsTest, AMachineThatDoesNotJoinIsStoppedAndTheProviderRests) {
  site_.wanted = true;
  Step();
  ASSERT_EQ(cloud_.machines.size(), 1u);
  Step(301);
  EXPECT_EQ(Record().stage(), master::v1::STOPPING);
  EXPECT_FALSE(site_.answer->wait);
  EXPECT_NE(site_.answer->why.find("did not join"), std::string::npos);
  Step();
  Step();
  EXPECT_TRUE(Empty());
  EXPECT_EQ(cloud_.orders.size(), 1u);
  Step(31);
  EXPECT_EQ(cloud_.orders.size(), 2u);  // It is tried again.
}

TEST_F(RentalsTest, AMachineThatJoinsLateAndGetsNodesIsKept) {
  site_.wanted = true;
  Step();
  site_.wanted = false;
  Step(301);
  ASSERT_EQ(Record().stage(), master::v1::STOPPING);
  const std::string host = Record().host();
  Join();
  site_.hosts[host].nodes = 1;
  Step();
  EXPECT_EQ(Record().stage(), master::v1::RUNNING);
  EXPECT_EQ(Record().memory_bytes(), 31 * kGiB);
  EXPECT_FALSE(site_.hosts[host].draining);
  Step(10'000);
  EXPECT_EQ(cloud_.machines.size(), 1u);
}

TEST_F(RentalsTest, NothingIsPlacedOnAMachineThatIsBeingStoppedHoweverLateItJoins) {
  site_.wanted = true;
  Step();
  site_.wanted = false;
  const std::string host = Record().host();
  bool drained_first = true;
  int stops = 0;
  cloud_.on_stop = [&] {
    ++stops;
    drained_first &= site_.hosts[host].draining;
  };
  cloud_.no_stops = Error(Code::kUnavailable, "down");
  Step(301);
  Step();
  Step();
  EXPECT_GE(stops, 1);
  EXPECT_TRUE(drained_first);
  Join();  // While it is asked again and again.
  Step();
  EXPECT_EQ(Record().stage(), master::v1::STOPPING);
  site_.hosts[host].draining = false;  // Somebody resumes it, and something is placed there.
  site_.hosts[host].nodes = 1;
  cloud_.no_stops.reset();
  Step();
  EXPECT_EQ(Record().stage(), master::v1::RUNNING);
  EXPECT_EQ(cloud_.machines.size(), 1u);
}

TEST_F(RentalsTest, AHostWhoseNodesHaveNotBeenLookedAtIsNotStoppedYet) {
  site_.wanted = true;
  Step();
  site_.wanted = false;
  Step(301);
  Join();
  Step();
  site_.hosts[Record().host()].looked = false;  // What it has is counted when it is.
  Step();
  EXPECT_EQ(cloud_.machines.size(), 1u);
  site_.hosts[Record().host()].looked = true;
  Step();
  EXPECT_TRUE(Empty());
}

TEST_F(RentalsTest, AfterFailedStartsTheNextOneIsFartherAway) {
  site_.wanted = true;
  cloud_.no_starts = Error(Code::kUnavailable, "no credit");
  const auto until_next = [&] {
    const size_t before = cloud_.orders.size();
    int64_t seconds = 0;
    while (cloud_.orders.size() == before && seconds < 100'000) {
      Step();
      ++seconds;
    }
    return seconds;
  };
  EXPECT_EQ(until_next(), 1);
  EXPECT_EQ(until_next(), 30);
  Step();  // The answer is that of the look after it.
  EXPECT_FALSE(site_.answer->wait);
  EXPECT_NE(site_.answer->why.find("no credit"), std::string::npos);
  EXPECT_EQ(until_next(), 59);
  EXPECT_EQ(until_next(), 120);
  for (int i = 0; i < 8; ++i) until_next();
  EXPECT_EQ(until_next(), 3600);
  cloud_.no_starts.reset();
  until_next();
  Join();
  Step();
  EXPECT_EQ(Record().stage(), master::v1::RUNNING);
  EXPECT_EQ(site_.records.size(), 1u);
}

TEST_F(RentalsTest, AStartWhoseAnswerIsLostLeavesNoMachine) {
  site_.wanted = true;
  cloud_.start_answers = false;
  Step();
  ASSERT_EQ(cloud_.machines.size(), 1u);
  EXPECT_EQ(Record().stage(), master::v1::STOPPING);
  site_.wanted = false;
  Step();
  Step();
  EXPECT_TRUE(Empty());
}

TEST_F(RentalsTest, NothingIsForgottenWhileTheProviderDoesNotAnswer) {
  site_.wanted = true;
  cloud_.start_answers = false;
  Step();
  site_.wanted = false;
  cloud_.no_lists = Error(Code::kUnavailable, "down");
  for (int i = 0; i < 5; ++i) Step(100);
  EXPECT_EQ(site_.records.size(), 1u);
  cloud_.no_lists.reset();
  cloud_.no_stops = Error(Code::kUnavailable, "down");
  for (int i = 0; i < 5; ++i) Step(100);
  EXPECT_EQ(site_.records.size(), 1u);
  EXPECT_NE(Record().problem().find("down"), std::string::npos);
  cloud_.no_stops.reset();
  Step();
  EXPECT_TRUE(Empty());
}

TEST_F(RentalsTest, AMachineThatNobodyKnowsIsStoppedWhenItIsSeenTwice) {
  Step();
  cloud_.machines["i-99"] = "strata-a-77";
  cloud_.machines["i-98"] = "strata-b-1";  // Another cluster's.
  Step(61);
  EXPECT_TRUE(cloud_.machines.contains("i-99"));
  site_.leads = false;
  Step(61);
  EXPECT_TRUE(cloud_.machines.contains("i-99"));  // The one who leads may know it.
  site_.leads = true;
  Step(61);
  EXPECT_FALSE(cloud_.machines.contains("i-99"));
  EXPECT_TRUE(cloud_.machines.contains("i-98"));
  EXPECT_EQ(rentals_->Views()[0].strays, 1u);
}

TEST_F(RentalsTest, AMachineThatIsListedAfterItsStopIsNoStray) {
  int stops = 0;
  cloud_.on_stop = [&] { ++stops; };
  cloud_.lists_stopped = true;
  Rent();
  Step();  // From here on it is seen without nodes.
  Step(601);
  for (int i = 0; i < 3; ++i) Step();
  ASSERT_TRUE(site_.records.empty());
  ASSERT_EQ(stops, 1);
  cloud_.machines["i-99"] = "strata-a-77";  // One that is.
  for (int i = 0; i < 10; ++i) Step(61);
  EXPECT_EQ(stops, 2);
  EXPECT_EQ(rentals_->Views()[0].strays, 1u);
  Step(3600);  // It may not have been stopped after all.
  EXPECT_EQ(stops, 4);
  EXPECT_EQ(rentals_->Views()[0].strays, 1u);
  cloud_.machines.clear();
  Step(3600);
  EXPECT_EQ(stops, 4);
}

TEST_F(RentalsTest, AHostThatDoesNotGetEmptyIsUsedAgain) {
  Rent();
  Step();  // From here on it is seen without nodes.
  Step(601);
  ASSERT_EQ(Record().stage(), master::v1::RETURNING);
  const std::string host = Record().host();
  site_.hosts[host].nodes = 1;  // It came just before the drain, and must not move.
  site_.hosts[host].stays = true;
  Step();
  EXPECT_EQ(Record().stage(), master::v1::RUNNING);
  EXPECT_FALSE(site_.hosts[host].draining);
  EXPECT_FALSE(cloud_.machines.empty());
}

TEST_F(RentalsTest, AHostThatAnAdministratorDrainsIsGivenBackWhenItIsEmpty) {
  Rent();
  const std::string host = Record().host();
  site_.hosts[host].nodes = 1;
  site_.hosts[host].draining = true;
  Step(10'000);
  EXPECT_EQ(Record().stage(), master::v1::RUNNING);  // Its node stays, whatever he wants.
  site_.hosts[host].nodes = 0;
  site_.hosts[host].looked = true;
  Step();
  Step(601);
  for (int i = 0; i < 2; ++i) Step();
  EXPECT_TRUE(Empty());
}

TEST_F(RentalsTest, AHostThatIsUsedAgainIsNotDrainedAnyMore) {
  Rent();
  Step();  // From here on it is seen without nodes.
  Step(601);
  ASSERT_EQ(Record().stage(), master::v1::RETURNING);
  RentalSite::Host& host = site_.hosts[Record().host()];
  ASSERT_TRUE(host.draining);
  host.nodes = 1;  // It came just before the drain.
  host.present = false;
  Step();
  EXPECT_EQ(Record().stage(), master::v1::RUNNING);
  EXPECT_EQ(Record().problem(), "nothing is heard of it");
  EXPECT_FALSE(host.draining);
}

TEST_F(RentalsTest, AHostThatIsNotHeardOfIsKeptBecauseItHasData) {
  Rent();
  site_.hosts[Record().host()].present = false;
  site_.hosts[Record().host()].nodes = 1;
  for (int i = 0; i < 5; ++i) Step(1000);
  EXPECT_EQ(Record().stage(), master::v1::RUNNING);
  EXPECT_EQ(Record().problem(), "nothing is heard of it");
  EXPECT_EQ(cloud_.machines.size(), 1u);
  site_.hosts[Record().host()].present = true;
  Step();
  EXPECT_EQ(Record().problem(), "");
}

TEST_F(RentalsTest, AHostThatIsNotHeardOfAndHasNothingIsGivenBack) {
  Rent();
  site_.hosts.clear();
  Step();
  EXPECT_EQ(Record().problem(), "nothing is heard of it");
  Step(601);
  for (int i = 0; i < 3; ++i) Step();
  EXPECT_TRUE(Empty());
}

TEST_F(RentalsTest, OneStartAtATimeAndAPauseAfterIt) {
  Rent();
  site_.hosts[Record().host()].nodes = 1;
  site_.wanted = true;  // The scheduler's state of the fake knows no host.
  Step();
  EXPECT_EQ(cloud_.orders.size(), 1u);
  EXPECT_TRUE(site_.answer->wait);
  Step(60);
  EXPECT_EQ(cloud_.orders.size(), 2u);
  Step(120);
  EXPECT_EQ(cloud_.orders.size(), 2u);  // The limit of machines, and one on its way.
}

TEST_F(RentalsTest, WithoutATokenNothingIsRented) {
  site_.no_token = Error(Code::kFailedPrecondition, "host lab-2 issues none");
  site_.wanted = true;
  Step();
  Step();
  EXPECT_TRUE(cloud_.orders.empty());
  EXPECT_TRUE(site_.records.empty());
  EXPECT_NE(site_.answer->why.find("lab-2 issues none"), std::string::npos);
}

TEST_F(RentalsTest, ARecordThatCannotBeReadIsAnError) {
  site_.records["strata-a-5"] = "\xff\xff";
  std::vector<Rentals::Lender> none;
  RentalOptions options;
  options.threaded = false;
  EXPECT_EQ(Rentals::Open(options, std::move(none), site_).error().code(), Code::kCorrupt);
}

}  // namespace
}  // namespace strata::vcluster
