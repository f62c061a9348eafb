// ObjectFetcher: somewhere else that has objects. What it delivers is not trusted: whoever asks
// compares it with the digest (imaged/repository/object_provider.h).
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/cancel.h"
#include "common/digest.h"
#include "common/result.h"

namespace strata::imaged {

class ObjectFetcher {
 public:
  // Takes the next bytes of the object; an error ends the fetch and is its answer.
  using Sink = std::function<Status(std::string_view)>;

  virtual ~ObjectFetcher() = default;
  virtual std::string Name() const = 0;  // For people: "peer /run/…", "directory /…".
  // kNotFound when it has no such object; kUnavailable when it does not answer.
  virtual Result<uint64_t> SizeOf(const Digest& digest) = 0;
  virtual Status Fetch(const Digest& digest, const Sink& sink, const CancelToken& cancel) = 0;
};

}  // namespace strata::imaged
