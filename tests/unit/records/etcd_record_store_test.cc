// What only records in etcd can meet: several hosts, an etcd that dies, is slow, forgets or is
// another one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "common/records/etcd/etcd_client.h"
#include "tests/unit/records/etcd_server.h"
#include "tests/unit/records/test_records.h"

namespace strata::records {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

// What one host hears, and waiting for it.
class Ear {
 public:
  explicit Ear(RecordStore* store) : store_(store) {
    EXPECT_TRUE(store_
                    ->Follow([this](const std::vector<RecordChange>& changes) {
                      const std::lock_guard lock(mutex_);
                      for (const RecordChange& change : changes) {
                        order_.push_back(change.key + "=" + change.value.value_or("-"));
                      }
                      heard_.notify_all();
                    })
                    .ok());
  }
  ~Ear() { store_->Unfollow(); }
  bool Hears(const std::string& what) {
    std::unique_lock lock(mutex_);
    return heard_.wait_for(lock, std::chrono::seconds(20), [&] {
      return std::find(order_.begin(), order_.end(), what) != order_.end();
    });
  }
  std::vector<std::string> order() {
    const std::lock_guard lock(mutex_);
    return order_;
  }

 private:
  RecordStore* const store_;
  std::mutex mutex_;
  std::condition_variable heard_;
  std::vector<std::string> order_;
};

class EtcdRecordStoreTest : public testing::Test {
 protected:
  std::unique_ptr<EtcdRecordStore> OpenFor(const std::string& host,
                                           milliseconds answer_max = std::chrono::seconds(10)) {
    EtcdOptions options = etcd_.OptionsFor(TestTables(), host);
    options.location.answer_max = answer_max;
    auto opened = EtcdRecordStore::Open(options);
    EXPECT_TRUE(opened.ok()) << opened.error().message();
    return opened.ok() ? std::move(*opened) : nullptr;
  }
  int64_t CompactAll() {
    auto client = EtcdClient::Open(etcd_.OptionsFor(TestTables(), "x").location);
    EXPECT_TRUE(client.ok());
    etcdserverpb::RangeRequest look;
    look.set_key("/test/id");
    const auto now = (*client)->Range(look, (*client)->Deadline());
    EXPECT_TRUE(now.ok());
    etcdserverpb::CompactionRequest compact;
    compact.set_revision(now->header().revision());
    compact.set_physical(true);
    EXPECT_TRUE((*client)->Compact(compact, (*client)->Deadline()).ok());
    return now->header().revision();
  }

