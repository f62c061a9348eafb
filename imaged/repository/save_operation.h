// SaveOperation: a container's upper becomes a layer on the image that its lease holds.
// FirstRound (it runs), SecondRound (it is frozen), Finish (it may run again): each once, in this
// order, on one thread. Destroyed before Finish, nothing was saved and nothing stays.
#pragma once

#include <memory>
#include <vector>

#include "imaged/repository/repository.h"
#include "imaged/save/layer_builder.h"
#include "imaged/save/secret_scrub.h"
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
  // Of the base too, what containers left there: a node that has moved has its own earlier layers
  // in it. `draft` gets the base's layers.
  Result<std::vector<ScrubFinding>> Scrub(BuiltLayer* layer, v1::Image* draft);
  SaveOperation(Repository* repository, Images::Reservation name, Liveness::HeldImage base,
                const v1::SaveStart& start, const CancelToken* cancel)
      : repository_(repository),
        name_(std::move(name)),
        base_(std::move(base)),
        start_(start),
        cancel_(cancel) {}

  Repository* const repository_;
  const Images::Reservation name_;
  const Liveness::HeldImage base_;
  const v1::SaveStart start_;
  const CancelToken* const cancel_;
  std::vector<Liveness::Hold> clean_layers_;  // Of a base that was scrubbed.
  std::unique_ptr<ErofsReader> base_tree_;
  std::unique_ptr<Ingest> ingest_;
  std::unique_ptr<UpperScan> scan_;  // Uses ingest_, so it goes first.
};

}  // namespace strata::imaged
