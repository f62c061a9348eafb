// Where an image is in a registry: docker://HOST[:PORT]/REPOSITORY[:TAG][@DIGEST].
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "common/sha256.h"

namespace strata::imaged {

inline constexpr std::string_view kRegistryScheme = "docker://";

struct RegistryLocation {
  std::string host;        // As it was given, with its port: what credentials are kept under.
  std::string repository;  // "library/debian"
  std::string tag;         // "latest" unless given; empty with a digest.
  std::optional<Sha256Digest> digest;

  // Who answers for `host`: Docker's own registry has another name.
  std::string Endpoint() const;
  // Tag or digest, as addresses of manifests carry them.
  std::string ManifestReference() const { return digest ? digest->ToString() : tag; }
  std::string ToString() const;
};

// kInvalidArgument says what is wrong.
Result<RegistryLocation> ParseRegistryLocation(std::string_view text);

}  // namespace strata::imaged
