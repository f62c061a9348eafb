#include "tests/sim/faulty_store.h"

#include "vclusterd/master/tables.h"

namespace strata::sim {
namespace {

Error Unreachable() {
  return Error(Code::kUnavailable, "the records cannot be reached: try again");
}

}  // namespace

void FaultyStore::FallBehind() {
  behind_.emplace();
  for (const records::Table table : vcluster::DesiredTables()) {
    auto& copy = (*behind_)[std::string(table.name)];
    const Status scanned =
        store_.Scan(table, "", [&](const std::string& key, const std::string& value) {
          copy[key] = value;
          return Ok();
        });
    if (!scanned.ok()) behind_.reset();
    if (!behind_) return;
  }
}

Result<std::optional<std::string>> FaultyStore::Get(records::Table table, const std::string& key) {
  if (dead_) return Unreachable();
  if (!behind_) return store_.Get(table, key);
  const auto& copy = (*behind_)[std::string(table.name)];
  const auto found = copy.find(key);
  return found == copy.end() ? std::nullopt : std::optional(found->second);
}

Status FaultyStore::Scan(records::Table table, const std::string& prefix, const Visitor& visit) {
  if (dead_) return Unreachable();
  if (!behind_) return store_.Scan(table, prefix, visit);
  for (const auto& [key, value] : (*behind_)[std::string(table.name)]) {
    if (key.starts_with(prefix)) RETURN_IF_ERROR(visit(key, value));
  }
  return Ok();
}

Status FaultyStore::Commit(const std::vector<records::RecordExpectation>& expected,
                           const std::vector<records::RecordChange>& changes,
                           const std::vector<records::ScopeMark>& scopes) {
  if (dead_ || cut_) return Unreachable();
  const CommitFate fate = fate_(changes);
  if (dead_ || fate == CommitFate::kNotMade) return Unreachable();
  RETURN_IF_ERROR(store_.Commit(expected, changes, scopes));
  behind_.reset();
  made_(changes);
  if (dead_ || fate == CommitFate::kAnswerLost) {
    return Error(Code::kUnavailable, "the records do not answer; the change may have been made");
  }
  return Ok();
}

}  // namespace strata::sim
