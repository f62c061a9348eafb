// ScopeRevisions: how often each scope was moved on, for a store that one process has for itself.
// Not thread-safe.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/records/record_store.h"

namespace strata::records {

class ScopeRevisions {
 public:
  ScopeMark Mark(const std::string& scope) const {
    const auto it = revisions_.find(scope);
    return {scope, it == revisions_.end() ? 0 : it->second};
  }
  // kFailedPrecondition when somebody else has moved one on.
  Status Check(const std::vector<ScopeMark>& scopes) const {
    for (const ScopeMark& mark : scopes) {
      if (mark.revision && Mark(mark.scope).revision != mark.revision) {
        return Error(Code::kFailedPrecondition,
                     "the records of " + mark.scope + " changed meanwhile: try again");
      }
    }
    return Ok();
  }
  void MoveOn(const std::vector<ScopeMark>& scopes) {
    for (const ScopeMark& mark : scopes) ++revisions_[mark.scope];
  }

 private:
  std::map<std::string, int64_t> revisions_;
};

}  // namespace strata::records
