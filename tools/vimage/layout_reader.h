// LayoutReader: the files of a tar that comes as a stream of pieces, one after the other.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"

struct archive;

namespace strata::tools {

// Used by one thread.
class LayoutReader {
 public:
  // The next bytes of the tar, valid until the next call; empty at its end.
  using Pieces = std::function<Result<std::string_view>()>;
  explicit LayoutReader(Pieces pieces);
  ~LayoutReader();
  LayoutReader(const LayoutReader&) = delete;
  LayoutReader& operator=(const LayoutReader&) = delete;

  struct File {
    std::string path;
    uint64_t size = 0;
  };
  // The next regular file; nullopt at the end. kCorrupt.
  Result<std::optional<File>> Next();
  // Of the current file; 0 at its end.
  Result<size_t> Read(char* buffer, size_t size);
  Result<std::string> ReadText(size_t bytes_max);

 private:
  Error Fail() const;
  const Pieces pieces_;
  Status status_;  // Of pieces_.
  archive* const archive_;
  bool opened_ = false;
};

}  // namespace strata::tools
