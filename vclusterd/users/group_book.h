// GroupBook: groups of users, with owners. A teacher who owns a group teaches its members, and its
// members may have limits of their own (quota_book.h). An owner invites; who is invited becomes a
// member when he says so, because membership gives the owner rights over what is his. An admin
// enrols without asking.
//
// Who may make changes is its caller's to know (users.h). Held in memory as well, fed by
// RecordStore::Follow. Thread-safe. Durable when a call returns.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/records/record_store.h"
#include "common/result.h"
#include "vclusterd/api/users.pb.h"
#include "vclusterd/users/unix_clock.h"

namespace strata::vcluster {

using GroupPtr = std::shared_ptr<const users::v1::Group>;

inline constexpr int kGroupMembersMax = 10'000;  // And as many invited.
inline constexpr int kGroupOwnersMax = 100;
inline constexpr size_t kGroupsPerOwnerMax = 1000;

struct GroupEdit {
  std::optional<uint64_t> revision;  // That this rests on; absent: whatever it is.
  std::optional<std::string> description;
  std::vector<uint32_t> add_owners;
  std::vector<uint32_t> remove_owners;
  std::vector<uint32_t> enrol;   // Become members.
  std::vector<uint32_t> invite;  // Who is a member stays one.
  std::vector<uint32_t> remove;  // Are neither members nor invited.
};

class GroupBook {
 public:
  // `store` must outlive this.
  GroupBook(records::RecordStore& store, UnixClock now) : store_(store), now_(std::move(now)) {}

  void Apply(const std::vector<records::RecordChange>& changes);

  // kAlreadyExists: the name is taken; kResourceExhausted: the owner has too many.
  Result<GroupPtr> Create(const std::string& name, const std::string& description, uint32_t owner);
  // kNotFound; kFailedPrecondition: somebody else was faster; kResourceExhausted: too many.
  Result<GroupPtr> Edit(uint32_t number, const GroupEdit& edit);
  // kNotFound also when he is not invited.
  Status Join(uint32_t number, uint32_t uid);
  // As a member or as invited; kNotFound also when he is neither.
  Status Leave(uint32_t number, uint32_t uid);
  // With its limits.
  Status Delete(uint32_t number, std::optional<uint64_t> revision = std::nullopt);
  // Takes a user out of all groups, but not from among their owners.
  Status LeaveAll(uint32_t uid);

  GroupPtr Find(uint32_t number) const;
  GroupPtr FindByName(const std::string& name) const;
  std::vector<GroupPtr> All() const;
  // That he is a member of, by number.
  std::vector<GroupPtr> Of(uint32_t uid) const;
  bool IsOwner(uint32_t number, uint32_t uid) const;
  // Whether he is an owner, a member or invited.
  bool Concerns(uint32_t number, uint32_t uid) const;
  // Whether `student` is a member of a group that `teacher` owns.
  bool Teaches(uint32_t teacher, uint32_t student) const;

 private:
  using Change = std::function<Status(users::v1::Group*)>;
  Result<GroupPtr> ChangeGroup(uint32_t number, std::optional<uint64_t> revision,
                               const Change& change);

  records::RecordStore& store_;
  const UnixClock now_;
  mutable std::shared_mutex mutex_;  // Guards what follows.
  std::map<uint32_t, GroupPtr> groups_;
  std::unordered_map<std::string, uint32_t> by_name_;
  std::unordered_map<uint32_t, std::vector<GroupPtr>> of_member_;
};

}  // namespace strata::vcluster
