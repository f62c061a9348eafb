// Which manifest of an index an import takes.
#pragma once

#include <string>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/oci/blob_source.h"
#include "imaged/oci/documents.h"

namespace strata::imaged::oci {

// `start` is a manifest (then it is the answer) or an index: the manifest in it, or in an index
// that it names, for `platform`. An entry that names no platform is any platform's. Attestations
// are passed over. kNotFound lists the platforms that there are.
Result<Descriptor> SelectManifest(BlobSource& source, const Descriptor& start,
                                  const Platform& platform, const CancelToken& cancel);

// Whether a configuration of `have` is one for `want`; an empty variant matches any.
bool Matches(const Platform& have, const Platform& want);

}  // namespace strata::imaged::oci
