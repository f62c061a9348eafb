// What nodes ask for themselves (docs/scale-from-nodes.md).
#include <algorithm>

#include "common/log.h"
#include "common/printable.h"
#include "vclusterd/master/clusters.h"

namespace strata::vcluster {
namespace {

constexpr int64_t kLifeMs = kDayMs;  // Of a node's token; its host asks for the next one in time.
// Changes that the nodes of one Vcluster may ask for: every one is written.
constexpr double kChangesPerSecond = 0.5;
constexpr double kChangesBurst = 10;
constexpr size_t kNoticeMax = 300;

// As `vcluster token list` shows it. Another node's, and a node's that was made anew, is another.
std::string TokenNameOf(const Vcluster& vcluster, const master::v1::Node& node) {
  return "node " + vcluster.record.name() + "/" + vcluster.NodeName(node) + " (" +
         std::to_string(vcluster.record.number()) + "-" + std::to_string(node.index()) + "." +
         std::to_string(node.incarnation()) + ")";
}

bool IsNodes(const Token& token, const Vcluster& vcluster) {
  return std::any_of(vcluster.record.nodes().begin(), vcluster.record.nodes().end(),
                     [&](const master::v1::Node& node) {
                       return !node.leaving() && token.record.name() == TokenNameOf(vcluster, node);
                     });
}

Error MayNotAsk(const Vcluster& vcluster) {
  return Error(Code::kPermissionDenied,
               "nodes of Vcluster " + vcluster.record.name() +
                   " may not scale it: its file does not say so (scale-from-nodes: true)");
}

// From how many to how many nodes may ask.
ScaleFromNodes LimitsOf(const Role& role) {
  ScaleFromNodes limits = *role.scale_from_nodes;
  if (role.autoscale.has_value()) {
    limits.min = std::max(limits.min, role.autoscale->min);
    limits.max = std::min(limits.max, role.autoscale->max);
  }
  return limits;
}

Status CheckAsked(const Role& role, int64_t count) {
  if (!role.scale_from_nodes.has_value()) {
    return Error(Code::kPermissionDenied,
                 "role " + role.name +
                     " is not for nodes to scale: the Vcluster's file does not say so "
                     "(scale-from-nodes)");
  }
  const ScaleFromNodes limits = LimitsOf(role);
  if (count >= limits.min && count <= limits.max) return Ok();
  return Error(count < limits.min ? Code::kFailedPrecondition : Code::kResourceExhausted,
               "role " + role.name + " may have " + std::to_string(limits.min) + " to " +
                   std::to_string(limits.max) + " nodes when nodes ask, not " +
                   std::to_string(count));
}

std::string TextOf(const host::v1::NodeAskRequest& request) {
  std::string text;
  for (const host::v1::RoleCount& role : request.roles()) {
    text += (text.empty() ? "" : " ") + Printable(role.role(), kRoleNameSizeMax) + "=" +
            (role.relative() && role.count() >= 0 ? "+" : "") + std::to_string(role.count());
  }
  return text;
}

host::v1::NodeAskResponse Describe(const VclusterView& view, const Vcluster& before) {
  host::v1::NodeAskResponse response;
  const Vcluster& vcluster = *view.vcluster;
  for (const Role& role : vcluster.definition.roles) {
    host::v1::RoleState* state = response.add_roles();
    state->set_role(role.name);
    state->set_wanted(role.count);
    const Role* old_role = before.definition.FindRole(role.name);
    state->set_before(old_role == nullptr ? role.count : old_role->count);
    for (const master::v1::Node& node : vcluster.record.nodes()) {
      const auto status = view.states.find(node.index());
      const bool runs = status != view.states.end() && status->second.state() == host::v1::READY &&
                        !view.lost.contains(node.index());
      if (node.role() == role.name && !node.leaving() && runs) {
        state->set_running(state->running() + 1);
      }
    }
    if (!role.scale_from_nodes.has_value()) continue;
    const ScaleFromNodes limits = LimitsOf(role);
    state->set_scales(true);
    state->set_min(limits.min);
    state->set_max(limits.max);
  }
  response.set_notice(view.notice);
  if (view.problem.has_value() && view.notice.empty()) {
    response.set_notice(Printable(view.problem->message(), kNoticeMax));
  }
  return response;
}

}  // namespace

Status CheckNodeToken(const Caller& caller, const Vcluster& vcluster) {
  if (caller.token == nullptr || caller.token->record.kind() != users::v1::NODE) return Ok();
  if (!vcluster.definition.ScalesFromNodes()) return MayNotAsk(vcluster);
  if (IsNodes(*caller.token, vcluster)) return Ok();
  return Error(Code::kPermissionDenied, "this token is of a node that is not there any more");
}

Result<Definition> ScaleDefinition(Definition definition, const std::vector<RoleChange>& changes,
                                   bool by_node) {
  for (const RoleChange& change : changes) {
    const auto role = std::find_if(definition.roles.begin(), definition.roles.end(),
                                   [&](const Role& known) { return known.name == change.role; });
    if (role == definition.roles.end()) {
      std::string roles;
      for (const Role& known : definition.roles) roles += " " + known.name;
      return Error(Code::kNotFound, "Vcluster " + definition.name + " has no role '" +
                                        Printable(change.role, kRoleNameSizeMax) +
                                        "'; it has:" + roles);
    }
    const int64_t count = change.relative ? role->count + change.count : change.count;
    if (by_node) RETURN_IF_ERROR(CheckAsked(*role, count));
    if (count < 0 || count > kNodesMax) {
      return Error(Code::kInvalidArgument, "role " + role->name + " can have 0 to " +
                                               std::to_string(kNodesMax) + " nodes, not " +
                                               std::to_string(count));
    }
    role->count = static_cast<uint32_t>(count);
  }
  return definition;
}

Result<Clusters::Asking> Clusters::FindAsking(const std::string& host, uint32_t number,
                                              uint32_t index) const {
  if (!master_.Leads()) return Error(Code::kUnavailable, "it is not sure that this master leads");
  Asking asking;
  asking.view = master_.Find(number);
  if (asking.view.vcluster != nullptr) asking.node = asking.view.vcluster->FindNode(index);
  if (asking.node == nullptr || asking.node->host() != host || asking.node->leaving()) {
    return Error(Code::kNotFound, "host '" + host + "' should not have node " +
                                      std::to_string(number) + "-" + std::to_string(index));
  }
  const master::v1::Vcluster& record = asking.view.vcluster->record;
  asking.target = TargetOf(record.owner_uid(), record.name());
  return asking;
}

Status Clusters::AdmitChange(uint32_t number) {
  const std::lock_guard lock(mutex_);
  const std::string key = std::to_string(number);
  if (asked_.Find(key) == nullptr) {
    asked_.Touch(key) = RateBucket(kChangesPerSecond, kChangesBurst);
  }
  if (asked_.Touch(key).Take(RateBucket::Clock::now())) return Ok();
  return Error(Code::kResourceExhausted,
               "the nodes of this Vcluster have asked for many changes just now: try again in a "
               "few seconds");
}

Result<host::v1::NodeTokenResponse> Clusters::MakeNodeToken(
    const std::string& host, const host::v1::NodeTokenRequest& request) {
  ASSIGN_OR_RETURN(const Asking asking, FindAsking(host, request.number(), request.index()));
  const Vcluster& vcluster = *asking.view.vcluster;
  if (!vcluster.definition.ScalesFromNodes()) return MayNotAsk(vcluster);
  const uint32_t uid = vcluster.record.owner_uid();
  const std::string name = TokenNameOf(vcluster, *asking.node);
  const auto earlier = users_.NodeTokensOf(uid, asking.target.vcluster);
  auto made = users_.MakeNodeToken(uid, asking.target.vcluster,
                                   OperationSet::Of({Operation::kVclusterScale}), kLifeMs, name);
  users_.Record({uid, "host", host, nullptr}, Operation::kTokenCreate, asking.target,
                made.ok() ? name + ", token " + made->token->id : name,
                made.ok() ? Ok() : Status(made.error()));
  if (!made.ok()) return made.error();
  // The node may just have read the one before.
  std::vector<TokenPtr> unwanted;
  TokenPtr before;
  for (const TokenPtr& token : earlier) {
    if (token->record.name() == name) {
      if (before != nullptr) unwanted.push_back(before);
      before = token;
    } else if (!IsNodes(*token, vcluster)) {
      unwanted.push_back(token);
    }
  }
  if (Status revoked = users_.RevokeNodeTokens(unwanted); !revoked.ok()) {
    LOG_WARNING("earlier tokens of " + name + ": " + revoked.error().message());
  }
  host::v1::NodeTokenResponse response;
  response.set_token(made->text);
  response.set_life_ms(kLifeMs);
  return response;
}

Result<host::v1::NodeAskResponse> Clusters::AnswerNode(const std::string& host,
                                                       const host::v1::NodeAskRequest& request) {
  ASSIGN_OR_RETURN(const Asking asking, FindAsking(host, request.number(), request.index()));
  const Vcluster& vcluster = *asking.view.vcluster;
  const std::string node = vcluster.NodeName(*asking.node);
  ASSIGN_OR_RETURN(const Caller caller,
                   users_.CallerOf(request.token(), "node", asking.target.name + "/" + node));
  if (!vcluster.definition.ScalesFromNodes()) return MayNotAsk(vcluster);
  // With this it is of this Vcluster, too; Authorize says whether it is for scaling.
  if (caller.token->record.kind() != users::v1::NODE ||
      caller.token->record.name() != TokenNameOf(vcluster, *asking.node)) {
    const Error refused(Code::kPermissionDenied, "this token is not of node " + node);
    users_.Record(caller, Operation::kVclusterScale, asking.target, TextOf(request), refused);
    return refused;
  }
  if (request.roles().empty()) {
    RETURN_IF_ERROR(users_.Authorize(caller, Operation::kVclusterScale, asking.target));
  } else {
    RETURN_IF_ERROR(AdmitChange(request.number()));
    std::vector<RoleChange> changes;
    for (const host::v1::RoleCount& role : request.roles()) {
      changes.push_back({role.role(), role.count(), role.relative()});
    }
    RETURN_IF_ERROR(users_.Perform(caller, Operation::kVclusterScale, asking.target,
                                   TextOf(request), [&]() -> Status {
                                     const auto scaled = [&](const Definition& now) {
                                       return ScaleDefinition(now, changes, /*by_node=*/true);
                                     };
                                     RETURN_IF_ERROR(Change(vcluster, scaled, /*recreate=*/false));
                                     return Ok();
                                   }));
  }
  const VclusterView after = master_.Find(request.number());
  if (after.vcluster == nullptr) {
    return Error(Code::kNotFound, "the Vcluster was just deleted");
  }
  host::v1::NodeAskResponse response = Describe(after, vcluster);
  response.set_vcluster(asking.target.name);
  response.set_node(vcluster.Hostname(*asking.node));
  return response;
}

}  // namespace strata::vcluster