  EtcdServer etcd_;
};

TEST_F(EtcdRecordStoreTest, EveryHostHearsAllCommitsInOneOrder) {
  const auto one = OpenFor("one");
  const auto two = OpenFor("two");
  Ear first(one.get());
  Ear second(two.get());
  std::jthread a([&] {
    for (int i = 0; i < 50; ++i) ASSERT_OK(one->Put(kTags, "k", "a" + std::to_string(i)));
  });
  std::jthread b([&] {
    for (int i = 0; i < 50; ++i) ASSERT_OK(two->Put(kTags, "k", "b" + std::to_string(i)));
  });
  a.join();
  b.join();
  ASSERT_OK(one->Put(kTags, "last", "1"));
  ASSERT_TRUE(first.Hears("last=1"));
  ASSERT_TRUE(second.Hears("last=1"));
  EXPECT_EQ(first.order().size(), 101u);
  EXPECT_EQ(first.order(), second.order());
  EXPECT_EQ(*two->Get(kTags, "last"), "1");
}

TEST_F(EtcdRecordStoreTest, KeysAreNamedAfterTheirTables) {
  const auto store = OpenFor("one");
  ASSERT_OK(
      store->Commit({}, {{kTags, "a", "1"}, {kImages, "x/y", "2"}}, {{"owner/1", std::nullopt}}));
  auto client = EtcdClient::Open(etcd_.OptionsFor(TestTables(), "x").location);
  ASSERT_OK(client);
  etcdserverpb::RangeRequest all;
  all.set_key("/");
  all.set_range_end("0");
  const auto found = (*client)->Range(all, (*client)->Deadline());
  ASSERT_OK(found);
  std::vector<std::string> keys;
  for (const auto& kv : found->kvs()) keys.push_back(kv.key());
  EXPECT_THAT(keys, testing::ElementsAre("/test/id", "/test/images/x/y", "/test/scopes/owner/1",
                                         "/test/tags/a", "/test/writers/one"));
}

TEST_F(EtcdRecordStoreTest, CountersOfTwoHostsLoseNothing) {
  const auto one = OpenFor("one");
  const auto two = OpenFor("two");
  ASSERT_OK(one->Put(kQuotas, "n", "0"));
  Ear first(one.get());
  Ear second(two.get());
  ASSERT_TRUE(second.Hears("n=0"));
  // Decides by what it reads, and commits against a mark alone.
  const auto add = [](RecordStore* store) {
    for (int done = 0; done < 40;) {
      const ScopeMark mark = store->Mark("counter");
      const int before = std::stoi(**store->Get(kQuotas, "n"));
      done += store->Commit({}, {{kQuotas, "n", std::to_string(before + 1)}}, {mark}).ok();
    }
  };
  std::jthread a(add, one.get()), b(add, two.get());
  a.join();
  b.join();
  ASSERT_TRUE(first.Hears("n=80") && second.Hears("n=80"));
  EXPECT_EQ(*one->Get(kQuotas, "n"), "80");
}

TEST_F(EtcdRecordStoreTest, WhenEtcdDiesReadsGoOnAndCommitsFailInTimeAndSayWhatToDo) {
  const auto store = OpenFor("one", milliseconds(1500));
  ASSERT_OK(store->Put(kTags, "a", "1"));
  etcd_.Kill();
  const auto start = std::chrono::steady_clock::now();
  const Status failed = store->Put(kTags, "a", "2");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(4));
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code(), Code::kUnavailable);
  EXPECT_THAT(failed.error().message(), HasSubstr("etcd://127.0.0.1:"));
  EXPECT_THAT(failed.error().message(), HasSubstr("majority"));
  EXPECT_EQ(*store->Get(kTags, "a"), "1");
  etcd_.Start();
  Ear ear(store.get());
  Status again = Error(Code::kUnavailable, "");
  for (int attempt = 0; attempt < 10 && !again.ok(); ++attempt) {
    again = store->Put(kTags, "a", "3");
  }
  ASSERT_OK(again);
  EXPECT_TRUE(ear.Hears("a=3"));
}

// Each writer counts what it was told; what it was told is what happened.
TEST_F(EtcdRecordStoreTest, KillsInTheMiddleOfCommitsApplyNothingTwiceAndLoseNothing) {
  const auto one = OpenFor("one");
  const auto two = OpenFor("two");
  ASSERT_OK(one->Put(kQuotas, "n", ""));
  Ear first(one.get());
  Ear second(two.get());
  ASSERT_TRUE(second.Hears("n="));
  std::atomic<bool> stop = false;
  std::atomic<int> commits = 0;
  const auto write = [&](RecordStore* store, const std::string& name,
                         std::vector<std::string>* told, std::vector<std::string>* unknown) {
    for (int i = 0; !stop; ++i) {
      const std::string mine = name + std::to_string(i) + ",";
      for (bool settled = false; !settled && !stop;) {
        const std::string before = **store->Get(kQuotas, "n");
        const Status done =
            store->Commit({{kQuotas, "n", before}}, {{kQuotas, "n", before + mine}});
        if (done.ok()) {
          told->push_back(mine);
          ++commits;
          settled = true;
        } else if (done.error().code() != Code::kFailedPrecondition) {
          const bool not_made = done.error().message().find("not made") != std::string::npos;
          if (!not_made) {
            unknown->push_back(mine);
            settled = true;
          }
        }
      }
    }
  };
  std::vector<std::string> told_a, told_b, unknown;
  std::vector<std::string> unknown_b;
  std::jthread a(write, one.get(), "a", &told_a, &unknown);
  std::jthread b(write, two.get(), "b", &told_b, &unknown_b);
  for (int round = 0; round < 5; ++round) {
    const int before = commits;
    while (commits < before + 15) std::this_thread::yield();
    etcd_.Kill();
    etcd_.Start();
  }
  const int before = commits;
  while (commits < before + 15) std::this_thread::yield();
  stop = true;
  a.join();
  b.join();
  unknown.insert(unknown.end(), unknown_b.begin(), unknown_b.end());
  ASSERT_OK(one->Put(kTags, "end", "1"));
  ASSERT_TRUE(second.Hears("end=1"));
  const std::string text = **two->Get(kQuotas, "n");
  std::map<std::string, int> times;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find(',', at) + 1;
    ++times[text.substr(at, end - at)];
    at = end;
  }
  for (const auto* told : {&told_a, &told_b}) {
    for (const std::string& mine : *told) EXPECT_EQ(times[mine], 1) << mine;
  }
  for (const std::string& mine : unknown) EXPECT_LE(times[mine], 1) << mine;
  EXPECT_LE(times.size(), told_a.size() + told_b.size() + unknown.size());
}

