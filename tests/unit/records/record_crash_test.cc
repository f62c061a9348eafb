// Records after crashes and damage: what was acknowledged is there, RocksDB is made anew from the
// journal and the journal from RocksDB, and what cannot be right is refused and left as it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <sstream>

#include "common/file_io.h"
#include "common/records/record_recovery.h"
#include "common/records/record_store.h"
#include "tests/crash/kill_at_call.h"
#include "tests/unit/records/test_records.h"

namespace strata::records {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

using Records = std::map<std::string, std::string>;  // "table key" -> value.

class RecordCrashTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_.emplace(std::move(*TemporaryDirectory::Create("/var/tmp", "strata-journal.")));
  }
  std::string Dir() const { return directory_->path() + "/state"; }
  std::string Copy() const { return directory_->path() + "/copy"; }
  std::string LastLog() const {
    std::string last;
    for (const auto& file : fs::directory_iterator(JournalDirectory(Dir()))) {
      if (file.path().filename().string().starts_with("log."))
        last = std::max(last, file.path().string());
    }
    return last;
  }
  void Save() { fs::copy(Dir(), Copy(), fs::copy_options::recursive); }
  void Restore() {
    fs::remove_all(Dir());
    fs::copy(Copy(), Dir(), fs::copy_options::recursive);
  }

  static Status ChangeTwo(RecordStore& store, const std::string& name, const std::string& value) {
    return store.Commit({}, {{kImages, name, value}, {kTags, name, value}});
  }
  // Changes in all tables, deletions among them.
  static Status Fill(RecordStore& store, int from, int to) {
    for (int i = from; i < to; ++i) {
      const Table table = kTables[i % std::size(kTables)];
      const std::string key = "key" + std::to_string(i % 17);
      if (i % 7 == 6) {
        RETURN_IF_ERROR(store.Delete(table, key));
      } else {
        RETURN_IF_ERROR(store.Put(
            table, key, std::string(static_cast<size_t>(i * 13 % 300), 'v') + std::to_string(i)));
      }
    }
    return Ok();
  }
  static Records ReadAll(RecordStore& store) {
    Records all;
    for (const Table table : kTables) {
      EXPECT_TRUE(store
                      .Scan(table, "",
                            [&](const auto& key, const auto& value) -> Status {
                              all[std::string(table.name) + " " + key] = value;
                              return Ok();
                            })
                      .ok());
    }
    return all;
  }
  // Everything that opens RocksDB happens in a child of its own: its threads do not survive a
  // fork, and a killed process must be one that could be alone. Answers what `work` tells.
  std::string InChild(const std::function<std::string()>& work) {
    const std::string told = directory_->path() + "/told";
    const pid_t child = ::fork();
    if (child == 0) ::_exit(WriteFileAtomically(told, work()).ok() ? 0 : 1);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    return ReadFile(told, 1u << 30).value_or("");
  }
  static std::string TextOf(const Records& records) {
    std::string text;
    for (const auto& [key, value] : records) text += key + "\n" + value + "\n";
    return text;
  }
  static Records RecordsOf(const std::string& text) {
    std::istringstream lines(text);
    Records records;
    for (std::string key, value; std::getline(lines, key) && std::getline(lines, value);) {
      records[key] = value;
    }
    return records;
  }
  // As the records are after another start, and after `work`; then it ends as if killed, or well.
  Records After(const std::function<Status(RecordStore&)>& work, bool killed) {
    return RecordsOf(InChild([&]() -> std::string {
      auto store = OpenRocksRecordStore(Dir(), TestOptions());
      if (!store.ok()) return "cannot be opened\n" + store.error().message() + "\n";
      if (Status status = work(**store); !status.ok()) {
        return "failed\n" + status.error().message() + "\n";
      }
      std::string text = TextOf(ReadAll(**store));
      if (killed) (void)store->release();
      return text;
    }));
  }
  Records KillAfter(const std::function<Status(RecordStore&)>& work) { return After(work, true); }
  Records EndAfter(const std::function<Status(RecordStore&)>& work) { return After(work, false); }
  Records Reopened() {
    return EndAfter([](RecordStore&) { return Ok(); });
  }
  // Why the records are not opened; it is kCorrupt.
  std::string Refusal() {
    return InChild([&]() -> std::string {
      const auto opened = OpenRocksRecordStore(Dir(), TestOptions());
      if (opened.ok()) return "is opened";
      if (opened.error().code() != Code::kCorrupt) return "is not kCorrupt";
      return opened.error().message();
    });
  }
  // "records/sequence", or what failed.
  std::string Recover(Result<RecoveredRecords> (*recover)(const std::string&,
                                                          const RocksOptions&)) {
    return InChild([&]() -> std::string {
      const auto recovered = recover(Dir(), TestOptions());
      if (!recovered.ok()) return recovered.error().message();
      return std::to_string(recovered->records) + "/" + std::to_string(recovered->sequence);
    });
  }
  std::string Differences() {
    return InChild([&] {
      std::string problems;
      const Status compared = CompareRecords(
          Dir(), TestOptions(), [&](const std::string& problem) { problems += problem + "\n"; });
      return compared.ok() ? problems : compared.error().message();
    });
  }

  std::optional<TemporaryDirectory> directory_;
};

