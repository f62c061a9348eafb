// Seeds for fuzz_journal: empty, some entries, zeros behind them, a torn one.
#include "common/file_io.h"
#include "common/log.h"
#include "common/records/journal_file.h"

int main(int argc, char** argv) {
  using namespace strata::records;  // NOLINT
  if (argc != 2) return 2;
  const std::string corpus = argv[1];
  CHECK(strata::MakeDirectories(corpus).ok());
  std::string log = JournalHeader(7);
  CHECK(strata::WriteFileAtomically(corpus + "/empty", log).ok());
  for (uint64_t number = 7; number < 10; ++number) {
    const auto entry = EncodeJournalEntry(
        number, {{Table{"tags"}, "1/x/" + std::to_string(number), std::string(200, 'v')},
                 {Table{"images"}, "gone", std::nullopt}});
    CHECK(entry.ok());
    log += *entry;
  }
  CHECK(strata::WriteFileAtomically(corpus + "/entries", log).ok());
  CHECK(strata::WriteFileAtomically(corpus + "/room", log + std::string(300, '\0')).ok());
  CHECK(strata::WriteFileAtomically(corpus + "/torn", log.substr(0, log.size() - 40)).ok());
  return 0;
}