TEST_F(EtcdRecordStoreTest, ACommitWhoseAnswerIsLateIsSettledAndNeverDoneLater) {
  const auto store = OpenFor("one", milliseconds(1000));
  ASSERT_OK(store->Put(kTags, "a", "1"));
  etcd_.Signal(SIGSTOP);
  // It lies in the stopped etcd's socket, and may be done as soon as that goes on.
  const Status unknown = store->Put(kTags, "a", "2");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code(), Code::kUnavailable);
  EXPECT_THAT(unknown.error().message(), HasSubstr("not known"));
  etcd_.Signal(SIGCONT);
  Status next = Error(Code::kUnavailable, "");
  for (int attempt = 0; attempt < 10 && !next.ok(); ++attempt) {
    next = store->Put(kTags, "a", "3");
  }
  ASSERT_OK(next);
  EXPECT_EQ(*store->Get(kTags, "a"), "3");
  ASSERT_OK(store->Put(kTags, "b", "1"));
  EXPECT_EQ(*store->Get(kTags, "a"), "3") << "the one before came after it";
}

TEST_F(EtcdRecordStoreTest, WhatWasCompactedMeanwhileIsReadAgainAsDifferences) {
  const auto one = OpenFor("one");
  ASSERT_OK(one->Put(kTags, "stays", "1"));
  ASSERT_OK(one->Put(kTags, "goes", "1"));
  Ear first(one.get());
  const int port = etcd_.client_port();
  const auto move = [&](int to) {
    etcd_.Kill();
    etcd_.MoveTo(to);
    etcd_.Start();
  };
  move(FreePort());  // The first host does not find it there.
  {
    const auto two = OpenFor("two");
    ASSERT_OK(two->Delete(kTags, "goes"));
    ASSERT_OK(two->Put(kTags, "comes", "1"));
    CompactAll();
    ASSERT_OK(two->Put(kTags, "then", "1"));
  }
  move(port);
  ASSERT_TRUE(first.Hears("then=1"));
  EXPECT_TRUE(first.Hears("goes=-"));
  EXPECT_TRUE(first.Hears("comes=1"));
  const auto order = first.order();
  EXPECT_EQ(std::count(order.begin(), order.end(), "stays=1"), 1) << "it did not change";
}

TEST_F(EtcdRecordStoreTest, TwoImagedOfOneNameAreTold) {
  const auto one = OpenFor("one");
  ASSERT_OK(one->Put(kTags, "a", "1"));
  const auto again = OpenFor("one");
  ASSERT_OK(again->Put(kTags, "a", "2"));
  const Status refused = one->Put(kTags, "a", "3");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kAlreadyExists);
  EXPECT_THAT(refused.error().message(), HasSubstr("--peer-name"));
  EXPECT_EQ(*again->Get(kTags, "a"), "2");
}