TEST_F(RecordCrashTest, WhatWasCommittedBeforeAKillIsThereThoughRocksDbHadNotWrittenIt) {
  const Records first = KillAfter([](RecordStore& store) { return Fill(store, 0, 100); });
  EXPECT_EQ(Reopened(), first);
  const Records second = KillAfter([](RecordStore& store) { return Fill(store, 100, 200); });
  EXPECT_NE(first, second);
  EXPECT_EQ(Reopened(), second);
  EXPECT_EQ(Differences(), "");
}

TEST_F(RecordCrashTest, WithoutRocksDbEverythingIsMadeAnew) {
  const Records all = KillAfter([](RecordStore& store) { return Fill(store, 0, 300); });
  ASSERT_OK(RemoveTree(IndexDirectory(Dir())));
  EXPECT_EQ(Reopened(), all);
  ASSERT_OK(RemoveTree(IndexDirectory(Dir())));
  ASSERT_OK(MakeDirectories(IndexDirectory(Dir())));
  EXPECT_EQ(Recover(RebuildIndex), std::to_string(all.size()) + "/300");
  EXPECT_EQ(Reopened(), all);
}

TEST_F(RecordCrashTest, ADamagedRocksDbIsMadeAnew) {
  const Records all = KillAfter([](RecordStore& store) { return Fill(store, 0, 50); });
  Reopened();  // Writes tables.
  for (const auto& file : fs::directory_iterator(IndexDirectory(Dir()))) {
    if (file.path().extension() == ".sst") fs::resize_file(file.path(), 10);
  }
  EXPECT_THAT(Refusal(), HasSubstr("owner rebuild-index"));
  EXPECT_EQ(Recover(RebuildIndex), std::to_string(all.size()) + "/50");
  EXPECT_EQ(Reopened(), all);
}

TEST_F(RecordCrashTest, LongLogsAreReplacedByASnapshotThatHasEverything) {
  const std::string megabyte(1u << 20, 'm');
  KillAfter([&](RecordStore& store) -> Status {
    RETURN_IF_ERROR(Fill(store, 0, 50));
    for (int i = 0; i < 40; ++i)
      RETURN_IF_ERROR(ChangeTwo(store, "large" + std::to_string(i % 3), megabyte));
    return Fill(store, 50, 60);
  });
  uint64_t bytes = 0;
  for (const auto& file : fs::directory_iterator(JournalDirectory(Dir())))
    bytes += file.file_size();
  EXPECT_LT(bytes, 40u << 20) << "of the 80 MiB that were written";
  const Records all = Reopened();
  EXPECT_EQ(all.at("images large2"), megabyte);
  EXPECT_EQ(Differences(), "");
  ASSERT_OK(RemoveTree(IndexDirectory(Dir())));
  EXPECT_EQ(Reopened(), all);
}

TEST_F(RecordCrashTest, ASnapshotIsOnlyMadeOfWhatRocksDbHasFlushed) {
  // Enough for a snapshot, and in no table enough for RocksDB to flush of its own.
  const Records all = KillAfter([](RecordStore& store) -> Status {
    for (int i = 0; i < 18; ++i) {
      RETURN_IF_ERROR(store.Put(kTables[i % std::size(kTables)], "large" + std::to_string(i),
                                std::string(1u << 20, static_cast<char>('a' + i))));
    }
    return Ok();
  });
  EXPECT_FALSE(PathExists(JournalDirectory(Dir()) + "/snapshot.00000000000000000000"));
  EXPECT_EQ(Reopened(), all);
}

