// What an address of the registry names (distribution-spec 1.1, "Endpoints").
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace strata::imaged {

struct Route {
  enum class Kind {
    kBase,       // /v2/
    kToken,      // /v2/token
    kCatalog,    // /v2/_catalog
    kTags,       // /v2/OWNER/NAME/tags/list
    kManifest,   // /v2/OWNER/NAME/manifests/REFERENCE
    kReferrers,  // /v2/OWNER/NAME/referrers/DIGEST
    kBlob,       // /v2/OWNER/NAME/blobs/DIGEST
    kUploads,    // /v2/OWNER/NAME/blobs/uploads/
    kUpload,     // /v2/OWNER/NAME/blobs/uploads/ID
  };
  Kind kind;
  std::string repository;  // "OWNER/NAME", both of them words (IsWord).
  std::string reference;   // Tag, digest or id, decoded and not looked at.
};

// Letters, digits, '.', '_' and '-', the first a letter or digit; at most 128.
bool IsWord(std::string_view text);
// `path` as it came. nullopt: none of ours.
std::optional<Route> ParseRoute(std::string_view path);

}  // namespace strata::imaged
