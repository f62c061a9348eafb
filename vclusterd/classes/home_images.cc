#include "vclusterd/classes/home_images.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "common/parallel.h"
#include "vclusterd/master/user_names.h"

namespace strata::vcluster {
namespace {

constexpr size_t kHostsAtATime = 16;
// To a master that has just taken the lead.
constexpr std::chrono::minutes kHostsComeWithin(10);

std::map<std::string, host::v1::ImagesRequest> ByHome(const HomeImages& images,
                                                      host::v1::ImagesChange change) {
  std::map<std::string, host::v1::ImagesRequest> requests;
  std::set<std::string> seen;
  for (const master::v1::TemplateImage& image : images) {
    if (!seen.insert(image.reference()).second) continue;
    host::v1::ImagesRequest& request = requests[image.host()];
    request.set_change(change);
    request.add_references(image.reference());
  }
  return requests;
}

}  // namespace

std::string ImageOwner(uint32_t uid) { return HostUserName(uid).value_or(std::to_string(uid)); }

Status RemoveImages(Master& master, const HomeImages& images) {
  host::v1::ImagesRequest request;
  request.set_change(host::v1::IMAGES_REMOVE);
  std::set<std::string> homes;
  for (const master::v1::TemplateImage& image : images) {
    request.add_references(image.reference());
    homes.insert(image.host());
  }
  if (images.empty()) return Ok();
  Status result = Ok();
  for (const Master::HostView& host : master.Hosts()) {
    const bool is_home = homes.erase(host.name) != 0;
    const std::shared_ptr<HostLink> link = master.LinkTo(host.name);
    if (link == nullptr) {
      if (is_home) result = Error(Code::kUnavailable, "host " + host.name + " is not there");
      continue;
    }
    const auto removed = link->ChangeImages(request);
    if (!removed.ok() && is_home) result = removed.error();
  }
  if (result.ok() && !homes.empty() && master.LedFor() < kHostsComeWithin) {
    return Error(Code::kUnavailable, "host " + *homes.begin() + " has not come yet");
  }
  // A home that nobody knows any more has taken its images along.
  return result;
}

Result<uint64_t> CountSecrets(Master& master, const HomeImages& images) {
  uint64_t secrets = 0;
  for (const auto& [home, request] : ByHome(images, host::v1::IMAGES_COUNT_SECRETS)) {
    const std::shared_ptr<HostLink> link = master.LinkTo(home);
    if (link == nullptr) {
      return Error(Code::kUnavailable,
                   "host '" + home + "', which has images of the template, is not there");
    }
    ASSIGN_OR_RETURN(const host::v1::ImagesResponse counted, link->ChangeImages(request));
    secrets += counted.secrets();
  }
  return secrets;
}

Sending PlanSending(Master& master, const HomeImages& images, std::vector<std::string> to) {
  Sending sending;
  if (to.empty()) {
    for (const Master::HostView& host : master.Hosts()) {
      if (host.present) to.push_back(host.name);
    }
  }
  for (auto& [home, request] : ByHome(images, host::v1::IMAGES_PRESTAGE)) {
    for (const std::string& host : to) {
      if (host != home) request.add_hosts(host);
    }
    if (request.hosts().empty()) continue;
    if (std::shared_ptr<HostLink> link = master.LinkTo(home)) {
      sending.requests.emplace_back(std::move(link), std::move(request));
    } else {
      sending.failures.push_back(home + ": the host, which has images, is not there");
    }
  }
  return sending;
}

std::vector<std::string> Send(Sending sending) {
  std::mutex mutex;  // Guards the failures.
  // Errors are failures of one host, which the others do not share.
  const Status sent = ParallelFor(
      sending.requests.size(),
      [&](size_t i) -> Status {
        const auto& [link, request] = sending.requests[i];
        const auto answer = link->ChangeImages(request);
        const std::lock_guard lock(mutex);
        if (!answer.ok()) {
          sending.failures.push_back(answer.error().message());
        } else {
          sending.failures.insert(sending.failures.end(), answer->failures().begin(),
                                  answer->failures().end());
        }
        return Ok();
      },
      kHostsAtATime);
  if (!sent.ok()) sending.failures.push_back(sent.error().message());
  std::sort(sending.failures.begin(), sending.failures.end());
  sending.failures.erase(std::unique(sending.failures.begin(), sending.failures.end()),
                         sending.failures.end());
  return std::move(sending.failures);
}

}  // namespace strata::vcluster