TEST_F(RecordCrashTest, ATornLastEntryIsCutWhereverItWasTorn) {
  const Records before = KillAfter([](RecordStore& store) { return Fill(store, 0, 20); });
  const std::string log = LastLog();
  const uint64_t start = ReadFile(log)->find_last_not_of('\0') + 1;
  KillAfter([](RecordStore& store) { return store.Put(kTags, "last", "value"); });
  const uint64_t end = ReadFile(log)->find_last_not_of('\0') + 1;
  ASSERT_GT(end, start + 20);
  Save();
  for (uint64_t torn = start; torn < end; torn += 4) {
    Restore();
    fs::resize_file(log, torn);
    // As a file that was not to grow is torn, or as one that was.
    if (torn % 8 < 4) fs::resize_file(log, end + 100);
    ASSERT_EQ(Reopened(), before) << "torn at " << torn - start;
  }
  // And it goes on behind it.
  const Records after = KillAfter([](RecordStore& store) { return store.Put(kTags, "next", "1"); });
  EXPECT_EQ(after.at("tags next"), "1");
  EXPECT_EQ(Reopened(), after);
}

TEST_F(RecordCrashTest, DamageBeforeTheEndIsRefusedAndLeftAsItIs) {
  const Records all = KillAfter([](RecordStore& store) { return Fill(store, 0, 12); });
  Save();
  const std::string log = LastLog();
  const std::string sound = *ReadFile(log);
  // Up to where the last entry starts: "key11" is in it.
  const uint64_t end = sound.rfind("key11") - 60;
  for (uint64_t at = 0; at < end; at += 29) {
    Restore();
    std::string damaged = sound;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
    ASSERT_OK(WriteFileAtomically(log, damaged));
    ASSERT_THAT(Refusal(), HasSubstr("owner rebuild-journal")) << at;
    ASSERT_EQ(*ReadFile(log), damaged);
  }
}

TEST_F(RecordCrashTest, AJournalIsMadeAnewFromRocksDbAndWhatCanBeReadOfTheOldOne) {
  const Records flushed = EndAfter([](RecordStore& store) { return Fill(store, 0, 60); });
  ASSERT_OK(RemoveTree(JournalDirectory(Dir())));
  EXPECT_THAT(Refusal(), HasSubstr("owner rebuild-journal"));
  EXPECT_EQ(Recover(RebuildJournal), std::to_string(flushed.size()) + "/60");
  EXPECT_EQ(Reopened(), flushed);
  ASSERT_OK(RemoveTree(IndexDirectory(Dir())));
  EXPECT_EQ(Reopened(), flushed);
  // 10 changes that only the journal has, the sixth of them damaged.
  KillAfter([](RecordStore& store) -> Status {
    for (int i = 0; i < 10; ++i)
      RETURN_IF_ERROR(store.Put(kTags, "extra" + std::to_string(i), "1"));
    return Ok();
  });
  std::string log = *ReadFile(LastLog());
  log[log.find("extra5")] = 'E';
  ASSERT_OK(WriteFileAtomically(LastLog(), log));
  EXPECT_THAT(Refusal(), HasSubstr("damaged"));
  EXPECT_EQ(Recover(RebuildJournal), std::to_string(flushed.size() + 5) + "/65");
  Records expected = flushed;
  for (int i = 0; i < 5; ++i) expected["tags extra" + std::to_string(i)] = "1";
  EXPECT_EQ(Reopened(), expected);
  EXPECT_TRUE(PathExists(JournalDirectory(Dir()) + ".damaged"));
}

TEST_F(RecordCrashTest, AJournalThatEndsBeforeRocksDbIsRefused) {
  EndAfter([](RecordStore& store) { return Fill(store, 0, 20); });
  Save();
  EndAfter([](RecordStore& store) { return Fill(store, 20, 30); });
  ASSERT_OK(RemoveTree(JournalDirectory(Dir())));
  fs::copy(JournalDirectory(Copy()), JournalDirectory(Dir()), fs::copy_options::recursive);
  EXPECT_THAT(Refusal(), HasSubstr("ends with change 20, but its index has change 30"));
}

