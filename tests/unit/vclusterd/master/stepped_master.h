// SteppedMaster: a master without threads over hosts in memory. Whoever waits for something has
// the next thing happen; time moves on by that alone.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "tests/unit/vclusterd/master/fake_host.h"
#include "tests/unit/vclusterd/test_users.h"
#include "vclusterd/master/clusters.h"
#include "vclusterd/master/master.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {

class SteppedMaster {
 public:
  using Clock = MasterOptions::Clock;
  static constexpr std::chrono::milliseconds kStep{10};

  explicit SteppedMaster(records::RecordStore& store) : users(*user_records) {
    MasterOptions options;
    options.name = "m1";
    options.pool = net::Ipv4Prefix::Parse("10.215.0.0/16").value();
    options.user_name = [](uint32_t uid) { return std::to_string(uid); };
    options.now_unix_ms = [this] {
      return std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
    };
    options.steady_now = [this] { return now; };
    options.network_limit = [this](uint32_t uid) { return network_limits[uid]; };
    options.pause = [this] { Step(); };
    auto opened = Master::Open(options, store);
    EXPECT_TRUE(opened.ok()) << opened.error().message();
    master = std::move(*opened);
    clusters = std::make_unique<Clusters>(*master, *users);
  }

  void AddHost(const std::string& name) {
    if (hosts[name] == nullptr) {
      hosts[name] = std::make_shared<FakeHost>();
      hosts[name]->underlay_address = "192.0.2." + std::to_string(hosts.size());
    }
    master->AddHost(name, hosts[name], hosts[name]->Statuses());
  }
  void Step() {
    now += kStep;
    master->Step();
    for (const Master::Dispatch& dispatch : master->TakeOrders()) {
      master->Answer(dispatch, dispatch.link->Apply(dispatch.orders));
    }
  }
  void For(Clock::duration time) {
    for (const Clock::time_point end = now + time; now < end;) Step();
  }

  Clock::time_point now{std::chrono::hours(1000)};
  std::map<std::string, std::shared_ptr<FakeHost>> hosts;
  std::map<uint32_t, uint64_t> network_limits;  // By owner; none: 0.
  std::unique_ptr<records::RecordStore> user_records =
      records::MakeMemoryRecordStore(DesiredTables());
  TestUsers users;
  std::unique_ptr<Master> master;
  std::unique_ptr<Clusters> clusters;
};

}  // namespace strata::vcluster
