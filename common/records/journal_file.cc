#include "common/records/journal_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>

#include "common/file_io.h"
#include "common/records/journal.pb.h"

namespace strata::records {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

struct FileHeader {
  char magic[16];
  uint64_t sequence;
  uint64_t checksum;  // XXH3-64 of what is before it.
};
static_assert(sizeof(FileHeader) == 32);
constexpr char kMagic[16] = "strata-records1";
constexpr size_t kMagicWithoutVersion = 14;

struct EntryHeader {
  uint64_t checksum;  // XXH3-64 of everything behind it.
  uint64_t sequence;
  uint32_t payload_bytes;
  uint32_t reserved;  // 0.
};
static_assert(sizeof(EntryHeader) == 24);
constexpr size_t kChecked = offsetof(EntryHeader, sequence);
constexpr size_t kPayloadBytesMax = 64u << 20;
constexpr size_t kReadBytes = 64u << 10;

uint64_t ChecksumOf(const FileHeader& header) {
  return XXH3_64bits(&header, offsetof(FileHeader, checksum));
}

// nullopt: no whole entry starts `data`.
std::optional<EntryHeader> CheckEntry(std::string_view data) {
  EntryHeader header;
  if (data.size() < sizeof(header)) return std::nullopt;
  std::memcpy(&header, data.data(), sizeof(header));
  const size_t size = sizeof(header) + header.payload_bytes;
  if (header.payload_bytes > kPayloadBytesMax || header.reserved != 0 || data.size() < size ||
      XXH3_64bits(data.data() + kChecked, size - kChecked) != header.checksum) {
    return std::nullopt;
  }
  return header;
}

}  // namespace

std::string JournalHeader(uint64_t sequence) {
  FileHeader header = {};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.sequence = sequence;
  header.checksum = ChecksumOf(header);
  return std::string(reinterpret_cast<const char*>(&header), sizeof(header));
}

Result<std::string> EncodeJournalEntry(uint64_t sequence,
                                       const std::vector<RecordChange>& changes) {
  RecordChanges message;
  for (const RecordChange& change : changes) {
    RecordChangeEntry* entry = message.add_changes();
    entry->set_table(std::string(change.table.name));
    entry->set_key(change.key);
    if (change.value) entry->set_value(*change.value);
  }
  std::string data(sizeof(EntryHeader), '\0');
  message.AppendToString(&data);
  EntryHeader header = {};
  header.sequence = sequence;
  if (data.size() - sizeof(header) > kPayloadBytesMax) {
    return Error(Code::kResourceExhausted, "one change of " + std::to_string(data.size()) +
                                               " bytes is more than the journal takes");
  }
  header.payload_bytes = static_cast<uint32_t>(data.size() - sizeof(header));
  std::memcpy(data.data(), &header, sizeof(header));
  header.checksum = XXH3_64bits(data.data() + kChecked, data.size() - kChecked);
  std::memcpy(data.data(), &header, sizeof(header));
  return data;
}

Result<JournalFileReader> JournalFileReader::Open(const std::string& path,
                                                  std::vector<Table> tables) {
  ASSIGN_OR_RETURN(UniqueFd fd, strata::Open(path, O_RDONLY));
  struct stat st;
  if (::fstat(fd.get(), &st) != 0) return Errno("stat " + path);
  JournalFileReader reader(path, std::move(tables), std::move(fd),
                           static_cast<uint64_t>(st.st_size));
  FileHeader header;
  RETURN_IF_ERROR(PReadExactly(reader.fd_.get(), &header, sizeof(header), 0), path);
  if (header.checksum != ChecksumOf(header) ||
      std::memcmp(header.magic, kMagic, kMagicWithoutVersion) != 0) {
    return Error(Code::kCorrupt, path + " is no file of a record journal, or its start is damaged");
  }
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) {
    return Error(Code::kUnsupported, path + " is of a later version");
  }
  reader.sequence_ = header.sequence;
  reader.offset_ = sizeof(header);
  return reader;
}

Result<std::optional<JournalEntry>> JournalFileReader::Next() {
  ASSIGN_OR_RETURN(const bool at_end, OnlyZerosLeft());
  if (at_end) return std::optional<JournalEntry>();
  const Error damaged(Code::kCorrupt,
                      path_ + ": what is at byte " + std::to_string(offset_) + " is damaged");
  EntryHeader header;
  if (size_bytes_ - offset_ < sizeof(header)) return damaged;
  RETURN_IF_ERROR(PReadExactly(fd_.get(), &header, sizeof(header), offset_), path_);
  const uint64_t room = size_bytes_ - offset_ - sizeof(header);
  if (header.payload_bytes > std::min<uint64_t>(room, kPayloadBytesMax)) return damaged;
  std::string data(sizeof(header) + header.payload_bytes, '\0');
  RETURN_IF_ERROR(PReadExactly(fd_.get(), data.data(), data.size(), offset_), path_);
  RecordChanges message;
  if (!CheckEntry(data) || !message.ParseFromArray(data.data() + sizeof(header),
                                                   static_cast<int>(header.payload_bytes))) {
    return damaged;
  }
  JournalEntry entry;
  entry.sequence = header.sequence;
  for (RecordChangeEntry& change : *message.mutable_changes()) {
    // The table's own name lives longer than the message.
    const auto table = std::ranges::find(tables_, change.table(), &Table::name);
    if (table == tables_.end()) {
      return Error(Code::kUnsupported,
                   path_ + ": the table " + change.table() + " is of a later version");
    }
    std::optional<std::string> value;
    if (change.has_value()) value = std::move(*change.mutable_value());
    entry.changes.push_back({*table, std::move(*change.mutable_key()), std::move(value)});
  }
  offset_ += data.size();
  return std::optional<JournalEntry>(std::move(entry));
}

Result<bool> JournalFileReader::OnlyZerosLeft() const {
  std::string block(kReadBytes, '\0');
  for (uint64_t at = offset_; at < size_bytes_; at += block.size()) {
    block.resize(
        std::min<uint64_t>(at == offset_ ? sizeof(EntryHeader) : kReadBytes, size_bytes_ - at));
    RETURN_IF_ERROR(PReadExactly(fd_.get(), block.data(), block.size(), at), path_);
    if (block.find_first_not_of('\0') != std::string::npos) return false;
  }
  return true;
}

Result<bool> JournalFileReader::HasEntryBehind(uint64_t sequence) const {
  std::string rest(size_bytes_ - offset_, '\0');
  RETURN_IF_ERROR(PReadExactly(fd_.get(), rest.data(), rest.size(), offset_), path_);
  // A number within reach is rare among other bytes: few places are hashed.
  const uint64_t last = sequence + rest.size() / sizeof(EntryHeader) + 1;
  for (size_t at = 1; at + sizeof(EntryHeader) <= rest.size(); ++at) {
    uint64_t number;
    std::memcpy(&number, rest.data() + at + kChecked, sizeof(number));
    if (number <= sequence || number > last) continue;
    if (CheckEntry(std::string_view(rest).substr(at))) return true;
  }
  return false;
}

}  // namespace strata::records