TEST_F(RecordCrashTest, AJournalThatHasATableOfALaterVersionIsRefusedAndLeftAsItIs) {
  RocksOptions later = TestOptions();
  later.tables.push_back(Table{"later"});
  InChild([&] {
    EXPECT_TRUE((*OpenRocksRecordStore(Dir(), later))->Put(Table{"later"}, "a", "1").ok());
    return "";
  });
  const std::string log = *ReadFile(LastLog());
  EXPECT_THAT(InChild([&] {
                const auto opened = OpenRocksRecordStore(Dir(), TestOptions());
                if (opened.ok()) return std::string("is opened");
                EXPECT_EQ(opened.error().code(), Code::kUnsupported);
                return opened.error().message();
              }),
              HasSubstr("the table later is of a later version"));
  EXPECT_EQ(*ReadFile(LastLog()), log);
}

TEST_F(RecordCrashTest, AChangeOfATableThatTheStoreHasNotStopsBeforeTheJournalHasIt) {
  const Records before = KillAfter([](RecordStore& store) { return Fill(store, 0, 5); });
  EXPECT_DEATH((void)(*OpenRocksRecordStore(Dir(), TestOptions()))->Put(Table{"foreign"}, "a", "1"),
               "CHECK failed");
  EXPECT_EQ(Reopened(), before);
}

TEST_F(RecordCrashTest, ComparingFindsARecordThatDiffers) {
  EndAfter([](RecordStore& store) { return Fill(store, 0, 20); });
  EXPECT_EQ(Differences(), "");
  Save();
  // A catalog of other records with as many changes.
  ASSERT_OK(RemoveTree(Dir()));
  EndAfter([](RecordStore& store) -> Status {
    for (int i = 0; i < 20; ++i)
      RETURN_IF_ERROR(
          store.Put(kTables[i % std::size(kTables)], "key" + std::to_string(i), "other"));
    return Ok();
  });
  ASSERT_OK(RemoveTree(JournalDirectory(Dir())));
  fs::copy(JournalDirectory(Copy()), JournalDirectory(Dir()), fs::copy_options::recursive);
  const std::string differences = Differences();
  EXPECT_THAT(differences, HasSubstr("differs from the journal"));
  EXPECT_THAT(differences, HasSubstr("is only in the journal"));
  EXPECT_THAT(differences, HasSubstr("is not in the journal"));
}

// Kills `step` before each of its system calls. Every time the records are then those of before
// it or those of after it, and without RocksDB the same.
class KilledStepTest : public RecordCrashTest {
 protected:
  using Step = std::function<Status(RecordStore&)>;
  void Check(const Step& step, const Records& before, const Records& after) {
    const auto prepare = [&]() -> std::function<Status()> {
      auto store = OpenRocksRecordStore(Dir(), TestOptions());
      if (!store.ok()) return {};
      return [&step, store = std::shared_ptr(std::move(*store))] { return step(*store); };
    };
    int call = 0;
    for (bool ended = false; !ended && !HasFailure();) {
      Restore();
      ended = RunUntilCall(prepare, ++call);
      const Records seen = Reopened();
      EXPECT_TRUE(seen == before || seen == after) << "killed before call " << call;
      EXPECT_TRUE(!ended || seen == after) << "what was acknowledged is lost";
      EXPECT_TRUE(RemoveTree(IndexDirectory(Dir())).ok());
      EXPECT_EQ(Reopened(), seen) << "killed before call " << call;
    }
  }
};

TEST_F(KilledStepTest, ACommitIsDoneOrNot) {
  const Records before = KillAfter([](RecordStore& store) { return Fill(store, 0, 30); });
  Records after = before;
  after["images new"] = after["tags new"] = "value";
  Save();
  Check([](RecordStore& store) { return ChangeTwo(store, "new", "value"); }, before, after);
}

