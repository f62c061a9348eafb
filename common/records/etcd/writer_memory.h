// WriterMemory: what this host wrote last into records in etcd, kept on its own disk. So
// records that were put back to an earlier state (a restored snapshot, a lost member) are known for
// such before anything is done about what they do not name.
//
// A file of five lines: format, store, session, transactions of that session, and the session
// that is about to follow it. Sessions are written durably; counts are not, so after a power cut a
// loss of the last seconds may pass.
//
// Used by one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/result.h"

namespace strata::records {

class WriterMemory {
 public:
  // `path`: empty keeps nothing. What another store was told does not count for this one.
  WriterMemory(std::string path, std::string store_id)
      : path_(std::move(path)), store_id_(std::move(store_id)) {}

  Status Load();
  // Whether a store in which the writer's key has this token has all that was written.
  // REQUIRES: Load.
  bool Covers(const std::optional<std::string>& token) const;
  // A session is about to write its first token.
  Status Begin(const std::string& session);
  // Its transaction of that number is done.
  void Wrote(const std::string& session, uint64_t count);

 private:
  std::string Text() const;

  const std::string path_;
  const std::string store_id_;
  std::string session_;  // Empty: nothing was written.
  uint64_t count_ = 0;
  std::string next_;
};

}  // namespace strata::records
