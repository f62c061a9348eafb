#include "vclusterd/users/rights.h"

#include <array>

namespace strata::vcluster {
namespace {

// The least role that may; kNobody: not even an admin.
enum Least : uint8_t { kUser, kTeacher, kAdmin, kNobody };

struct Row {
  Operation operation;
  std::string_view name;
  Least own;
  Least taught;
  Least other;
};

using enum Operation;

constexpr std::array<Row, kOperations> kRows = {{
    {kVclusterList, "vcluster.list", kUser, kTeacher, kAdmin},
    {kVclusterCreate, "vcluster.create", kUser, kTeacher, kAdmin},
    {kVclusterStart, "vcluster.start", kUser, kTeacher, kAdmin},
    {kVclusterStop, "vcluster.stop", kUser, kTeacher, kAdmin},
    {kVclusterDelete, "vcluster.delete", kUser, kAdmin, kAdmin},
    {kVclusterExec, "vcluster.exec", kUser, kTeacher, kAdmin},
    {kVclusterSave, "vcluster.save", kUser, kTeacher, kAdmin},
    {kVclusterClone, "vcluster.clone", kUser, kTeacher, kAdmin},
    {kVclusterScale, "vcluster.scale", kUser, kAdmin, kAdmin},
    {kVclusterResize, "vcluster.resize", kUser, kAdmin, kAdmin},
    {kVclusterApply, "vcluster.apply", kUser, kAdmin, kAdmin},
    {kVclusterExport, "vcluster.export", kUser, kTeacher, kAdmin},
    {kVclusterMigrate, "vcluster.migrate", kAdmin, kAdmin, kAdmin},
    {kVclusterPreempt, "vcluster.preempt", kAdmin, kAdmin, kAdmin},
    {kImageList, "image.list", kUser, kAdmin, kAdmin},
    {kImageImport, "image.import", kUser, kAdmin, kAdmin},
    {kImageEdit, "image.edit", kUser, kAdmin, kAdmin},
    {kImageShare, "image.share", kUser, kAdmin, kAdmin},
    {kImageDelete, "image.delete", kUser, kAdmin, kAdmin},
    {kImageExport, "image.export", kUser, kAdmin, kAdmin},
    {kImagePull, "image.pull", kUser, kAdmin, kAdmin},
    {kClassList, "class.list", kTeacher, kAdmin, kAdmin},
    {kClassCreate, "class.create", kTeacher, kAdmin, kAdmin},
    {kClassReset, "class.reset", kTeacher, kAdmin, kAdmin},
    {kClassCollect, "class.collect", kTeacher, kAdmin, kAdmin},
    {kClassDelete, "class.delete", kTeacher, kAdmin, kAdmin},
    {kHostList, "host.list", kAdmin, kAdmin, kAdmin},
    {kHostJoin, "host.join", kAdmin, kAdmin, kAdmin},
    {kHostDrain, "host.drain", kAdmin, kAdmin, kAdmin},
    {kHostReserve, "host.reserve", kAdmin, kAdmin, kAdmin},
    {kHostRemove, "host.remove", kAdmin, kAdmin, kAdmin},
    {kUserList, "user.list", kUser, kTeacher, kAdmin},
    {kUserCreate, "user.create", kAdmin, kAdmin, kAdmin},
    {kUserEdit, "user.edit", kUser, kAdmin, kAdmin},
    {kUserPassword, "user.password", kUser, kAdmin, kAdmin},
    {kUserApprove, "user.approve", kAdmin, kAdmin, kAdmin},
    {kUserLock, "user.lock", kAdmin, kAdmin, kAdmin},
    {kUserUnlock, "user.unlock", kAdmin, kAdmin, kAdmin},
    {kUserRole, "user.role", kAdmin, kAdmin, kAdmin},
    {kUserDelete, "user.delete", kAdmin, kAdmin, kAdmin},
    {kGroupList, "group.list", kUser, kTeacher, kAdmin},
    {kGroupCreate, "group.create", kTeacher, kAdmin, kAdmin},
    {kGroupEdit, "group.edit", kTeacher, kAdmin, kAdmin},
    {kGroupInvite, "group.invite", kTeacher, kAdmin, kAdmin},
    {kGroupEnrol, "group.enrol", kAdmin, kAdmin, kAdmin},
    {kGroupJoin, "group.join", kUser, kNobody, kNobody},
    {kGroupDelete, "group.delete", kTeacher, kAdmin, kAdmin},
    {kQuotaList, "quota.list", kUser, kTeacher, kAdmin},
    {kQuotaSet, "quota.set", kAdmin, kAdmin, kAdmin},
    {kCreditList, "credit.list", kUser, kTeacher, kAdmin},
    {kCreditApply, "credit.apply", kUser, kNobody, kNobody},
    {kCreditDecide, "credit.decide", kAdmin, kTeacher, kAdmin},
    {kCreditGrant, "credit.grant", kAdmin, kAdmin, kAdmin},
    {kAuditRead, "audit.read", kUser, kAdmin, kAdmin},
    {kTokenList, "token.list", kUser, kAdmin, kAdmin},
    {kTokenCreate, "token.create", kUser, kNobody, kNobody},
    {kTokenRevoke, "token.revoke", kUser, kAdmin, kAdmin},
}};

constexpr bool InOrder() {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].operation != static_cast<Operation>(i)) return false;
  }
  return true;
}
static_assert(InOrder(), "a row per operation, in the order of the enum");

const Row& RowOf(Operation operation) { return kRows.at(static_cast<size_t>(operation)); }

Least LeastOf(const Row& row, Relation relation) {
  switch (relation) {
    case Relation::kOwn:
      return row.own;
    case Relation::kTaught:
      return row.taught;
    case Relation::kOther:
      return row.other;
  }
  return kNobody;
}

Least LevelOf(users::v1::Role role) {
  switch (role) {
    case users::v1::ADMIN:
      return kAdmin;
    case users::v1::TEACHER:
      return kTeacher;
    default:  // Also what a later version has written.
      return kUser;
  }
}

}  // namespace

std::string_view NameOf(Operation operation) { return RowOf(operation).name; }

std::optional<Operation> ParseOperation(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name) return row.operation;
  }
  return std::nullopt;
}

bool MayDo(users::v1::Role role, Operation operation, Relation relation) {
  return LevelOf(role) >= LeastOf(RowOf(operation), relation);
}

OperationSet OperationSet::All() {
  OperationSet all;
  all.bits_.set();
  return all;
}

OperationSet OperationSet::Of(const std::vector<Operation>& operations) {
  OperationSet set;
  for (const Operation operation : operations) set.Add(operation);
  return set;
}

std::vector<Operation> OperationSet::List() const {
  std::vector<Operation> list;
  for (size_t i = 0; i < kOperations; ++i) {
    if (bits_.test(i)) list.push_back(static_cast<Operation>(i));
  }
  return list;
}

std::string RightsTable() {
  static constexpr std::string_view kWho[] = {"user", "teacher", "admin", "nobody"};
  std::string table = "| operation | own | taught | others' |\n|---|---|---|---|\n";
  for (const Row& row : kRows) {
    table += "| `" + std::string(row.name) + "` | " + std::string(kWho[row.own]) + " | " +
             std::string(kWho[row.taught]) + " | " + std::string(kWho[row.other]) + " |\n";
  }
  return table;
}

}  // namespace strata::vcluster
