// Any bytes as a file of the record journal: records, or an error; what is read is written again as
// it was, up to the first entry that is none.
//   build/fuzz/bin/make_journal_seeds CORPUS && build/fuzz/bin/fuzz_journal -max_len=65536 CORPUS
#include <cstdint>

#include "common/file_io.h"
#include "common/log.h"
#include "common/records/journal_file.h"

namespace strata::records {
namespace {

constexpr Table kTags{"tags"};
constexpr Table kImages{"images"};

const std::string& Path() {
  static const auto* const directory =
      new TemporaryDirectory(*TemporaryDirectory::Create("/dev/shm", "strata-fuzz."));
  static const auto* const path = new std::string(directory->path() + "/log");
  return *path;
}

void Try(std::string_view input) {
  CHECK(WriteFileAtomically(Path(), input).ok());
  auto reader = JournalFileReader::Open(Path(), {kTags, kImages});
  if (!reader.ok()) return;
  std::string again = JournalHeader(reader->sequence());
  CHECK(input.substr(0, again.size()) == again);
  while (true) {
    const uint64_t at = reader->offset();
    const auto entry = reader->Next();
    if (!entry.ok()) {
      CHECK(reader->offset() == at);
      CHECK(reader->HasEntryBehind(0).ok());
      return;
    }
    if (!entry->has_value()) return;
    // Protobuf may be written in several ways; what it means is the same.
    const auto encoded = EncodeJournalEntry((*entry)->sequence, (*entry)->changes);
    CHECK(encoded.ok() && reader->offset() > at);
  }
}

}  // namespace
}  // namespace strata::records

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  strata::records::Try({reinterpret_cast<const char*>(data), size});
  return 0;
}
