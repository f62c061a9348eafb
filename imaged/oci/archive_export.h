// Writes an image as a file for others: a tar of an OCI image layout, or what `docker save` writes
// and `docker load` and `podman load` read. The same image gives the same bytes.
#pragma once

#include <sys/types.h>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/archive/pax_writer.h"
#include "imaged/oci/image_exporter.h"
#include "imaged/repository/repository.h"

namespace strata::imaged::oci {

// In the format that the request says; ARCHIVE_TAR is Repository::Export. Errors of OciImage::Open
// and WriteBlob, and of the sink.
Status ExportArchive(Repository& repository, uid_t caller, const v1::ExportRequest& request,
                     const ByteSink& sink, const CancelToken& cancel, const ProgressSink& progress);

Status WriteOciArchive(const OciImage& image, const ByteSink& sink, const CancelToken& cancel);
// REQUIRES: the image was opened without compression.
Status WriteDockerArchive(const OciImage& image, const ByteSink& sink, const CancelToken& cancel);

}  // namespace strata::imaged::oci
