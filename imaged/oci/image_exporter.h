// OciImage: an image of the store in OCI form: a manifest, a configuration and one blob per layer,
// for archives and registries alike. The same image gives the same bytes.
//
// A layer's blob is a pax archive with OCI's whiteouts, compressed in independent pieces. Its
// digest, size and diff_id are computed once and kept beside the store's layers
// (imaged/repository/layer_conversions.h); opening an image whose layers were never exported
// therefore reads all of it once, and keeps compressed blobs in the store's staging until the
// OciImage goes. A blob that comes out otherwise than recorded is kCorrupt, told before its last
// bytes are given: a reader that counts never gets a whole wrong blob.
//
// Holds the image against collection while it lives. Thread-safe after Open.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/archive/pax_writer.h"
#include "imaged/oci/documents.h"
#include "imaged/oci/layer_encoder.h"
#include "imaged/repository/repository.h"

namespace strata::imaged::oci {

class OciImage {
 public:
  // kNotFound: no image that the caller may use. kInvalidArgument: a file that is called .wh.*,
  // which OCI cannot express. `progress`: stage "encode", bytes of the layers' files.
  static Result<std::unique_ptr<OciImage>> Open(Repository& repository, uid_t caller,
                                                const std::string& reference,
                                                Compression compression, const CancelToken& cancel,
                                                const ProgressSink& progress);
  ~OciImage();

  const v1::Image& image() const { return held_.image; }
  // Of the manifest; its bytes are blob(manifest().digest).
  const Descriptor& manifest() const { return manifest_; }
  const Descriptor& config() const { return config_; }
  const std::vector<Descriptor>& layers() const { return layers_; }  // Bottom first.
  const std::vector<Sha256Digest>& diff_ids() const { return diff_ids_; }
  const std::string& manifest_bytes() const { return manifest_bytes_; }
  const std::string& config_bytes() const { return config_bytes_; }

  // The manifest, the configuration or a layer. kNotFound for another digest.
  Status WriteBlob(const Sha256Digest& digest, const ByteSink& sink,
                   const CancelToken& cancel) const;

 private:
  struct Spool;
  OciImage(Repository& repository, Liveness::HeldImage held, Compression compression);
  using ByteProgress = std::function<void(uint64_t)>;
  Status AddLayer(const Digest& layer, const CancelToken& cancel, const ByteProgress& progress);
  Result<EncodedLayer> Encode(const Digest& layer, const ByteSink& sink, const CancelToken& cancel,
                              const ByteProgress& progress) const;
  Result<EncodedLayer> EncodeToSpool(const Digest& layer, const CancelToken& cancel,
                                     const ByteProgress& progress);
  void Describe();
  // Both: the digest of what they gave.
  Result<Sha256Digest> WriteLayer(const Digest& layer, const Descriptor& blob, const ByteSink& sink,
                                  const CancelToken& cancel) const;
  static Result<Sha256Digest> ReadSpool(const Spool& spool, uint64_t size, const ByteSink& sink,
                                        const CancelToken& cancel);

  Repository& repository_;
  const Liveness::HeldImage held_;
  const Compression compression_;
  std::unique_ptr<Ingest> staging_;  // Where spools lie; null: nothing was encoded.
  std::map<Sha256Digest, std::unique_ptr<Spool>> spools_;
  std::vector<Descriptor> layers_;
  std::vector<Sha256Digest> diff_ids_;
  Descriptor manifest_;
  Descriptor config_;
  std::string manifest_bytes_;
  std::string config_bytes_;
};

}  // namespace strata::imaged::oci
