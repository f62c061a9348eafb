// ChunkLists: the chunks of large objects, kept so that an object is read and cut once:
//
//   <store>/chunks/<hex>   the chunks of the object of that digest (docs/formats.md, "Chunk lists")
//
// A list is true for ever, since its object never changes. It only finds bytes, so nothing in it is
// trusted: what was made with a wrong one fails its digest (imaged/transfer/piece_receiver.h). It
// costs about 0.03 % of the object, is not synced, and is made again when it is gone. Lists whose
// objects are gone are removed when the folder is opened.
//
// Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "common/cancel.h"
#include "common/digest.h"
#include "common/result.h"
#include "imaged/chunks/chunker.h"
#include "imaged/store/object_store.h"

namespace strata::imaged {

class ChunkLists {
 public:
  // `store` must outlive it.
  static Result<std::unique_ptr<ChunkLists>> Open(const ObjectStore& store);

  // Gives the chunks of the object in order, in parts; cuts it (and keeps the list) when there is
  // none yet. `fd` is the object. An error of `take` is passed on.
  using Take = std::function<Status(std::span<const Chunk>)>;
  Status Read(const Digest& digest, int fd, uint64_t size_bytes, const CancelToken& cancel,
              const Take& take) const;
  // Whether it need not be cut.
  bool Has(const Digest& digest) const;

  static constexpr size_t kPartChunks = 4096;

 private:
  ChunkLists(const ObjectStore& store, std::string directory)
      : store_(store), directory_(std::move(directory)) {}
  Status RemoveOrphans() const;
  std::string PathOf(const Digest& digest) const { return directory_ + "/" + digest.Hex(); }

  const ObjectStore& store_;
  const std::string directory_;
};

}  // namespace strata::imaged
