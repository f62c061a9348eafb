// FaultyStore: one process's way to a record store that several use. It can be cut off, lose an
// answer after the change was made, be behind with what it reads, and end with its process.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "common/records/record_store.h"

namespace strata::sim {

// What a commit meets with.
enum class CommitFate {
  kMade,
  kNotMade,     // kUnavailable, and nothing has changed.
  kAnswerLost,  // kUnavailable, and everything has.
};

class FaultyStore final : public records::RecordStore {
 public:
  // Both must outlive this. `fate` is asked before every commit. `made` hears every commit that was
  // made.
  using Fate = std::function<CommitFate(const std::vector<records::RecordChange>&)>;
  using Made = std::function<void(const std::vector<records::RecordChange>&)>;
  FaultyStore(records::RecordStore& store, Fate fate, Made made)
      : store_(store), fate_(std::move(fate)), made_(std::move(made)) {}

  // Its process was killed: it can change nothing any more.
  void Die() { dead_ = true; }
  void CutOff(bool cut) { cut_ = cut; }
  // From now on records are read as they are now, until a commit of this process succeeds.
  void FallBehind();
  void CatchUp() { behind_.reset(); }

  Result<std::optional<std::string>> Get(records::Table table, const std::string& key) override;
  Status Scan(records::Table table, const std::string& prefix, const Visitor& visit) override;
  records::ScopeMark Mark(const std::string& scope) override { return store_.Mark(scope); }
  Status Commit(const std::vector<records::RecordExpectation>& expected,
                const std::vector<records::RecordChange>& changes,
                const std::vector<records::ScopeMark>& scopes) override;
  Status Follow(Listener listener) override { return store_.Follow(std::move(listener)); }
  void Unfollow() override { store_.Unfollow(); }

 private:
  records::RecordStore& store_;
  const Fate fate_;
  const Made made_;
  bool dead_ = false;
  bool cut_ = false;
  std::optional<std::map<std::string, std::map<std::string, std::string>>> behind_;  // By table.
};

}  // namespace strata::sim
