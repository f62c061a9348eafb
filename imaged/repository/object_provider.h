// ObjectProvider: brings single objects into a store from elsewhere. Bytes are hashed while they
// arrive, below staging/; only what has the right digest is made durable (fdatasync of the file)
// and then given its name. The name itself may be lost by a power cut; then the object is fetched
// again.
//
// An object that does not match its digest is moved to <store>/damaged/<hex>, for whoever wants to
// look at it; it is removed when a good one has come.
//
// A reader does not wait for ever: an attempt ends when its source is silent (the fetchers say how
// long), and sources that do not answer are asked again until the caller's patience ends.
//
// Thread-safe. Two calls for one object may fetch it twice; the object mount asks once.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "common/cancel.h"
#include "imaged/fetch/object_fetcher.h"
#include "imaged/store/object_store.h"

namespace strata::imaged {

// Whether a failed look at stored bytes means that they are no good, and not that it could not be
// made.
bool IsDamage(const Error& error);

class ObjectProvider {
 public:
  using Progress = std::function<void(uint64_t bytes)>;
  using Fetchers = std::vector<std::shared_ptr<ObjectFetcher>>;

  ObjectProvider(ObjectStore& store, std::vector<std::unique_ptr<ObjectFetcher>> fetchers);
  // Asked after the fetchers above, in the order of its answer. Set before the first call of
  // others.
  void AlsoAsk(std::function<Fetchers()> more) { more_ = std::move(more); }

  bool HasSources() const { return !Sources().empty(); }
  // kNotFound when nobody has it. `local_only`: as the store has it.
  Result<uint64_t> SizeOf(const Digest& digest, bool local_only);
  // Ok: the store has the object. With `verify` its bytes are compared first. The error tells what
  // every source said.
  Status Provide(const Digest& digest, bool verify, const CancelToken& cancel,
                 const Progress& progress = {},
                 std::chrono::milliseconds patience = std::chrono::milliseconds(0));
  // Moves an object away of which `damage` was found, and has a good one fetched. The error tells
  // the damage and what every source said.
  Status Heal(const Digest& digest, const Error& damage, const CancelToken& cancel,
              const Progress& progress = {},
              std::chrono::milliseconds patience = std::chrono::milliseconds(0));
  // Fetches an object that is missing since it was found damaged, as Heal does.
  Status HealMissing(const Digest& digest, const CancelToken& cancel, const Progress& progress = {},
                     std::chrono::milliseconds patience = std::chrono::milliseconds(0));
  // The object, fetched if it is not here.
  Result<UniqueFd> Open(const Digest& digest, const CancelToken& cancel);
  // How long a program's open of a file waits for sources that do not answer. Set before the first
  // call of others.
  void SetReadPatience(std::chrono::milliseconds patience) { read_patience_ = patience; }
  std::chrono::milliseconds read_patience() const { return read_patience_; }
  // Callers that wait for objects now: what is less urgent gives them the way.
  int waiting() const { return waiting_; }

 private:
  // What one round of asking came to.
  struct Round {
    bool fetched = false;
    bool unreachable = false;  // A source did not answer: it may later.
    std::string trouble;
    std::string from;
  };

  Fetchers Sources() const;
  // Answers which source gave it.
  Result<std::string> FetchFromAny(const Digest& digest, const CancelToken& cancel,
                                   const Progress& progress, std::chrono::milliseconds patience);
  Result<Round> AskAll(const Digest& digest, std::chrono::steady_clock::time_point end,
                       const CancelToken& cancel, const Progress& progress);
  Status FetchFrom(ObjectFetcher& fetcher, const Digest& digest, const CancelToken& cancel,
                   const Progress& progress);

  ObjectStore& store_;
  Fetchers fetchers_;
  std::function<Fetchers()> more_;
  std::chrono::milliseconds read_patience_{30'000};
  std::atomic<int> waiting_ = 0;
};

}  // namespace strata::imaged
