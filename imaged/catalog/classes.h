// Classes: lists of users, each kept by an owner (a teacher), to share with in one word. A class is
// "owner/name"; anybody may keep some.
//
// Members are held in memory too, so that a look at who may use an image reads no record. Memory: 4
// bytes per member.
//
// Thread-safe.
#pragma once

#include <map>
#include <shared_mutex>
#include <string>
#include <vector>

#include "common/records/record_store.h"
#include "common/result.h"
#include "imaged/api/imaged.pb.h"
#include "imaged/catalog/accounts.h"
#include "imaged/catalog/records.pb.h"

namespace strata::imaged {

inline constexpr int kClassMembersMax = 10'000;
inline constexpr size_t kClassesPerOwnerMax = 1000;

class Classes {
 public:
  // Both must outlive this.
  Classes(records::RecordStore& records, const Accounts& accounts)
      : records_(records), accounts_(accounts) {}

  // As the record store tells them (RecordStore::Follow).
  void Apply(const std::vector<records::RecordChange>& changes);

  // Whether `uid` is in the class that `grant` was given to: a class that was deleted and made anew
  // under the same name is another one. Classes without an id, of earlier builds, go by the time.
  bool Contains(const catalog::GrantRecord& grant, uid_t uid) const;

  // Adds and removes members; makes the class when it is not there and somebody is added.
  // kNotFound names a user that the host does not know, and a class that the caller may not change.
  Result<v1::Class> Change(uid_t caller, const v1::ChangeClassRequest& request,
                           int64_t now_unix_ms);
  Status Delete(uid_t caller, const std::string& name);
  // The caller's own and those that he is a member of; root's: all.
  Result<std::vector<v1::Class>> List(uid_t caller) const;

  // For grants: the key of the class `name`, which has to exist. Only its owner (and root) may
  // share with it, and nobody else learns that it is there.
  Result<std::string> KeyOf(uid_t caller, const std::string& name) const;
  // What a grant to the class of this key remembers it by.
  std::string IdOf(const std::string& class_key) const;
  // "owner/name" of a key.
  std::string DisplayName(const std::string& class_key) const;

 private:
  struct Entry {
    std::vector<uid_t> members;  // Ascending.
    int64_t created_unix_ms = 0;
    std::string id;
  };
  v1::Class Describe(const std::string& key, const Entry& entry, bool with_members) const;
  Status ChangeMembers(const v1::ChangeClassRequest& request, std::vector<uid_t>* members) const;

  records::RecordStore& records_;
  const Accounts& accounts_;
  mutable std::shared_mutex mutex_;  // Guards entries_.
  std::map<std::string, Entry> entries_;
};

}  // namespace strata::imaged
