// Checker: holds what a tree shows against the model. Answers are texts that say what differs;
// empty means nothing does.
#pragma once

#include <ctime>
#include <map>
#include <string>
#include <utility>

#include "tests/property/executor.h"
#include "tests/property/model.h"

namespace strata::property {

class Checker {
 public:
  // `old_readers_may_lag`: a reader opened before a copy-up may see the image's data.
  Checker(const Model& model, bool old_readers_may_lag)
      : model_(model), old_readers_may_lag_(old_readers_may_lag), start_(std::time(nullptr)) {}

  std::string CheckOutcome(const Operation& op, const Expected& expected, const Outcome& outcome);
  // Everything below `path`, which is the directory `id`; and the open files.
  std::string CheckTree(const std::string& path, Id id);
  std::string CheckHandles(const Executor& executor);
  // Inode numbers need to hold within one mount only.
  void ForgetNumbers();

 private:
  std::string CheckInode(Id id, const Seen& seen);
  std::string CheckNumber(Id id, const struct stat& st);
  std::string CheckSeek(const Operation& op, Id id, const Outcome& outcome) const;
  std::string CheckEntry(int dir_fd, const std::string& name, unsigned char type, Id id);
  std::string CheckDirectory(int dir_fd, Id id);

  const Model& model_;
  const bool old_readers_may_lag_;
  const std::time_t start_;
  using Number = std::pair<dev_t, ino_t>;
  std::map<Id, Number> numbers_;
  std::map<Number, Id> owners_;
};

}  // namespace strata::property
