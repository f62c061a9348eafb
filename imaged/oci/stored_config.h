// An OCI image's configuration as the catalog keeps it (v1::ImageConfig), and back.
// Pure functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "imaged/api/imaged.pb.h"
#include "imaged/oci/documents.h"

namespace strata::imaged::oci {

// `layers`: the digests that the config's diff_ids became, of the same number. What nodes cannot
// use or the catalog cannot keep is told in `*warnings`.
v1::ImageConfig StoreConfig(const ImageConfig& config, const std::vector<std::string>& layers,
                            std::vector<std::string>* warnings);

// The configuration that the image is exported with. `diff_ids`: of its layers, bottom first.
// The history is the stored one as far as the layers are still those that it was about; the others
// tell their own.
ImageConfig ConfigOf(const v1::Image& image, std::vector<Sha256Digest> diff_ids);

// Variables of `added` ("NAME=value") replace those of the same name.
void MergeEnvironment(const google::protobuf::RepeatedPtrField<std::string>& added,
                      google::protobuf::RepeatedPtrField<std::string>* env);

}  // namespace strata::imaged::oci
