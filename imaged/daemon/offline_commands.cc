#include "imaged/daemon/offline_commands.h"

#include <iostream>

#include "common/file_io.h"
#include "common/log.h"
#include "common/printable.h"
#include "common/records/record_recovery.h"
#include "imaged/catalog/own_records.h"
#include "imaged/repository/adopt_layers.h"
#include "imaged/repository/offline_check.h"

namespace strata::imaged {
namespace {

int Fail(const Error& error) {
  LOG_ERROR(error.message());
  return error.code() == Code::kCorrupt ? kExitProblems : 1;
}

void PrintProblem(const std::string& text) {
  std::cout << "problem: " << Printable(text) << std::endl;
}

void PrintRecovered(const char* what, const records::RecoveredRecords& recovered) {
  std::cout << what << " made anew: " << recovered.records << " records as of change "
            << recovered.sequence << std::endl;
}

// Makes RocksDB anew from the journal, or an empty catalog when both are gone and the layers are
// to be adopted. The store's lock keeps an imaged out meanwhile.
Status RebuildRecords(const std::string& state_dir, bool adopt_unnamed) {
  if (!PathExists(state_dir + "/store")) {
    return Error(Code::kNotFound, "there is no state of imaged in " + state_dir);
  }
  ASSIGN_OR_RETURN(const auto lock, ObjectStore::Open(state_dir + "/store"));
  ASSIGN_OR_RETURN(const bool has_journal,
                   records::RecordJournal::Exists(records::JournalDirectory(state_dir)));
  ASSIGN_OR_RETURN(const bool has_records, records::HasRecords(state_dir));
  if (has_journal) {
    ASSIGN_OR_RETURN(const records::RecoveredRecords recovered,
                     records::RebuildIndex(state_dir, OwnRecords()));
    PrintRecovered("catalog", recovered);
    return Ok();
  }
  if (has_records) {
    return Error(Code::kFailedPrecondition,
                 "the journal " + records::JournalDirectory(state_dir) +
                     " is gone: imaged rebuild-journal makes one of the catalog; or move " +
                     records::IndexDirectory(state_dir) + " away too");
  }
  if (!adopt_unnamed) {
    return Error(Code::kNotFound,
                 "catalog and journal are both gone: put one of them back from a "
                 "copy, or --adopt-unnamed makes images of root of the layers");
  }
  RETURN_IF_ERROR(records::OpenRocksRecordStore(state_dir, OwnRecords()));
  return Ok();
}

}  // namespace

int FsckCommand(const std::string& state_dir,
                std::vector<std::unique_ptr<ObjectFetcher>> fetchers) {
  const auto checked = CheckState(state_dir, std::move(fetchers), PrintProblem);
  if (!checked.ok()) return Fail(checked.error());
  std::cout << checked->images << " images, " << checked->objects << " objects, "
            << (checked->bytes >> 20) << " MiB read: " << checked->problems << " problems"
            << std::endl;
  return checked->problems == 0 ? 0 : kExitProblems;
}

int RebuildCatalogCommand(const std::string& state_dir, bool adopt_unnamed) {
  if (Status rebuilt = RebuildRecords(state_dir, adopt_unnamed); !rebuilt.ok()) {
    return Fail(rebuilt.error());
  }
  if (!adopt_unnamed) return 0;
  const auto repository = Repository::Open(state_dir);
  if (!repository.ok()) return Fail(repository.error());
  const auto adopted = AdoptUnnamedLayers(**repository, PrintProblem);
  if (!adopted.ok()) return Fail(adopted.error());
  for (const std::string& reference : *adopted) std::cout << "adopted " << reference << std::endl;
  return 0;
}

int RebuildJournalCommand(const std::string& state_dir) {
  const auto lock = ObjectStore::Open(state_dir + "/store");
  if (!lock.ok()) return Fail(lock.error());
  const auto recovered = records::RebuildJournal(state_dir, OwnRecords());
  if (!recovered.ok()) return Fail(recovered.error());
  PrintRecovered("journal", *recovered);
  return 0;
}

}  // namespace strata::imaged