TEST_F(EtcdRecordStoreTest, AnEtcdThatLostItsDataIsNotTakenForAnEmptyCatalog) {
  const auto store = OpenFor("one", milliseconds(1500));
  const std::string id = store->store_id();
  ASSERT_OK(store->Put(kTags, "a", "1"));
  etcd_.LoseEverything();
  etcd_.Start();
  const auto other = OpenFor("two");
  ASSERT_NE(other, nullptr);
  EXPECT_NE(other->store_id(), id);
  while (store->Health().ok() || store->Health().error().code() != Code::kCorrupt) {
    std::this_thread::yield();
  }
  EXPECT_EQ(*store->Get(kTags, "a"), "1");
  EXPECT_EQ(store->Put(kTags, "a", "2").error().code(), Code::kCorrupt);
  EtcdOptions expecting = etcd_.OptionsFor(TestTables(), "one");
  expecting.expected_id = id;
  EXPECT_EQ(EtcdRecordStore::Open(expecting).error().code(), Code::kCorrupt);
  expecting.location.prefix = "/nothing";
  EXPECT_EQ(EtcdRecordStore::Open(expecting).error().code(), Code::kNotFound);
}

TEST_F(EtcdRecordStoreTest, ADeadMemberGivesWayToTheNext) {
  EtcdOptions options = etcd_.OptionsFor(TestTables(), "one");
  options.location.endpoints.insert(options.location.endpoints.begin(), "127.0.0.1:1");
  auto store = EtcdRecordStore::Open(options);
  ASSERT_OK(store);
  ASSERT_OK((*store)->Put(kTags, "a", "1"));
  EXPECT_EQ(*(*store)->Get(kTags, "a"), "1");
}

TEST_F(EtcdRecordStoreTest, ManyPagesAreLoadedAsOfOneMoment) {
  const auto one = OpenFor("one");
  for (int page = 0; page < 4; ++page) {
    std::vector<RecordChange> changes;
    for (int i = 0; i < 100; ++i) {
      changes.push_back({kTags, std::to_string(page * 100 + i), "v"});
    }
    ASSERT_OK(one->Commit({}, changes));
  }
  const auto two = OpenFor("two");
  size_t found = 0;
  ASSERT_OK(two->Scan(kTags, "", [&](const auto&, const auto&) -> Status {
    ++found;
    return Ok();
  }));
  EXPECT_EQ(found, 400u);
}

TEST(EtcdLocationTest, ALocationNamesMembersAndAPrefix) {
  const auto two = ParseEtcdLocation("etcd://10.0.0.1:2379,h2.lab:2379/clusters/a/");
  ASSERT_OK(two);
  EXPECT_THAT(two->endpoints, testing::ElementsAre("10.0.0.1:2379", "h2.lab:2379"));
  EXPECT_EQ(two->prefix, "/clusters/a");
  EXPECT_EQ(ParseEtcdLocation("etcd://h:1")->prefix, "/strata");
  for (const char* bad : {"", "http://h:1", "etcd://", "etcd://h", "etcd://h:", "etcd://h:1,",
                          "etcd://h:x", "etcd://h:1/", "etcd://a b:1"}) {
    EXPECT_EQ(ParseEtcdLocation(bad).error().code(), Code::kInvalidArgument) << bad;
  }
}

TEST(EtcdLocationTest, WithoutTlsOnlyThisMachineIsCalled) {
  auto location = *ParseEtcdLocation("etcd://127.0.0.1:1,10.0.0.1:2379/x");
  EXPECT_THAT(EtcdClient::Open(location).error().message(), HasSubstr("--etcd-ca"));
  location.insecure = true;
  EXPECT_TRUE(EtcdClient::Open(location).ok());
  EXPECT_TRUE(EtcdClient::Open(*ParseEtcdLocation("etcd://127.0.0.1:1,[::1]:2/x")).ok());
  location.ca_file = "/nowhere";
  EXPECT_EQ(EtcdClient::Open(location).error().code(), Code::kNotFound);
}

}  // namespace
}  // namespace strata::records
