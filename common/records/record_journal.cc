#include "common/records/record_journal.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>

#include "common/file_io.h"
#include "common/log.h"

namespace strata::records {
namespace {

constexpr std::string_view kSnapshot = "snapshot.";
constexpr std::string_view kLog = "log.";
constexpr size_t kSnapshotEntryBytes = 1u << 20;
constexpr uint64_t kReserveBytes = 1u << 20;

struct Files {
  std::vector<uint64_t> snapshots;      // Ascending.
  std::vector<uint64_t> logs;           // Ascending.
  std::vector<std::string> unfinished;  // Paths of what a crash left half-written.
};

std::optional<uint64_t> NumberAfter(std::string_view name, std::string_view prefix) {
  uint64_t number = 0;
  if (!name.starts_with(prefix)) return std::nullopt;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + prefix.size(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

Result<Files> ListFiles(const std::string& directory) {
  Files files;
  DIR* stream = ::opendir(directory.c_str());
  if (stream == nullptr && errno == ENOENT) return files;
  if (stream == nullptr) return Errno("opendir " + directory);
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (const auto snapshot = NumberAfter(name, kSnapshot)) {
      files.snapshots.push_back(*snapshot);
    } else if (const auto log = NumberAfter(name, kLog)) {
      files.logs.push_back(*log);
    } else if (name.starts_with(kSnapshot) || name.starts_with(kLog)) {
      files.unfinished.push_back(directory + "/" + name);
    }
  }
  ::closedir(stream);
  std::sort(files.snapshots.begin(), files.snapshots.end());
  std::sort(files.logs.begin(), files.logs.end());
  return files;
}

// "log.00000000000000000012": names sort as their numbers do.
std::string Named(const std::string& directory, std::string_view prefix, uint64_t number) {
  const std::string digits = std::to_string(number);
  return directory + "/" + std::string(prefix) + std::string(20 - digits.size(), '0') + digits;
}

// Visits the entries of one log, which are to go on after `*last`.
Status ReadLog(JournalFileReader* reader, uint64_t* last,
               const RecordJournal::EntryVisitor& visit) {
  while (true) {
    const uint64_t offset = reader->offset();
    ASSIGN_OR_RETURN(auto entry, reader->Next());
    if (!entry) return Ok();
    if (entry->sequence != *last + 1) {
      return Error(Code::kCorrupt, reader->path() + ": change " + std::to_string(entry->sequence) +
                                       " at byte " + std::to_string(offset) + " follows change " +
                                       std::to_string(*last));
    }
    ++*last;
    RETURN_IF_ERROR(visit(std::move(*entry)));
  }
}

Status Unlink(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Errno("unlink " + path);
  return Ok();
}

Result<uint64_t> SizeOf(const std::string& path) {
  struct stat st;
  if (::stat(path.c_str(), &st) != 0) return Errno("stat " + path);
  return static_cast<uint64_t>(st.st_size);
}

}  // namespace

std::string RecordJournal::SnapshotPath(uint64_t sequence) const {
  return Named(directory_, kSnapshot, sequence);
}
std::string RecordJournal::LogPath(uint64_t sequence) const {
  return Named(directory_, kLog, sequence);
}

Result<bool> RecordJournal::Exists(const std::string& directory) {
  ASSIGN_OR_RETURN(const Files files, ListFiles(directory));
  return !files.snapshots.empty() || !files.logs.empty();
}

Result<std::unique_ptr<RecordJournal>> RecordJournal::Open(const std::string& directory,
                                                           std::vector<Table> tables) {
  ASSIGN_OR_RETURN(const Files files, ListFiles(directory));
  if (files.snapshots.empty()) {
    return Error(files.logs.empty() ? Code::kNotFound : Code::kCorrupt,
                 "the record journal " + directory + " has no snapshot");
  }
  std::unique_ptr<RecordJournal> journal(new RecordJournal(directory, std::move(tables)));
  for (const std::string& path : files.unfinished) RETURN_IF_ERROR(Unlink(path));
  journal->snapshot_ = files.snapshots.back();
  ASSIGN_OR_RETURN(journal->snapshot_bytes_, SizeOf(journal->SnapshotPath(journal->snapshot_)));
  journal->logs_ = files.logs;
  RETURN_IF_ERROR(journal->ReadLogs());
  RETURN_IF_ERROR(journal->RemoveOld());
  return journal;
}

Status RecordJournal::ReadLogs() {
  last_ = snapshot_;
  if (logs_.empty()) return StartLog();
  if (logs_.front() == 0 || logs_.front() > snapshot_ + 1) {
    return Error(Code::kCorrupt, "the record journal " + directory_ + ": the changes from " +
                                     std::to_string(snapshot_ + 1) + " to " +
                                     std::to_string(logs_.front() - 1) + " are gone");
  }
  uint64_t last = logs_.front() - 1;
  for (const uint64_t number : logs_) {
    ASSIGN_OR_RETURN(JournalFileReader reader, OpenFile(LogPath(number)));
    if (reader.sequence() != number || number != last + 1) {
      return Error(Code::kCorrupt, reader.path() + " does not follow change " +
                                       std::to_string(last) + ": a log is gone or renamed");
    }
    const Status read = ReadLog(&reader, &last, [](const JournalEntry&) { return Ok(); });
    log_end_ = reader.offset();
    reserved_ = log_end_;
    log_bytes_ += log_end_;
    if (number != logs_.back()) {
      RETURN_IF_ERROR(read);
      continue;
    }
    ASSIGN_OR_RETURN(log_, strata::Open(reader.path(), O_RDWR));
    if (read.ok()) break;
    if (read.error().code() != Code::kCorrupt) return read;
    ASSIGN_OR_RETURN(const bool more, reader.HasEntryBehind(last));
    if (more) return read.error().Wrap("the record journal (changes that come later are sound)");
    LOG_WARNING("the record journal ended within change " + std::to_string(last + 1) +
                ", which was not acknowledged: cut");
    if (::ftruncate(log_.get(), static_cast<off_t>(log_end_)) != 0 || ::fsync(log_.get()) != 0) {
      return Errno("cut " + reader.path());
    }
  }
  if (last < snapshot_) {
    return Error(Code::kCorrupt, "the record journal " + directory_ + " ends with change " +
                                     std::to_string(last) + ", before its snapshot " +
                                     std::to_string(snapshot_));
  }
  last_ = last;
  return Ok();
}

Status RecordJournal::StartLog() {
  const std::string path = LogPath(last_ + 1);
  const std::string header = JournalHeader(last_ + 1);
  RETURN_IF_ERROR(WriteFileDurably(path, header, 0600));
  ASSIGN_OR_RETURN(log_, strata::Open(path, O_RDWR));
  if (logs_.empty() || logs_.back() != last_ + 1) logs_.push_back(last_ + 1);
  log_end_ = header.size();
  log_bytes_ = header.size();
  reserved_ = 0;
  return Ok();
}

Result<std::unique_ptr<RecordJournal>> RecordJournal::Create(const std::string& directory,
                                                             std::vector<Table> tables,
                                                             uint64_t sequence,
                                                             const RecordSource& records) {
  const std::string fresh = directory + ".new";
  RETURN_IF_ERROR(RemoveTree(fresh));
  RETURN_IF_ERROR(MakeDirectories(fresh, 0700));
  {
    RecordJournal journal(fresh, tables);
    journal.last_ = sequence;
    RETURN_IF_ERROR(journal.WriteSnapshot(sequence, records));
    RETURN_IF_ERROR(journal.StartLog());
  }
  RETURN_IF_ERROR(RemoveTree(directory));
  if (::rename(fresh.c_str(), directory.c_str()) != 0) return Errno("rename to " + directory);
  RETURN_IF_ERROR(FsyncDirectory(directory.substr(0, directory.rfind('/'))));
  return Open(directory, std::move(tables));
}

Result<uint64_t> RecordJournal::Salvage(const std::string& directory,
                                        const std::vector<Table>& tables, uint64_t after,
                                        const EntryVisitor& visit) {
  ASSIGN_OR_RETURN(const Files files, ListFiles(directory));
  uint64_t found = 0;
  for (const uint64_t number : files.logs) {
    auto reader = JournalFileReader::Open(Named(directory, kLog, number), tables);
    while (reader.ok()) {
      auto entry = reader->Next();
      if (!entry.ok() || !*entry) break;
      if ((*entry)->sequence != after + 1) continue;
      RETURN_IF_ERROR(visit(std::move(**entry)));
      ++after;
      ++found;
    }
  }
  return found;
}

Status RecordJournal::ReadSnapshot(const EntryVisitor& visit) const {
  ASSIGN_OR_RETURN(JournalFileReader reader, OpenFile(SnapshotPath(snapshot_)));
  const Error damaged(Code::kCorrupt, reader.path() + " is damaged");
  if (reader.sequence() != snapshot_) return damaged;
  bool complete = false;
  while (true) {
    ASSIGN_OR_RETURN(auto entry, reader.Next());
    if (!entry && complete) return Ok();
    // The entry without changes is the last one.
    if (!entry || complete || entry->sequence != snapshot_) return damaged;
    complete = entry->changes.empty();
    if (!complete) RETURN_IF_ERROR(visit(std::move(*entry)));
  }
}

Status RecordJournal::ReadChanges(uint64_t after, const EntryVisitor& visit) const {
  CHECK(after >= snapshot_);
  uint64_t last = logs_.front() - 1;
  for (const uint64_t number : logs_) {
    ASSIGN_OR_RETURN(JournalFileReader reader, OpenFile(LogPath(number)));
    RETURN_IF_ERROR(ReadLog(&reader, &last, [&](JournalEntry entry) {
      return entry.sequence > after ? visit(std::move(entry)) : Ok();
    }));
  }
  return Ok();
}

void RecordJournal::Reserve(uint64_t bytes) {
  const std::string zeros(std::max<uint64_t>(bytes, kReserveBytes), '\0');
  reserved_ = log_end_ + zeros.size();
  if (PWriteAll(log_.get(), zeros, log_end_).ok()) return;
  // A full disk may have room for the entry itself.
  if (::ftruncate(log_.get(), static_cast<off_t>(log_end_)) != 0)
    LOG_WARNING(Errno("truncate").message());
}

Status RecordJournal::Append(const std::vector<RecordChange>& changes) {
  if (broken_) return *broken_;
  ASSIGN_OR_RETURN(const std::string entry, EncodeJournalEntry(last_ + 1, changes));
  if (log_end_ + entry.size() > reserved_) Reserve(entry.size());
  const Status written = PWriteAll(log_.get(), entry, log_end_);
  if (!written.ok() && ::ftruncate(log_.get(), static_cast<off_t>(log_end_)) == 0) {
    reserved_ = log_end_;
    return written.error().Wrap("record journal");
  }
  // After a failed sync nobody knows what is on disk, and a second one would not tell.
  if (!written.ok() || ::fdatasync(log_.get()) != 0) {
    const Error error = written.ok() ? Errno("sync") : written.error();
    broken_ = Error(Code::kInternal,
                    "the record journal " + directory_ +
                        " cannot be written: see to the disk, then start this program again");
    return error.Wrap(broken_->message());
  }
  ++last_;
  log_end_ += entry.size();
  log_bytes_ += entry.size();
  return Ok();
}

Status RecordJournal::WriteSnapshot(uint64_t sequence, const RecordSource& records) {
  const std::string path = SnapshotPath(sequence);
  ASSIGN_OR_RETURN(UniqueFd fd, strata::Open(path + ".new", O_WRONLY | O_CREAT | O_TRUNC, 0600));
  std::vector<RecordChange> changes;
  size_t bytes = 0;
  uint64_t total = 0;
  const auto put = [&](const std::string& data) {
    total += data.size();
    return WriteAll(fd.get(), data);
  };
  const auto write = [&]() -> Status {
    ASSIGN_OR_RETURN(const std::string entry, EncodeJournalEntry(sequence, changes));
    changes.clear();
    bytes = 0;
    return put(entry);
  };
  RETURN_IF_ERROR(put(JournalHeader(sequence)), path);
  RETURN_IF_ERROR(records([&](Table table, const std::string& key, const std::string& value) {
    changes.push_back({table, key, value});
    bytes += key.size() + value.size();
    return bytes < kSnapshotEntryBytes ? Ok() : write();
  }));
  if (!changes.empty()) RETURN_IF_ERROR(write(), path);
  RETURN_IF_ERROR(write(), path);  // Without changes: the end.
  if (::fsync(fd.get()) != 0) return Errno("fsync " + path);
  RETURN_IF_ERROR(fd.Close(), path);
  if (::rename((path + ".new").c_str(), path.c_str()) != 0) return Errno("rename to " + path);
  RETURN_IF_ERROR(FsyncDirectory(directory_));
  snapshot_ = sequence;
  snapshot_bytes_ = total;
  return Ok();
}

Status RecordJournal::Compact(const RecordSource& records) {
  if (broken_) return *broken_;
  const auto compact = [&]() -> Status {
    RETURN_IF_ERROR(WriteSnapshot(last_, records));
    RETURN_IF_ERROR(StartLog());
    return RemoveOld();
  };
  Status compacted = compact();
  // A full disk: not again with every change.
  if (!compacted.ok()) log_bytes_min_ = log_bytes_ * 2;
  return compacted;
}

Status RecordJournal::RemoveOld() {
  // A log is needed while it has changes after the snapshot, and while it is the last.
  while (logs_.size() > 1 && logs_[1] <= snapshot_ + 1) {
    RETURN_IF_ERROR(Unlink(LogPath(logs_.front())));
    logs_.erase(logs_.begin());
  }
  ASSIGN_OR_RETURN(const Files files, ListFiles(directory_));
  for (const uint64_t number : files.snapshots) {
    if (number != snapshot_) RETURN_IF_ERROR(Unlink(SnapshotPath(number)));
  }
  return Ok();
}

}  // namespace strata::records
