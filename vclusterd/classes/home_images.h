// Images that lie with certain hosts, as templates and collections name them: removed, looked
// through, sent. Thread-safe; calls hosts, so no lock is held.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "vclusterd/api/classes.pb.h"
#include "vclusterd/master/master.h"

namespace strata::vcluster {

using HomeImages = google::protobuf::RepeatedPtrField<master::v1::TemplateImage>;

// What imaged calls the owner of images: as the host names him, not as accounts here do.
std::string ImageOwner(uint32_t uid);
// From all hosts that are there: their own, and what was sent to them. kUnavailable: a host that
// has some is not there, or has not come yet to a master that has just taken the lead; what can be
// removed is removed. One that has not come for ten minutes is gone with what it has.
Status RemoveImages(Master& master, const HomeImages& images);
// How many secrets containers left in them.
Result<uint64_t> CountSecrets(Master& master, const HomeImages& images);
// To these hosts, from their homes; empty: to all that are there. Lines "HOST: why" of those that
// do not have one then. Needs the links alone, which outlive the master.
struct Sending {
  std::vector<std::pair<std::shared_ptr<HostLink>, host::v1::ImagesRequest>> requests;
  std::vector<std::string> failures;  // So far.
  bool nothing() const { return requests.empty() && failures.empty(); }
};
Sending PlanSending(Master& master, const HomeImages& images, std::vector<std::string> to = {});
std::vector<std::string> Send(Sending sending);

}  // namespace strata::vcluster
