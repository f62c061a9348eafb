// Objects from a directory laid out as a store, for example a mounted backup.
#pragma once

#include <memory>
#include <string>

#include "common/unique_fd.h"
#include "imaged/fetch/object_fetcher.h"

namespace strata::imaged {

class DirectoryFetcher final : public ObjectFetcher {
 public:
  // `directory` holds objects/ab/cdef….
  static Result<std::unique_ptr<ObjectFetcher>> Open(const std::string& directory);

  std::string Name() const override { return "directory " + directory_; }
  Result<uint64_t> SizeOf(const Digest& digest) override;
  Status Fetch(const Digest& digest, const Sink& sink, const CancelToken& cancel) override;

 private:
  DirectoryFetcher(std::string directory, UniqueFd objects)
      : directory_(std::move(directory)), objects_(std::move(objects)) {}
  Result<UniqueFd> OpenObject(const Digest& digest) const;

  const std::string directory_;
  const UniqueFd objects_;
};

}  // namespace strata::imaged
