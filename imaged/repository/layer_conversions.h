// LayerConversions: what is known of layers in the form of OCI images, so that nothing is converted
// twice. Derived: an absent or damaged record is as good as none. Both kinds go with their layer
// (docs/formats.md, "OCI records").
//
//   <root>/oci/chains/ab/cdef…     what OCI layers (by their chain id) became when they were
//   imported <root>/oci/encodings/ab/cdef…  digests of a layer's exported forms, by the layer
//
// It knows nothing of rights: who finds a layer here must ask whether the caller may use it.
// Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "common/digest.h"
#include "common/result.h"
#include "common/sha256.h"

namespace strata::imaged {

// The identity of OCI layers from the bottom up to one (image-spec, config.md, "Layer ChainID").
Sha256Digest ChainId(const std::optional<Sha256Digest>& below, const Sha256Digest& diff_id);

class LayerConversions {
 public:
  static Result<std::unique_ptr<LayerConversions>> Open(const std::string& root);

  // What the uppermost layer of a chain became. Root's imports keep attributes that other users'
  // must leave out, so both are told apart.
  std::optional<Digest> FindChain(const Sha256Digest& chain, bool as_root) const;
  // Durable when it returns.
  Status RecordChain(const Sha256Digest& chain, bool as_root, const Digest& layer);

  struct Encoding {
    Sha256Digest diff_id;
    Sha256Digest digest;
    uint64_t size = 0;
    bool operator==(const Encoding&) const = default;
  };
  // `form` names the encoder with its version; it has no blanks.
  std::optional<Encoding> FindEncoding(const Digest& layer, const std::string& form) const;
  Status RecordEncoding(const Digest& layer, const std::string& form, const Encoding& encoding);
  Status ForgetEncoding(const Digest& layer, const std::string& form);

  // Removes what belongs to no live layer.
  Status Sweep(const std::set<Digest>& live);

 private:
  explicit LayerConversions(std::string root) : root_(std::move(root)) {}
  using Encodings = std::map<std::string, Encoding>;
  std::string ChainPath(const Sha256Digest& chain, bool as_root) const;
  std::string EncodingsPath(const Digest& layer) const;
  Encodings ReadEncodings(const Digest& layer) const;
  Status WriteEncodings(const Digest& layer, const Encodings& encodings) const;

  const std::string root_;
  mutable std::mutex mutex_;  // Guards the files of encodings, which are read, changed and written.
};

}  // namespace strata::imaged