// Killed at every call while a snapshot takes the place of the logs: the journal says the same.
TEST_F(KilledStepTest, TheReplacementOfLongLogsLosesNothing) {
  const Records all = KillAfter([](RecordStore& store) { return Fill(store, 0, 30); });
  const auto read = [&](RecordJournal& journal) -> Result<Records> {
    Records records;
    const auto apply = [&](const JournalEntry& entry) -> Status {
      for (const RecordChange& change : entry.changes) {
        const std::string key = std::string(change.table.name) + " " + change.key;
        records.erase(key);
        if (change.value) records[key] = *change.value;
      }
      return Ok();
    };
    RETURN_IF_ERROR(journal.ReadSnapshot(apply));
    RETURN_IF_ERROR(journal.ReadChanges(journal.snapshot_sequence(), apply));
    return records;
  };
  const auto prepare = [&]() -> std::function<Status()> {
    auto journal = RecordJournal::Open(JournalDirectory(Dir()), TestTables());
    if (!journal.ok()) return {};
    return [&all, journal = std::shared_ptr(std::move(*journal))]() -> Status {
      RETURN_IF_ERROR(journal->Compact([&](const RecordJournal::RecordSink& take) -> Status {
        for (const auto& [key, value] : all) {
          for (const Table table : kTables) {
            const std::string start = std::string(table.name) + " ";
            if (!key.starts_with(start)) continue;
            RETURN_IF_ERROR(take(table, key.substr(start.size()), value));
          }
        }
        return Ok();
      }));
      return journal->Append({{kTags, "behind", "1"}});
    };
  };
  Records more = all;
  more["tags behind"] = "1";
  Save();
  int call = 0;
  for (bool ended = false; !ended; ++call) {
    Restore();
    ended = RunUntilCall(prepare, call + 1);
    const auto journal = RecordJournal::Open(JournalDirectory(Dir()), TestTables());
    ASSERT_OK(journal);
    const auto records = read(**journal);
    ASSERT_OK(records);
    ASSERT_TRUE(*records == more || (!ended && *records == all)) << "killed before call " << call;
    // And it goes on.
    ASSERT_OK((*journal)->Append({{kTags, "further", "1"}}));
    EXPECT_EQ((*journal)->last_sequence(), *records == more ? 32u : 31u);
  }
  EXPECT_GT(call, 20);
}

// A catalog as imaged wrote it before there was a journal.
class TakeoverTest : public KilledStepTest {
 protected:
  Records MakeFormat2() {
    const Records records = EndAfter([](RecordStore& store) { return Fill(store, 0, 30); });
    InChild([&] {
      EXPECT_TRUE(RemoveTree(JournalDirectory(Dir())).ok());
      rocksdb::DB* db = nullptr;
      std::vector<rocksdb::ColumnFamilyDescriptor> names = {{"default", {}}};
      for (const Table table : kTables) names.push_back({std::string(table.name), {}});
      std::vector<rocksdb::ColumnFamilyHandle*> families;
      EXPECT_TRUE(rocksdb::DB::Open({}, IndexDirectory(Dir()), names, &families, &db).ok());
      // In RocksDB's own log, as every record was.
      rocksdb::WriteOptions sync;
      sync.sync = true;
      EXPECT_TRUE(db->Put(sync, families[0], "format", "2").ok());
      EXPECT_TRUE(db->Delete(sync, families[0], "sequence").ok());
      EXPECT_TRUE(db->Put(sync, families[2], "logged", "1").ok());
      return "";
    });
    Records all = records;
    all["tags logged"] = "1";
    return all;
  }
};

TEST_F(TakeoverTest, ACatalogOfBeforeTheJournalGetsOne) {
  const Records all = MakeFormat2();
  EXPECT_EQ(Reopened(), all);
  ASSERT_OK(RemoveTree(IndexDirectory(Dir())));
  EXPECT_EQ(Reopened(), all);
}

TEST_F(TakeoverTest, AnOldCatalogBesideAJournalOfLaterChangesIsRefused) {
  MakeFormat2();
  fs::rename(IndexDirectory(Dir()), directory_->path() + "/old");
  const Records newer = EndAfter([](RecordStore& store) { return store.Put(kTags, "a", "1"); });
  fs::remove_all(IndexDirectory(Dir()));
  fs::rename(directory_->path() + "/old", IndexDirectory(Dir()));
  EXPECT_THAT(Refusal(), HasSubstr("owner rebuild-index"));
  EXPECT_EQ(Recover(RebuildIndex), "1/1");
  EXPECT_EQ(Reopened(), newer);
}

TEST_F(TakeoverTest, AKillAtAnyCallLeavesACatalogThatIsTakenOver) {
  const Records all = MakeFormat2();
  Save();
  const auto prepare = [&]() -> std::function<Status()> {
    return [&]() -> Status {
      const auto opened = OpenRocksRecordStore(Dir(), TestOptions());
      return opened.ok() ? Ok() : Status(opened.error());
    };
  };
  bool ended = false;
  // Thousands of calls, most of them RocksDB's: closer together at the start.
  for (int call = 1; !ended; call += 1 + call / 5) {
    Restore();
    ended = RunUntilCall(prepare, call);
    ASSERT_EQ(Reopened(), all) << "killed before call " << call;
    ASSERT_OK(RemoveTree(IndexDirectory(Dir())));
    ASSERT_EQ(Reopened(), all) << "killed before call " << call;
  }
}

}  // namespace
}  // namespace strata::records
