#include "net/fastpath/fast_path.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>

#include <algorithm>
#include <cstring>

#include "common/log.h"
#include "net/ipsec_policies.h"

namespace strata::net {
namespace {

constexpr uint32_t kLoopback = 1;

// From `source` to `to`: what the probe sends.
std::string MakeFrame(const FastSource& source, const FastNode& to) {
  ethhdr ethernet = {};
  std::memcpy(ethernet.h_source, source.mac, sizeof(source.mac));
  std::memcpy(ethernet.h_dest, to.mac, sizeof(to.mac));
  ethernet.h_proto = htons(ETH_P_IP);
  iphdr ip = {};
  ip.version = 4;
  ip.ihl = 5;
  ip.saddr = source.address;
  std::string frame(64, '\0');
  std::memcpy(frame.data(), &ethernet, sizeof(ethernet));
  std::memcpy(frame.data() + sizeof(ethernet), &ip, sizeof(ip));
  return frame;
}

}  // namespace

Result<std::unique_ptr<FastPath>> FastPath::Open() {
  ASSIGN_OR_RETURN(std::unique_ptr<FastProgram> program, FastProgram::Load());
  std::unique_ptr<FastPath> opened(new FastPath(std::move(program)));
  if (const Status tried = opened->Try(); !tried.ok()) {
    return Error(Code::kUnsupported, tried.error().message() + " (it needs Linux 6.6)");
  }
  return opened;
}

std::unique_ptr<FastPath> FastPath::OpenOrLog() {
  auto opened = Open();
  if (!opened.ok()) {
    LOG_INFO("no fast path, frames go over bridges: " + opened.error().message());
    return nullptr;
  }
  LOG_INFO("frames between nodes take the fast path");
  return std::move(*opened);
}

// Both kinds of way, and an attachment. Loopback's number is 1 in every network namespace.
Status FastPath::Try() {
  const FastSource source = {
      .network = 1, .address = htonl(INADDR_LOOPBACK), .mac = {2, 0, 0, 0, 0, 1}};
  const FastNode node = {.network = 1, .mac = {2, 0, 0, 0, 0, 2}};
  RETURN_IF_ERROR(program_->SetSource(kLoopback, source));
  for (const uint32_t is_tunnel : {0, 1}) {
    RETURN_IF_ERROR(program_->SetWay(node, {.link = kLoopback + 1, .is_tunnel = is_tunnel}));
    ASSIGN_OR_RETURN(const int verdict, program_->Try(MakeFrame(source, node)));
    if (verdict != TC_ACT_REDIRECT) {
      return Error(Code::kUnsupported, "the program answers " + std::to_string(verdict));
    }
  }
  RETURN_IF_ERROR(program_->RemoveSource(kLoopback));
  RETURN_IF_ERROR(program_->RemoveWay(node));
  ASSIGN_OR_RETURN(tried_, program_->Count());
  for (const auto part : {FastProgram::Part::kNodes, FastProgram::Part::kUnderlay}) {
    ASSIGN_OR_RETURN(const UniqueFd attachment, program_->Attach(kLoopback, part));
  }
  return Ok();
}

Result<FastProgram::Counts> FastPath::Count() const {
  ASSIGN_OR_RETURN(FastProgram::Counts counts, program_->Count());
  for (size_t what = 0; what < counts.size(); ++what) counts[what] -= tried_[what];
  return counts;
}

Result<bool> FastPath::Keep(const DesiredNetwork& desired,
                            const std::vector<ObservedLink>& observed,
                            std::set<std::string> kept_off) {
  Status kept = Forget();
  const Result<bool> is_encrypted = HasIpsecPolicies();
  if (kept.ok() && !is_encrypted.ok()) kept = is_encrypted.error();
  const FastChoices choices = {.kept_off = std::move(kept_off),
                               .wraps = !is_encrypted.value_or(true)};
  const FastPlan plan = MakeFastPlan(state_, MakeFastState(desired, observed, choices));
  if (kept.ok()) kept = Apply(plan);
  if (kept.ok()) return !plan.empty();
  RETURN_IF_ERROR(Clear());
  return kept.error();
}

// Links that are gone, and what others have detached, are not there. What is known of a link stays
// known of no other one: the kernel's numbers may be given again by whoever asks for one.
Status FastPath::Forget() {
  for (auto each = attachments_.begin(); each != attachments_.end();) {
    const auto link = FastProgram::LinkOf(each->second);
    if (link.ok() && *link == each->first) {
      ++each;
      continue;
    }
    RETURN_IF_ERROR(program_->RemoveSource(each->first));
    state_.sources.erase(each->first);
    state_.underlays.erase(each->first);
    each = attachments_.erase(each);
  }
  return Ok();
}

Result<bool> FastPath::Attach(uint32_t link, FastProgram::Part part) {
  auto attachment = program_->Attach(link, part);
  if (attachment.ok()) {
    attachments_.emplace(link, std::move(*attachment));
    return true;
  }
  // The next look will not see it; or its frames go over the bridge.
  const Code code = attachment.error().code();
  if (code == Code::kNotFound || code == Code::kResourceExhausted) return false;
  return attachment.error();
}

// Detaching waits for the kernel's readers (tcx_entry_sync), so it is last: without sources and
// senders attachments do nothing.
Status FastPath::Apply(const FastPlan& plan) {
  for (const uint32_t link : plan.remove_underlays) state_.underlays.erase(link);
  for (const uint32_t link : plan.remove_sources) {
    RETURN_IF_ERROR(program_->RemoveSource(link));
    state_.sources.erase(link);
  }
  for (const FastSender& sender : plan.remove_senders) {
    RETURN_IF_ERROR(program_->RemoveSender(sender));
    state_.senders.erase(sender);
  }
  for (const FastNode& node : plan.remove_ways) {
    RETURN_IF_ERROR(program_->RemoveWay(node));
    state_.ways.erase(node);
  }
  for (const auto& [node, way] : plan.set_ways) {
    RETURN_IF_ERROR(program_->SetWay(node, way));
    state_.ways[node] = way;
  }
  for (const auto& [sender, network] : plan.set_senders) {
    RETURN_IF_ERROR(program_->SetSender(sender, network));
    state_.senders[sender] = network;
  }
  for (const auto& [link, source] : plan.set_sources) {
    if (!attachments_.contains(link)) {
      ASSIGN_OR_RETURN(const bool attached, Attach(link, FastProgram::Part::kNodes));
      if (!attached) continue;
    }
    RETURN_IF_ERROR(program_->SetSource(link, source));
    state_.sources[link] = source;
  }
  for (const uint32_t link : plan.add_underlays) {
    ASSIGN_OR_RETURN(const bool attached, Attach(link, FastProgram::Part::kUnderlay));
    if (attached) state_.underlays.insert(link);
  }
  for (const uint32_t link : plan.remove_sources) attachments_.erase(link);
  for (const uint32_t link : plan.remove_underlays) attachments_.erase(link);
  return Ok();
}

// Without attachments it does not matter what the maps hold.
Status FastPath::Clear() {
  attachments_.clear();
  return Apply(MakeFastPlan(state_, FastState()));
}

size_t FastPath::nodes() const {
  return static_cast<size_t>(
      std::count_if(state_.sources.begin(), state_.sources.end(),
                    [](const auto& source) { return source.second.is_tunnel == 0; }));
}

}  // namespace strata::net
