// Limits, credits, and the audit log.
#include <algorithm>

#include "common/printable.h"
#include "vclusterd/service/user_calls.h"

namespace strata::vcluster {
namespace {

using namespace accounts::v1;

constexpr uint32_t kEventsByDefault = 100;
constexpr uint32_t kEventsMax = 5000;  // As many as one message surely holds.

std::string WordOf(CreditVerdict verdict) {
  if (verdict == CreditVerdict::kStop) return "stop";
  return verdict == CreditVerdict::kWarn ? "warn" : "go";
}

std::optional<Resource> ParseResource(const std::string& name) {
  for (size_t i = 0; i < kResources; ++i) {
    if (NameOf(static_cast<Resource>(i)) == name) return static_cast<Resource>(i);
  }
  return std::nullopt;
}

}  // namespace

// --- Limits -------------------------------------------------------------------------------------

Result<UserCalls::Holder> UserCalls::HolderIn(const LimitsRequest& request,
                                              Operation operation) const {
  using Kind = LimitHolder::Kind;
  const int said = (request.user().empty() ? 0 : 1) + (request.group().empty() ? 0 : 1) +
                   (request.is_default() ? 1 : 0);
  if (said > 1 || (request.group_all() && request.group().empty())) {
    return Error(Code::kInvalidArgument, "limits are of a user, of a group, or the default");
  }
  if (request.is_default()) {
    return Holder{{Kind::kDefault, 0}, {std::nullopt, "the default", ""}, "the default"};
  }
  if (request.group().empty()) {
    ASSIGN_OR_RETURN(const uint32_t uid, UserIn(request.user(), operation));
    return Holder{{Kind::kUser, uid}, TargetOf(uid), users_.NameOf(uid)};
  }
  ASSIGN_OR_RETURN(const GroupPtr group, GroupIn(request.group()));
  const bool concerns = users_.groups().Concerns(group->number(), caller_.uid);
  const uint32_t owner = concerns ? caller_.uid : group->owner_uids(0);
  return Holder{{request.group_all() ? Kind::kGroupAll : Kind::kGroupEach, group->number()},
                {owner, "group " + group->name(), ""},
                (request.group_all() ? "group " : "each member of ") + group->name()};
}

void UserCalls::ShowEffective(uint32_t uid, LimitsView* view) const {
  const auto used = context_.used ? context_.used() : std::nullopt;
  const auto used_by = [&](uint32_t member) {
    if (!used) return QuotaAmounts();
    const auto found = used->find(member);
    return found == used->end() ? QuotaAmounts() : found->second;
  };
  QuotaUsage usage;
  usage.own = used_by(uid);
  usage.of_group = [&](uint32_t number) {
    QuotaAmounts of_all;
    const GroupPtr group = users_.groups().Find(number);
    if (group == nullptr) return of_all;
    for (const uint32_t member : group->member_uids()) of_all += used_by(member);
    return of_all;
  };
  const Bounds bounds = users_.quotas().BoundsOf(uid, users_.NameOf(uid), usage);
  for (size_t i = 0; i < kResources; ++i) {
    const auto resource = static_cast<Resource>(i);
    const Effective effective = vcluster::EffectiveLimit(bounds, resource);
    accounts::v1::EffectiveLimit& shown = *view->add_effective();
    shown.set_resource(std::string(vcluster::NameOf(resource)));
    if (effective.limit) shown.set_limit(*effective.limit);
    shown.set_whose(effective.whose);
    if (!used || resource == Resource::kHostBandwidth) continue;  // Nobody counts that.
    shown.set_used(effective.limit ? effective.used : usage.own[resource]);
  }
}

LimitsView UserCalls::LimitsOfHolder(const Holder& holder) const {
  LimitsView view;
  view.set_whose(holder.whose);
  const StoredLimits stored = users_.quotas().Get(holder.holder);
  vcluster::SetLimits(stored.limits, view.mutable_limits());
  view.mutable_limits()->set_revision(stored.revision);
  if (holder.holder.kind == LimitHolder::Kind::kUser) ShowEffective(holder.holder.number, &view);
  return view;
}

Result<LimitsView> UserCalls::ShowLimits(const LimitsRequest& request) {
  ASSIGN_OR_RETURN(const Holder holder, HolderIn(request, Operation::kQuotaList));
  RETURN_IF_ERROR(users_.Authorize(caller_, Operation::kQuotaList, holder.target));
  return LimitsOfHolder(holder);
}

Result<LimitsView> UserCalls::SetLimits(const SetLimitsRequest& request) {
  const LimitsRequest& whose = request.whose();
  ASSIGN_OR_RETURN(const Holder holder, HolderIn(whose, Operation::kQuotaSet));
  if (whose.user().empty() && whose.group().empty() && !whose.is_default()) {
    return Error(Code::kInvalidArgument, "say whose limits: --user, --group or --default");
  }
  const StoredLimits stored = users_.quotas().Get(holder.holder);
  LimitSet limits = request.unset_all() ? LimitSet() : stored.limits;
  for (const std::string& name : request.unset()) {
    const auto resource = ParseResource(name);
    if (!resource) {
      return Error(Code::kInvalidArgument,
                   "'" + Printable(name, 64) +
                       "' is no resource: nodes, cpus, memory, disk, images, ports, bandwidth, "
                       "bandwidth-per-host");
    }
    limits[*resource].reset();
  }
  const LimitSet set = vcluster::LimitsOf(request.set());
  for (size_t i = 0; i < kResources; ++i) {
    const auto resource = static_cast<Resource>(i);
    if (set[resource]) limits[resource] = set[resource];
  }
  RETURN_IF_ERROR(users_.SetLimits(caller_, holder.holder, limits, stored.revision));
  return LimitsOfHolder(holder);
}

// --- Credits ------------------------------------------------------------------------------------

CreditsView UserCalls::CreditsOf(uint32_t uid) const {
  const CreditBook& credits = users_.credits();
  CreditsView view;
  *view.mutable_user() = PersonOf(uid);
  view.set_balance_milli(credits.Balance(uid));
  view.set_budget_milli(credits.Budget(uid));
  view.set_verdict(WordOf(credits.Verdict(uid)));
  view.set_charged(context_.charged);
  return view;
}

ApplicationInfo UserCalls::InfoOf(const users::v1::CreditApplication& application) const {
  ApplicationInfo info;
  *info.mutable_user() = PersonOf(application.uid());
  info.set_number(application.number());
  info.set_amount_milli(application.amount_milli());
  info.set_reason(application.reason());
  info.set_created_unix_ms(application.created_unix_ms());
  info.set_status(application.status());
  if (application.status() == users::v1::PENDING) return info;
  *info.mutable_decided_by() = PersonOf(application.decided_by_uid());
  info.set_decided_unix_ms(application.decided_unix_ms());
  info.set_comment(application.comment());
  return info;
}

Result<CreditsView> UserCalls::ShowCredits(const CreditsRequest& request) {
  ASSIGN_OR_RETURN(const uint32_t uid, UserIn(request.user(), Operation::kCreditList));
  RETURN_IF_ERROR(users_.Authorize(caller_, Operation::kCreditList, TargetOf(uid)));
  CreditsView view = CreditsOf(uid);
  if (!request.history()) return view;
  ASSIGN_OR_RETURN(const auto history, users_.credits().History(uid));
  for (const users::v1::CreditEntry& entry : history) *view.add_history() = entry;
  return view;
}

Result<ApplicationList> UserCalls::ListApplications(const ListApplicationsRequest& request) {
  RETURN_IF_ERROR(MayList(Operation::kCreditList));
  std::optional<uint32_t> uid;
  if (!request.user().empty()) {
    ASSIGN_OR_RETURN(uid, UserIn(request.user(), Operation::kCreditList));
  }
  ApplicationList list;
  for (const auto& application : users_.credits().Applications(uid, request.only_pending())) {
    if (users_.Allows(caller_, Operation::kCreditList, TargetOf(application.uid()))) {
      *list.add_applications() = InfoOf(application);
    }
  }
  return list;
}

Result<ApplicationList> UserCalls::ApplyForCredits(const ApplyForCreditsRequest& request) {
  ASSIGN_OR_RETURN(const auto application,
                   users_.ApplyForCredits(caller_, request.amount_milli(), request.reason()));
  ApplicationList list;
  *list.add_applications() = InfoOf(application);
  return list;
}

Result<ApplicationList> UserCalls::DecideApplication(const DecideApplicationRequest& request) {
  ASSIGN_OR_RETURN(const uint32_t uid, UserIn(request.user(), Operation::kCreditDecide));
  ASSIGN_OR_RETURN(const auto application,
                   users_.DecideApplication(caller_, uid, request.number(), request.approve(),
                                            request.comment()));
  ApplicationList list;
  *list.add_applications() = InfoOf(application);
  return list;
}

Result<CreditsView> UserCalls::GrantCredits(const GrantCreditsRequest& request) {
  ASSIGN_OR_RETURN(const uint32_t uid, UserIn(request.user(), Operation::kCreditGrant));
  RETURN_IF_ERROR(users_.GrantCredits(caller_, uid, request.amount_milli(), request.reason()));
  return CreditsOf(uid);
}

Result<CreditsView> UserCalls::SetCreditBudget(const SetCreditBudgetRequest& request) {
  ASSIGN_OR_RETURN(const uint32_t uid, UserIn(request.user(), Operation::kCreditGrant));
  RETURN_IF_ERROR(users_.SetCreditBudget(caller_, uid, request.budget_milli()));
  return CreditsOf(uid);
}

// --- Audit --------------------------------------------------------------------------------------

Result<EventList> UserCalls::ListEvents(const ListEventsRequest& request) {
  AuditQuery query;
  if (!request.user().empty()) {
    ASSIGN_OR_RETURN(query.uid, UserIn(request.user(), Operation::kAuditRead));
  }
  query.object = request.object();
  query.operation = request.operation();
  query.since_unix_ms = request.since_unix_ms();
  if (request.until_unix_ms() != 0) query.until_unix_ms = request.until_unix_ms();
  query.last = std::min(request.last() == 0 ? kEventsByDefault : request.last(), kEventsMax);
  if (request.before() != 0) query.before = request.before();
  ASSIGN_OR_RETURN(AuditLog::Found found, users_.Events(caller_, query));
  EventList list;
  for (users::v1::AuditEvent& event : found.events) *list.add_events() = std::move(event);
  list.set_reached(found.reached);
  return list;
}

}  // namespace strata::vcluster
