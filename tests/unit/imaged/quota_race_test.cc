// Two hosts of one catalog in a real etcd that publish for one user at once.
#include <atomic>
#include <thread>

#include "imaged/catalog/tables.h"
#include "tests/unit/imaged/repository_fixture.h"
#include "tests/unit/records/etcd_server.h"

namespace strata::imaged {
namespace {

constexpr uint64_t kLimit = 200'000;
constexpr size_t kFileBytes = 30'000;
constexpr int kImagesPerHost = 10;
// With their manifests of 4 KiB; one more would go past the limit.
constexpr int kFit = 5;

class QuotaRaceTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_.emplace(std::move(*TemporaryDirectory::Create("/var/tmp", "strata-quotas.")));
    for (const char* name : {"one", "two"}) {
      auto records = records::EtcdRecordStore::Open(etcd_.OptionsFor(CatalogTables(), name));
      ASSERT_OK(records);
      CatalogOptions options;
      options.host = name;
      auto opened =
          Repository::OpenShared(directory_->path() + "/" + name, std::move(*records), {}, options);
      ASSERT_OK(opened);
      hosts_.push_back(std::move(*opened));
    }
  }
  std::string Tar(const std::string& salt) {
    std::string content = salt;
    content.resize(kFileBytes, '.');
    return MakeTar(directory_->path() + "/scratch", {{"file", content}});
  }
  v1::Usage UsageOn(size_t host) {
    const auto report = hosts_[host]->usage().Report(kAlice, {});
    EXPECT_TRUE(report.ok());
    return report->usages(0);
  }

  records::EtcdServer etcd_;
  std::optional<TemporaryDirectory> directory_;
  std::vector<std::unique_ptr<Repository>> hosts_;
};

TEST_F(QuotaRaceTest, WhatTwoHostsPublishAtOnceStaysWithinTheLimit) {
  v1::SetQuotaRequest quota;
  quota.set_subject("user:" + std::to_string(kAlice));
  quota.set_limit_bytes(kLimit);
  ASSERT_OK(hosts_[0]->usage().SetQuota(0, quota));
  const auto seen_by = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (UsageOn(1).limit_bytes() != kLimit) {
    ASSERT_LT(std::chrono::steady_clock::now(), seen_by) << "the quota does not arrive";
    std::this_thread::yield();
  }
  std::vector<std::vector<std::string>> tars(hosts_.size());
  for (size_t host = 0; host < hosts_.size(); ++host) {
    for (int i = 0; i < kImagesPerHost; ++i) {
      tars[host].push_back(Tar(std::to_string(host) + "-" + std::to_string(i)));
    }
  }
  std::atomic<int> published = 0;
  std::atomic<int> refused = 0;
  {
    std::vector<std::jthread> threads;
    for (size_t host = 0; host < hosts_.size(); ++host) {
      threads.emplace_back([&, host] {
        for (int i = 0; i < kImagesPerHost; ++i) {
          v1::ImportOptions options;
          options.set_reference("h" + std::to_string(host) + "-" + std::to_string(i));
          const auto made = hosts_[host]->Import(
              kAlice, options, SourceOf(tars[host][static_cast<size_t>(i)]), CancelToken(), {});
          if (made.ok()) {
            ++published;
          } else {
            EXPECT_EQ(made.error().code(), Code::kResourceExhausted) << made.error().message();
            ++refused;
          }
        }
      });
    }
  }
  EXPECT_EQ(published, kFit);
  EXPECT_EQ(refused, 2 * kImagesPerHost - kFit);
  for (size_t host = 0; host < hosts_.size(); ++host) {
    const auto told_by = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (UsageOn(host).images() != static_cast<uint64_t>(published)) {
      ASSERT_LT(std::chrono::steady_clock::now(), told_by) << "what the other published";
      std::this_thread::yield();
    }
    EXPECT_LE(UsageOn(host).unique_bytes(), kLimit);
    EXPECT_GE(UsageOn(host).unique_bytes(), kFit * kFileBytes);
  }
}

}  // namespace
}  // namespace strata::imaged
