// WriterMemory: what this host wrote last into a catalog in etcd, kept on its own disk. So a
// catalog that was put back to an earlier state (a restored snapshot, a lost member) is known for
// one before anything that it does not name is collected.
//
// A file of five lines: format, catalog, session, transactions of that session, and the session
// that is about to follow it. Sessions are written durably; counts are not, so after a power cut a
// loss of the last seconds may pass.
//
// Used by one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/result.h"

namespace strata::imaged {

class WriterMemory {
 public:
  // `path`: empty keeps nothing. What another catalog was told does not count for this one.
  WriterMemory(std::string path, std::string catalog_id)
      : path_(std::move(path)), catalog_id_(std::move(catalog_id)) {}

  Status Load();
  // Whether a catalog in which the writer's key has this token has all that was written.
  // REQUIRES: Load.
  bool Covers(const std::optional<std::string>& token) const;
  // A session is about to write its first token.
  Status Begin(const std::string& session);
  // Its transaction of that number is done.
  void Wrote(const std::string& session, uint64_t count);

 private:
  std::string Text() const;

  const std::string path_;
  const std::string catalog_id_;
  std::string session_;  // Empty: nothing was written.
  uint64_t count_ = 0;
  std::string next_;
};

}  // namespace strata::imaged
