// A catalog that lacks what this host wrote is refused, and one that has it never is.
#include "common/records/etcd/writer_memory.h"

#include <gtest/gtest.h>

#include "common/file_io.h"
#include "tests/unit/records/etcd_server.h"
#include "tests/unit/records/test_records.h"

namespace strata::records {
namespace {

class WriterMemoryTest : public ::testing::Test {
 protected:
  WriterMemory Load(const std::string& catalog = "catalog") {
    WriterMemory memory(path_, catalog);
    EXPECT_TRUE(memory.Load().ok());
    return memory;
  }

  const TemporaryDirectory directory_ =
      std::move(*TemporaryDirectory::Create("/var/tmp", "strata-writer."));
  const std::string path_ = directory_.path() + "/written";
};

TEST_F(WriterMemoryTest, ItCoversWhatItWroteAndMore) {
  WriterMemory first = Load();
  EXPECT_TRUE(first.Covers(std::nullopt));
  EXPECT_TRUE(first.Covers("anything"));
  ASSERT_TRUE(first.Begin("s1").ok());
  EXPECT_TRUE(Load().Covers(std::nullopt)) << "it may have died before its first write";
  first.Wrote("s1", 0);
  first.Wrote("s1", 7);
  for (const WriterMemory& memory : {first, Load()}) {
    EXPECT_TRUE(memory.Covers("s1:7"));
    EXPECT_TRUE(memory.Covers("s1:8"));
    EXPECT_TRUE(memory.Covers("fence s1:9"));
    EXPECT_FALSE(memory.Covers("s1:6"));
    EXPECT_FALSE(memory.Covers("fence s1:6"));
    EXPECT_FALSE(memory.Covers("s0:9"));
    EXPECT_FALSE(memory.Covers(std::nullopt));
    EXPECT_FALSE(memory.Covers("damaged"));
    EXPECT_FALSE(memory.Covers("s1:x"));
  }
  ASSERT_TRUE(first.Begin("s2").ok());
  WriterMemory second = Load();
  EXPECT_TRUE(second.Covers("s1:7")) << "died before the first write";
  EXPECT_TRUE(second.Covers("s2:0")) << "died after it";
  EXPECT_FALSE(second.Covers("s1:6"));
  second.Wrote("s2", 0);
  EXPECT_FALSE(Load().Covers("s1:7"));
  EXPECT_TRUE(Load("another catalog").Covers("s1:1"));
}

TEST_F(WriterMemoryTest, ADamagedFileRemembersNothing) {
  WriterMemory memory = Load();
  ASSERT_TRUE(memory.Begin("s1").ok());
  memory.Wrote("s1", 7);
  const std::string good = *ReadFile(path_);
  for (const std::string& bad : {std::string(), good.substr(0, good.size() - 4), "x" + good}) {
    ASSERT_TRUE(WriteFileAtomically(path_, bad).ok());
    EXPECT_TRUE(Load().Covers("s0:1"));
  }
}

TEST_F(WriterMemoryTest, ARestoredSnapshotIsRefusedUntilItIsAccepted) {
  EtcdServer etcd;
  EtcdOptions options = etcd.OptionsFor(TestTables(), "one");
  options.memory_path = path_;
  const auto put = [&](const std::string& key) {
    const auto store = EtcdRecordStore::Open(options);
    ASSERT_TRUE(store.ok()) << store.error().message();
    EXPECT_TRUE((*store)->Put(kQuotas, key, "value").ok());
  };
  put("before");
  put("before too");
  etcd.Save();
  etcd.Start();
  put("after");
  etcd.Restore();
  etcd.Start();
  for (int i = 0; i < 2; ++i) {
    const auto refused = EtcdRecordStore::Open(options);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition);
    EXPECT_NE(refused.error().message().find("--accept-older-catalog"), std::string::npos);
  }
  const auto other = EtcdRecordStore::Open(etcd.OptionsFor(TestTables(), "two"));
  EXPECT_TRUE(other.ok()) << "a host that wrote nothing since loses nothing";
  options.accept_older = true;
  put("again");
  options.accept_older = false;
  put("and again");
}

}  // namespace
}  // namespace strata::records
