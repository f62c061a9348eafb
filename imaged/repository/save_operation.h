// SaveOperation: a container's upper becomes a layer on the image that its lease holds.
// FirstRound (it runs), SecondRound (it is frozen), Finish (it may run again): each once, in this
// order, on one thread. Destroyed before Finish, nothing was saved and nothing stays.
#pragma once

#include <memory>

#include "imaged/repository/repository.h"
#include "imaged/save/upper_scan.h"

namespace strata::imaged {

class SaveOperation {
 public:
  // `repository` and `cancel` must outlive the operation.
  static Result<std::unique_ptr<SaveOperation>> Start(Repository* repository,
                                                      const v1::SaveStart& start,
                                                      const CancelToken* cancel,
                                                      ProgressSink progress);

  Result<RoundStats> FirstRound() { return scan_->Round(/*frozen=*/false); }
  Result<RoundStats> SecondRound() { return scan_->Round(/*frozen=*/true); }
  // Builds the layer, takes secrets out of it if they must not be seen, and publishes the image.
  Result<v1::ImportResult> Finish();

 private:
  // As ordered, or because others will see the image.
  Result<bool> ShouldScrub() const;
  SaveOperation(Repository* repository, Images::Reservation name, Liveness::HeldImage base,
                const v1::SaveStart& start)
      : repository_(repository), name_(std::move(name)), base_(std::move(base)), start_(start) {}

  Repository* const repository_;
  const Images::Reservation name_;
  const Liveness::HeldImage base_;
  const v1::SaveStart start_;
  std::unique_ptr<ErofsReader> base_tree_;
  std::unique_ptr<Ingest> ingest_;
  std::unique_ptr<UpperScan> scan_;  // Uses ingest_, so it goes first.
};

}  // namespace strata::imaged
