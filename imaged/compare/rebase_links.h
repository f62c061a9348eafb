// RebaseLinks: keeps what the image links linked in the layer of a rebase. Names are noted while
// the image's changes are gone through; in the end, names that need no entry for themselves get one
// where their link demands it.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/result.h"
#include "imaged/compare/layer_draft.h"
#include "imaged/manifest/erofs_reader.h"

namespace strata::imaged {

class RebaseLinks {
 public:
  struct Name {
    std::string path;
    Nid image_inode = 0;
    uint32_t nlink = 0;             // Of the image's inode.
    bool taken = false;             // What is there in the end is the image's, or like it.
    bool put = false;               // In the layer; otherwise the base has it just so.
    std::optional<Nid> base_inode;  // What the base has there.
  };

  // REQUIRES: in byte order of paths; every name of an inode whose set of names has changed.
  void Note(Name name) { names_.push_back(std::move(name)); }

  // Puts what is missing. Returns the first names of the links that are split.
  Result<std::vector<std::string>> Finish(const ErofsReader& base, LayerDraft* draft) const;

 private:
  std::vector<Name> names_;
};

}  // namespace strata::imaged
