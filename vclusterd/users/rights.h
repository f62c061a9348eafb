// Who may do what: one table of operation x role x relation to whom it is done (docs/users.md shows
// it, checked by a test). Pure.
//
// The relation is that of the caller to the owner of what is touched: it is his own; it is of
// somebody in a group that he, a teacher, owns; or of anybody else, or of nobody (hosts). What a
// role may do, the next one may too.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vclusterd/api/users.pb.h"

namespace strata::vcluster {

// Everything that one can do. In records and on the wire they are names, so the order is free.
enum class Operation : uint8_t {
  kVclusterList,
  kVclusterCreate,
  kVclusterStart,
  kVclusterStop,
  kVclusterDelete,
  kVclusterExec,
  kVclusterSave,
  kVclusterClone,
  kVclusterScale,
  kVclusterResize,
  kVclusterApply,
  kVclusterExport,
  kVclusterMigrate,
  kVclusterPreempt,
  kImageList,
  kImageImport,
  kImageEdit,
  kImageShare,
  kImageDelete,
  kImageExport,
  kImagePull,
  kClassList,
  kClassCreate,
  kClassReset,
  kClassCollect,
  kClassDelete,
  kHostList,
  kHostJoin,
  kHostDrain,
  kHostReserve,
  kHostRemove,
  kUserList,
  kUserCreate,
  kUserEdit,
  kUserPassword,
  kUserApprove,
  kUserLock,
  kUserUnlock,
  kUserRole,
  kUserDelete,
  kGroupList,
  kGroupCreate,
  kGroupEdit,
  kGroupInvite,
  kGroupEnrol,
  kGroupJoin,
  kGroupDelete,
  kQuotaList,
  kQuotaSet,
  kCreditList,
  kCreditApply,
  kCreditDecide,
  kCreditGrant,
  kAuditRead,
  kTokenList,
  kTokenCreate,
  kTokenRevoke,
  kCount,
};
inline constexpr size_t kOperations = static_cast<size_t>(Operation::kCount);

enum class Relation { kOwn, kTaught, kOther };

// "vcluster.create"
std::string_view NameOf(Operation operation);
std::optional<Operation> ParseOperation(std::string_view name);

// Whether somebody of this role may do this to what is of somebody whom he stands in this relation
// to.
bool MayDo(users::v1::Role role, Operation operation, Relation relation);

class OperationSet {
 public:
  static OperationSet All();
  static OperationSet Of(const std::vector<Operation>& operations);

  void Add(Operation operation) { bits_.set(static_cast<size_t>(operation)); }
  bool Has(Operation operation) const { return bits_.test(static_cast<size_t>(operation)); }
  bool Includes(const OperationSet& other) const { return (other.bits_ & ~bits_).none(); }
  bool empty() const { return bits_.none(); }
  // In the order of the enum.
  std::vector<Operation> List() const;
  bool operator==(const OperationSet&) const = default;

 private:
  std::bitset<kOperations> bits_;
};

// The table as Markdown, a line per operation.
std::string RightsTable();

}  // namespace strata::vcluster
