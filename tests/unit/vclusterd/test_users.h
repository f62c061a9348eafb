// TestUsers: Strata's users over a test's records, with hashes that cost next to nothing and no
// users of a host. And callers whom a test makes up.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "common/file_io.h"
#include "vclusterd/users/users.h"

namespace strata::vcluster {

inline Caller CallerWith(uint32_t uid) { return {uid, "test", "", nullptr}; }

inline const Caller kRoot = CallerWith(0);
inline const Caller kAlice = CallerWith(64001);
inline const Caller kBob = CallerWith(64002);

class TestUsers {
 public:
  // `store` must outlive this.
  explicit TestUsers(records::RecordStore& store, CreditOptions credits = {},
                     AuditBounds audit_bounds = {})
      : store_(store), dir_(TemporaryDirectory::Create("/tmp", "strata-users.").value()) {
    UserOptions options;
    options.credits = std::move(credits);
    options.audit_bounds = audit_bounds;
    options.hash_cost = {.memory_kib = 64, .passes = 1, .lanes = 1};
    auto users = Users::Open(store, dir_.path(), std::move(options));
    EXPECT_TRUE(users.ok()) << users.error().message();
    users_ = std::move(*users);
    const Status follows = store_.Follow([this](const auto& changes) { users_->Apply(changes); });
    EXPECT_TRUE(follows.ok()) << follows.error().message();
  }
  ~TestUsers() { store_.Unfollow(); }

  Users& operator*() { return *users_; }
  Users* operator->() { return users_.get(); }

  // An active account.
  Caller Add(const std::string& name, users::v1::Role role = users::v1::USER) {
    NewAccount wanted;
    wanted.name = name;
    wanted.role = role;
    const auto account = users_->CreateAccount(kRoot, wanted, /*of_host=*/false);
    EXPECT_TRUE(account.ok()) << account.error().message();
    return CallerWith((*account)->uid());
  }

 private:
  records::RecordStore& store_;
  TemporaryDirectory dir_;
  std::unique_ptr<Users> users_;
};

}  // namespace strata::vcluster
