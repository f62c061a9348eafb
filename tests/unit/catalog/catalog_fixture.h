// A catalog in memory with some users, a clock that the test moves, and images without bytes.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "imaged/catalog/catalog.h"
#include "imaged/catalog/tables.h"
#include "tests/unit/catalog/fake_accounts.h"

namespace strata::imaged {

#define ASSERT_OK(expr)                                         \
  do {                                                          \
    const auto& ok_result = (expr);                             \
    ASSERT_TRUE(ok_result.ok()) << ok_result.error().message(); \
  } while (false)

class CatalogTest : public testing::Test {
 protected:
  static constexpr uid_t kAlice = 1001;
  static constexpr uid_t kBob = 1002;
  static constexpr uid_t kCarol = 1003;
  static constexpr gid_t kStudents = 2001;
  static constexpr int64_t kHour = 3'600'000;

  CatalogTest() {
    accounts_.AddUser("root", 0);
    accounts_.AddUser("alice", kAlice);
    accounts_.AddUser("bob", kBob);
    accounts_.AddUser("carol", kCarol);
    accounts_.AddGroup("students", kStudents, {kBob});
    Open(records::MakeMemoryRecordStore(CatalogTables()));
  }

  void Open(std::unique_ptr<records::RecordStore> records) {
    CatalogOptions options;
    options.accounts = &accounts_;
    options.now = [this] { return now_; };
    options.versions_kept = 2;
    auto opened = Catalog::Open(std::move(records), options);
    ASSERT_OK(opened);
    catalog_ = std::move(*opened);
  }
  Images& images() { return catalog_->images(); }

  static v1::Layer LayerOf(const std::string& salt, uint64_t bytes = 1000) {
    v1::Layer layer;
    layer.set_digest(Hasher::Of(salt).ToString());
    layer.set_content_bytes(bytes);
    return layer;
  }
  // Publishes an image with a topmost layer of that name, on `base`'s layers if one is given.
  Result<v1::Image> Publish(uid_t caller, const std::string& reference, const std::string& salt,
                            const std::string& base = "", bool replace = false) {
    v1::Image draft;
    if (!base.empty()) {
      ASSIGN_OR_RETURN(const v1::Image below, images().Find(caller, base));
      *draft.mutable_layers() = below.layers();
    }
    *draft.add_layers() = LayerOf(salt, salt.size() * 1000);
    draft.set_description("made of " + salt);
    draft.mutable_lineage()->set_command("vsave " + reference);
    ASSIGN_OR_RETURN(const auto name, images().Reserve(caller, reference, replace));
    ++now_;
    return images().Publish(name, std::move(draft));
  }
  static v1::Grant To(v1::GrantKind kind, const std::string& name, int64_t expires = 0) {
    v1::Grant grant;
    grant.set_kind(kind);
    grant.set_name(name);
    grant.set_expires_unix_ms(expires);
    return grant;
  }
  Result<v1::Image> ShareWith(uid_t caller, const std::string& reference, const v1::Grant& grant) {
    v1::ShareRequest request;
    request.set_reference(reference);
    *request.add_add() = grant;
    return images().Share(caller, request);
  }
  Result<v1::Image> Revoke(uid_t caller, const std::string& reference, const v1::Grant& grant) {
    v1::ShareRequest request;
    request.set_reference(reference);
    *request.add_revoke() = grant;
    return images().Share(caller, request);
  }
  bool Sees(uid_t uid, const std::string& reference) { return images().Find(uid, reference).ok(); }
  std::vector<std::string> Names(uid_t uid, const v1::ListRequest& request) {
    const auto page = images().List(uid, request);
    EXPECT_TRUE(page.ok());
    std::vector<std::string> names;
    for (const v1::Image& image : page->images()) names.push_back(DisplayName(image));
    return names;
  }
  Result<v1::Class> ChangeClass(uid_t caller, const std::string& name,
                                const std::vector<std::string>& add,
                                const std::vector<std::string>& remove = {}) {
    v1::ChangeClassRequest request;
    request.set_name(name);
    for (const std::string& user : add) request.add_add(user);
    for (const std::string& user : remove) request.add_remove(user);
    return catalog_->classes().Change(caller, request, ++now_);
  }

  FakeAccounts accounts_;
  int64_t now_ = 1'700'000'000'000;
  std::unique_ptr<Catalog> catalog_;
};

}  // namespace strata::imaged
