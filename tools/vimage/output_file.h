// The file that an export writes: it appears under its name only when it is complete.
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::tools {

// Move-only; used by one thread. Destroyed before Publish(), it leaves nothing behind.
class OutputFile {
 public:
  // A descriptor that somebody else owns, such as standard output.
  static Result<OutputFile> Of(int fd);
  // Written beside `path` under a temporary name. A device or a pipe is written directly.
  static Result<OutputFile> Create(const std::string& path);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  Status Write(std::string_view data);
  // Ok: complete, under its name, on stable storage.
  Status Publish();

 private:
  OutputFile() = default;

  UniqueFd owned_;
  int fd_ = -1;
  std::string path_;
  std::string temporary_path_;  // Empty: written directly.
};

}  // namespace strata::tools
