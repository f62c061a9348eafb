#include "vclusterd/host/node_save.h"

#include "common/log.h"

namespace strata::vcluster {

NodeSave::~NodeSave() {
  if (Status thawed = Thaw(); !thawed.ok()) {
    LOG_ERROR("a node may still be frozen: " + thawed.error().message());
  }
  session_.reset();  // Reads the upper until then.
  at_end_();
}

Status NodeSave::Freeze() {
  if (!running()) return Ok();
  frozen_ = true;  // Even one that failed may have frozen a part.
  return runtime_.Freeze(*record_);
}

Status NodeSave::Thaw() {
  if (!frozen_.exchange(false)) return Ok();
  return runtime_.Thaw(*record_);
}

}  // namespace strata::vcluster
