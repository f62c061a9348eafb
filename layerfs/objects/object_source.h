// ObjectSource: where the object mount gets objects that are not in the object folder. The mount
// knows nothing of peers, stores or transports; imaged does (imaged_source.h).
//
// Thread-safe. Calls may take as long as a network does.
#pragma once

#include <cstdint>

#include "common/cancel.h"
#include "common/digest.h"
#include "common/result.h"

namespace strata::layerfs {

class ObjectSource {
 public:
  virtual ~ObjectSource() = default;

  // The object's size in bytes, without fetching it. kNotFound: nobody has it.
  virtual Result<uint64_t> SizeOf(const Digest& digest) = 0;

  // Ok: the object is in the object folder under its name, whole, and its bytes were compared with
  // the digest while they arrived. With `verify`, an object that is there already is compared too,
  // and replaced when it differs; when that fails it is moved away, so that nobody reads it.
  // kNotFound: nobody has it; kCorrupt: what came was something else; kCancelled.
  virtual Status Provide(const Digest& digest, bool verify, const CancelToken& cancel) = 0;
};

}  // namespace strata::layerfs
