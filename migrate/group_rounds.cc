#include "migrate/group_rounds.h"

#include "common/parallel.h"

namespace strata::migrate {
namespace {

using Clock = std::chrono::steady_clock;

Status OnAll(const std::vector<GroupMember*>& members, Status (GroupMember::*step)()) {
  return ParallelFor(
      members.size(), [&](size_t i) { return (members[i]->*step)(); }, members.size());
}

Result<GroupTimes> Run(const std::vector<GroupMember*>& members, const CancelToken& cancel) {
  GroupTimes times;
  const auto start = Clock::now();
  RETURN_IF_ERROR(OnAll(members, &GroupMember::Copy));
  RETURN_IF_ERROR(cancel.Check());
  const auto frozen = Clock::now();
  times.copy = frozen - start;
  RETURN_IF_ERROR(OnAll(members, &GroupMember::Freeze), "freeze");
  RETURN_IF_ERROR(cancel.Check());
  RETURN_IF_ERROR(OnAll(members, &GroupMember::Take));
  times.stall = Clock::now() - frozen;
  return times;
}

}  // namespace

Result<GroupTimes> RunGroupRounds(const std::vector<GroupMember*>& members,
                                  const CancelToken& cancel) {
  auto times = Run(members, cancel);
  if (!times.ok()) {
    for (GroupMember* member : members) member->Release();
  }
  return times;
}

}  // namespace strata::migrate
