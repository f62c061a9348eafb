#include "vclusterd/master/moves.h"

namespace strata::vcluster {

std::optional<std::string> WhyNotMovable(const Vcluster& vcluster, const master::v1::Node& node) {
  const Role* role = vcluster.RoleOf(node);
  if (vcluster.record.phase() != master::v1::LIVE) return "its Vcluster is being made or deleted";
  if (node.leaving() || role == nullptr) return "it is being deleted";
  if (node.has_move()) return "it moves already";
  if (role->migration == MigrationPolicy::kNever) return "its file says migration: never";
  return std::nullopt;
}

void BeginMove(const std::string& to, const std::string& why, bool drain, master::v1::Node* node,
               master::v1::Vcluster* record) {
  record->set_incarnations(record->incarnations() + 1);
  record->set_last_problem(why);
  master::v1::Move& move = *node->mutable_move();
  move.set_to(to);
  move.set_incarnation(record->incarnations());
  move.set_why(why);
  move.set_drain(drain);
}

std::string DepartureName(uint32_t number, const master::v1::Node& node) {
  return "strata-move-" + std::to_string(number) + "-" + std::to_string(node.index()) + "-" +
         std::to_string(node.move().incarnation());
}

bool IsDeparture(const std::string& reference, uint32_t number, const master::v1::Node& node) {
  return reference.find("/" + DepartureName(number, node) + "@") != std::string::npos;
}

void ArriveMove(const host::v1::NodeStatus& saved, bool fenced, master::v1::Node* node) {
  master::v1::Move& move = *node->mutable_move();
  move.set_from(node->host());
  move.set_from_incarnation(node->incarnation());
  move.set_from_fenced(node->fenced());
  move.set_saved(saved.departure());
  move.set_image(saved.image());
  move.set_created(saved.created());
  node->set_host(move.to());
  node->set_incarnation(move.incarnation());
  node->set_fenced(fenced);
}

void EndMove(master::v1::Node* node) { node->clear_move(); }

void GoBack(master::v1::Node* node) {
  if (IsArriving(*node)) {
    node->set_host(node->move().from());
    node->set_incarnation(node->move().from_incarnation());
    node->set_fenced(node->move().from_fenced());
  }
  node->clear_move();
  // Also where the save has failed.
  node->set_attempt(node->attempt() + 1);
}

std::string MoveNotice(const Vcluster& vcluster) {
  constexpr int kNamedMax = 4;
  std::string text;
  int moving = 0;
  for (const master::v1::Node& node : vcluster.record.nodes()) {
    if (!node.has_move() || ++moving > kNamedMax) continue;
    text += (text.empty() ? "" : "; ") + vcluster.NodeName(node) + " moves from " +
            OldHostOf(node) + " to " + node.move().to() + ": " + node.move().why();
  }
  if (moving > kNamedMax) text += "; and " + std::to_string(moving - kNamedMax) + " more";
  return text;
}

}  // namespace strata::vcluster
