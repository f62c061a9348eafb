// Takes the secrets out of the tree of a layer that is about to be saved (secret_rules.h and
// secret_content.h say which files are meant). The container that is saved is not touched.
//
// Only regular files with content are secrets; all names of a hard link go. Where the image below
// holds something at a removed file's path, a whiteout takes the file's place, so that this does
// not show through. What is in the image below already is not this save's: a file that the layer
// holds with the content it has there stays, and so does all that the layer does not touch. Both
// are reported as kInBase, but only for rules of paths: contents of the image below are not read.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/digest.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "imaged/manifest/erofs_reader.h"
#include "imaged/manifest/tree.h"
#include "imaged/save/secret_rules.h"

namespace strata::imaged {

struct ScrubFinding {
  enum class Outcome { kRemoved, kEmptied, kInBase };
  std::string path;  // Relative to the root. Bytes as the container wrote them.
  Outcome outcome = Outcome::kRemoved;
  const SecretRule* rule = nullptr;  // Of a table: lives for ever.
};

// Opens the content of an object for reading. Called from several threads. kNotFound: it is not on
// this host, so it is the base's.
using OpenContent = std::function<Result<UniqueFd>(const Digest&)>;

// `base` is the flattened tree that `*layer` lies on. The findings of the layer come first, then
// those of the base, each in the order of Tree::Walk. After an error `*layer` is unspecified.
Result<std::vector<ScrubFinding>> ScrubSecrets(const ErofsReader& base, const OpenContent& open,
                                               Tree* layer);

}  // namespace strata::imaged
