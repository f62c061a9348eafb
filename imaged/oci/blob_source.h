// BlobSource: where an import gets the blobs of an image from: an OCI layout, a `docker save`
// archive, a registry. Nothing that it gives is trusted: who reads it counts and hashes.
#pragma once

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/archive/pax_writer.h"
#include "imaged/oci/documents.h"

namespace strata::imaged::oci {

class BlobSource {
 public:
  virtual ~BlobSource() = default;

  // Gives the bytes of the blob to `sink`, in order, in pieces of any size, and returns when all
  // were given or at once with the sink's error. kNotFound: it has no such blob. Looks at `cancel`
  // at least once for every piece and while it waits. The importer calls it from a thread of its
  // own, one blob at a time.
  virtual Status Read(const Descriptor& blob, const ByteSink& sink, const CancelToken& cancel) = 0;
};

// A document (manifest, index, configuration) of at most kDocumentBytesMax bytes, compared with its
// size and digest. kCorrupt when it is another, kResourceExhausted when it is too large.
Result<std::string> ReadDocument(BlobSource& source, const Descriptor& document,
                                 const CancelToken& cancel);

}  // namespace strata::imaged::oci
