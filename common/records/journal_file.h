// One file of the record journal: a header, then checksummed entries (docs/formats.md, "Record
// journal"). Nothing here knows which files there are (common/records/record_journal.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/records/record_store.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::records {

struct JournalEntry {
  uint64_t sequence = 0;
  std::vector<RecordChange> changes;
};

// What a file starts with; `sequence` is its number.
std::string JournalHeader(uint64_t sequence);
// kResourceExhausted for more than a reader takes.
Result<std::string> EncodeJournalEntry(uint64_t sequence, const std::vector<RecordChange>& changes);

// Reads one file from its start. Used by one thread.
class JournalFileReader {
 public:
  // kNotFound; kUnsupported for another version; kCorrupt for a file that is none of ours.
  static Result<JournalFileReader> Open(const std::string& path, std::vector<Table> tables);

  uint64_t sequence() const { return sequence_; }  // The file's number.
  uint64_t offset() const { return offset_; }      // Where the next entry starts.
  const std::string& path() const { return path_; }
  // nullopt at the end: only zeros are left, room for more. kCorrupt: what is at offset() is not a
  // whole entry, and offset() stays. kUnsupported: it is of another table.
  Result<std::optional<JournalEntry>> Next();
  // After kCorrupt: whether a whole entry with a number above `sequence` is anywhere behind. Each
  // entry is durable before the next is begun, so what a crash cut off has none behind it.
  Result<bool> HasEntryBehind(uint64_t sequence) const;

 private:
  JournalFileReader(std::string path, std::vector<Table> tables, UniqueFd fd, uint64_t size)
      : path_(std::move(path)), tables_(std::move(tables)), fd_(std::move(fd)), size_bytes_(size) {}
  Result<bool> OnlyZerosLeft() const;

  std::string path_;
  std::vector<Table> tables_;
  UniqueFd fd_;
  uint64_t size_bytes_;
  uint64_t sequence_ = 0;
  uint64_t offset_ = 0;
};

}  // namespace strata::records
