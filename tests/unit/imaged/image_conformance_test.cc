// What users see of a repository, on every kind of catalog (memory, RocksDB, a real etcd), straight
// and through imaged's socket: one set of cases.
#include <algorithm>
#include <atomic>
#include <map>
#include <tuple>

#include "imaged/catalog/tables.h"
#include "tests/unit/catalog/fake_accounts.h"
#include "tests/unit/imaged/image_calls.h"
#include "tests/unit/records/etcd_server.h"

namespace strata::imaged {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

enum class Records { kMemory, kRocks, kEtcd };
enum class Way { kDirect, kRpc };

constexpr uid_t kCarol = 50'003;
constexpr int64_t kHour = 3'600'000;

class ImageConformanceTest : public testing::TestWithParam<std::tuple<Records, Way>> {
 protected:
  static void TearDownTestSuite() { etcd_.reset(); }

  void SetUp() override {
    directory_.emplace(std::move(*TemporaryDirectory::Create("/var/tmp", "strata-conform.")));
    accounts_.AddUser("root", 0);
    accounts_.AddUser("alice", kAlice);
    accounts_.AddUser("bob", kBob);
    accounts_.AddUser("carol", kCarol);
    accounts_.AddGroup("students", 60'001, {kBob});
    if (records() == Records::kEtcd && etcd_ == nullptr)
      etcd_ = std::make_unique<records::EtcdServer>();
    prefix_ = "/case" + std::to_string(++cases_);
    Reopen();
  }
  void TearDown() override {
    calls_.clear();
    if (repository_ != nullptr) {
      std::vector<std::string> problems;
      const auto checked =
          repository_->Fsck(0, "", CancelToken(), {},
                            [&](const std::string& problem) { problems.push_back(problem); });
      ASSERT_OK(checked);
      EXPECT_THAT(problems, IsEmpty());
    }
    EXPECT_EQ(CountFiles(State() + "/store/staging"), 0u) << "staging is not empty";
  }

  static Records records() { return std::get<0>(GetParam()); }
  static Way way() { return std::get<1>(GetParam()); }
  std::string State() const { return directory_->path() + "/state"; }

  void Reopen() {
    calls_.clear();
    repository_.reset();
    CatalogOptions options;
    options.accounts = &accounts_;
    options.now = [this] { return now_.load(); };
    options.versions_kept = 2;
    if (records() == Records::kRocks) {
      auto opened = Repository::Open(State(), {}, options);
      ASSERT_OK(opened);
      repository_ = std::move(*opened);
      return;
    }
    options.host = "one";
    std::unique_ptr<records::RecordStore> store = records::MakeMemoryRecordStore(CatalogTables());
    if (records() == Records::kEtcd) {
      auto shared =
          records::EtcdRecordStore::Open(etcd_->OptionsFor(CatalogTables(), options.host, prefix_));
      ASSERT_OK(shared);
      store = std::move(*shared);
    }
    auto opened = Repository::OpenShared(State(), std::move(store), {}, options);
    ASSERT_OK(opened);
    repository_ = std::move(*opened);
  }
  ImageCalls& As(uid_t uid) {
    auto& calls = calls_[uid];
    if (calls == nullptr && way() == Way::kRpc) {
      auto started = RpcCalls::Start(repository_.get(), uid,
                                     directory_->path() + "/" + std::to_string(uid) + ".sock");
      EXPECT_TRUE(started.ok()) << started.error().message();
      calls = std::move(*started);
    } else if (calls == nullptr) {
      calls = std::make_unique<DirectCalls>(repository_.get(), uid);
    }
    return *calls;
  }

  std::string Tar(const std::string& salt, size_t bytes) {
    std::string content = salt;
    content.resize(std::max(bytes, salt.size()), '.');
    return MakeTar(directory_->path() + "/scratch", {{salt, content}, {"note", salt}});
  }
  Result<v1::ImportResult> Publish(uid_t uid, const std::string& reference, const std::string& salt,
                                   const std::function<void(v1::ImportOptions*)>& more = {},
                                   size_t bytes = 5000) {
    ++now_;
    v1::ImportOptions options;
    options.set_reference(reference);
    if (more) more(&options);
    return As(uid).Import(options, Tar(salt, bytes));
  }
  static void Replace(v1::ImportOptions* options) { options->set_replace(true); }
  Result<v1::Image> Share(uid_t uid, const std::string& reference, v1::GrantKind kind,
                          const std::string& name, int64_t expires = 0) {
    v1::ShareRequest request;
    request.set_reference(reference);
    v1::Grant* grant = request.add_add();
    grant->set_kind(kind);
    grant->set_name(name);
    grant->set_expires_unix_ms(expires);
    return As(uid).Share(request);
  }
  Result<v1::Image> Revoke(uid_t uid, const std::string& reference, v1::GrantKind kind,
                           const std::string& name) {
    v1::ShareRequest request;
    request.set_reference(reference);
    v1::Grant* grant = request.add_revoke();
    grant->set_kind(kind);
    grant->set_name(name);
    return As(uid).Share(request);
  }
  Result<v1::Image> Tag(uid_t uid, const std::string& reference, const std::string& to,
                        bool replace = false) {
    v1::TagRequest request;
    request.set_reference(reference);
    request.set_new_reference(to);
    request.set_replace(replace);
    return As(uid).Tag(request);
  }
  Result<v1::DeleteResponse> Delete(uid_t uid, const std::string& reference, bool force = false) {
    v1::DeleteRequest request;
    request.set_reference(reference);
    request.set_force(force);
    return As(uid).Delete(request);
  }
  // "" when the user may not use it.
  std::string Access(uid_t uid, const std::string& reference) {
    const auto shown = As(uid).Show(reference);
    if (shown.ok()) return shown->image().access();
    EXPECT_EQ(shown.error().code(), Code::kNotFound) << shown.error().message();
    return "";
  }
  std::string DigestOf(uid_t uid, const std::string& reference) {
    const auto shown = As(uid).Show(reference);
    return shown.ok() ? shown->image().digest() : shown.error().message();
  }
  // Of all pages.
  std::vector<std::string> Names(uid_t uid, v1::ListRequest request) {
    std::vector<std::string> names;
    for (int pages = 0; pages < 20; ++pages) {
      const auto page = As(uid).List(request);
      EXPECT_TRUE(page.ok()) << page.error().message();
      if (!page.ok()) break;
      for (const v1::Image& image : page->images()) names.push_back(DisplayName(image));
      request.set_page_token(page->next_page_token());
      if (page->next_page_token().empty()) return names;
      if (request.page_size() > 0) {
        EXPECT_EQ(page->images_size(), static_cast<int>(request.page_size()));
      }
    }
    ADD_FAILURE() << "the pages do not end";
    return names;
  }
  template <typename T>
  static Code CodeOf(const Result<T>& result) {
    EXPECT_FALSE(result.ok());
    return result.ok() ? Code::kInternal : result.error().code();
  }
  static Code CodeOf(const Status& status) {
    EXPECT_FALSE(status.ok());
    return status.ok() ? Code::kInternal : status.error().code();
  }

  static std::unique_ptr<records::EtcdServer> etcd_;
  static int cases_;
  std::optional<TemporaryDirectory> directory_;
  FakeAccounts accounts_;
  std::atomic<int64_t> now_ = 1'700'000'000'000;
  std::string prefix_;
  std::unique_ptr<Repository> repository_;
  std::map<uid_t, std::unique_ptr<ImageCalls>> calls_;  // Before repository_ goes.
};

std::unique_ptr<records::EtcdServer> ImageConformanceTest::etcd_;
int ImageConformanceTest::cases_ = 0;

TEST_P(ImageConformanceTest, AnImageIsShownAsItWasPublished) {
  const auto made = Publish(kAlice, "spark:v1", "a", [](v1::ImportOptions* options) {
    options->set_description("for the course");
    (*options->mutable_labels())["course"] = "os";
    options->mutable_config()->add_command("/bin/spark");
    options->mutable_lineage()->set_command("vimage import");
  });
  ASSERT_OK(made);
  EXPECT_GE(made->summary().new_bytes(), 5000u);
  const auto shown = As(kAlice).Show("spark:v1");
  ASSERT_OK(shown);
  const v1::Image& image = shown->image();
  EXPECT_EQ(image.digest(), made->image().digest());
  EXPECT_EQ(DisplayName(image), "alice/spark:v1");
  EXPECT_EQ(image.owner_uid(), kAlice);
  EXPECT_EQ(image.description(), "for the course");
  EXPECT_EQ(image.labels().at("course"), "os");
  EXPECT_THAT(image.config().command(), ElementsAre("/bin/spark"));
  EXPECT_EQ(image.lineage().command(), "vimage import");
  EXPECT_EQ(image.created_unix_ms(), now_);
  EXPECT_EQ(image.visibility(), v1::PRIVATE);
  EXPECT_EQ(image.access(), "owner");
  EXPECT_EQ(shown->content_bytes(), 5001u);
  EXPECT_EQ(shown->objects_to_come(), 0u);
}

TEST_P(ImageConformanceTest, ANameIsTakenOnceAndOnlyByItsOwner) {
  ASSERT_OK(Publish(kAlice, "spark:v1", "a"));
  EXPECT_EQ(CodeOf(Publish(kAlice, "spark:v1", "b")), Code::kAlreadyExists);
  EXPECT_EQ(CodeOf(Publish(kBob, "alice/other", "b")), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(Publish(kAlice, "Bad Name", "b")), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf(Tag(kAlice, "spark:v2", "spark:v3")), Code::kNotFound);
  ASSERT_OK(Publish(kBob, "spark:v1", "b"));
  EXPECT_NE(DigestOf(kAlice, "spark:v1"), DigestOf(kBob, "spark:v1"));
}

TEST_P(ImageConformanceTest, WhatIsNotSharedIsAsIfItWereNotThere) {
  ASSERT_OK(Publish(kAlice, "spark:v1", "a"));
  const auto hidden = As(kBob).Show("alice/spark:v1");
  const auto absent = As(kBob).Show("alice/spark:v2");
  ASSERT_EQ(CodeOf(hidden), Code::kNotFound);
  ASSERT_EQ(CodeOf(absent), Code::kNotFound);
  std::string as_absent = hidden.error().message();
  std::replace(as_absent.begin(), as_absent.end(), '1', '2');
  EXPECT_EQ(as_absent, absent.error().message());
  v1::ListRequest browse;
  browse.set_all_visible(true);
  EXPECT_THAT(Names(kBob, browse), IsEmpty());
  EXPECT_THAT(Names(0, browse), ElementsAre("alice/spark:v1"));
  EXPECT_EQ(Access(0, "alice/spark:v1"), "root");
  for (const auto& code :
       {CodeOf(Delete(kBob, "alice/spark:v1")), CodeOf(Tag(kBob, "alice/spark:v1", "mine")),
        CodeOf(As(kBob).Lineage("alice/spark:v1")),
        CodeOf(Share(kBob, "alice/spark:v1", v1::GRANT_USER, "bob"))}) {
    EXPECT_EQ(code, Code::kNotFound);
  }
}

TEST_P(ImageConformanceTest, ListsComeInPagesInEveryOrder) {
  // Names, times and sizes are ordered differently.
  ASSERT_OK(Publish(kAlice, "c", "1", {}, 9000));
  ASSERT_OK(Publish(kAlice, "a", "2", {}, 7000));
  ASSERT_OK(Publish(kAlice, "e", "3", {}, 11'000));
  ASSERT_OK(Publish(kAlice, "b", "4", {}, 5000));
  ASSERT_OK(Publish(kAlice, "d", "5", {}, 6000));
  const std::map<v1::SortKey, std::string> orders = {
      {v1::SORT_NAME, "abcde"}, {v1::SORT_CREATED, "caebd"}, {v1::SORT_SIZE, "bdace"}};
  for (const auto& [key, letters] : orders) {
    for (const bool descending : {false, true}) {
      std::vector<std::string> expected;
      for (const char letter : letters) {
        expected.push_back(std::string("alice/") + letter + ":latest");
      }
      if (descending) std::reverse(expected.begin(), expected.end());
      for (const uint32_t size : {0u, 1u, 2u, 3u}) {
        v1::ListRequest request;
        request.set_sort(key);
        request.set_descending(descending);
        request.set_page_size(size);
        EXPECT_EQ(Names(kAlice, request), expected) << letters << " by " << size;
        EXPECT_EQ(As(kAlice).List(request)->total(), 5u);
      }
    }
  }
  v1::ListRequest request;
  request.set_page_token("nonsense");
  EXPECT_EQ(CodeOf(As(kAlice).List(request)), Code::kInvalidArgument);
}

TEST_P(ImageConformanceTest, ListsAreSearchedByWordOwnerAndLabel) {
  ASSERT_OK(Publish(kAlice, "spark", "1", [](v1::ImportOptions* options) {
    options->set_description("Data Science");
    options->set_visibility(v1::PUBLIC);
  }));
  ASSERT_OK(Publish(kAlice, "bare", "2", [](v1::ImportOptions* options) {
    (*options->mutable_labels())["course"] = "os";
  }));
  ASSERT_OK(Publish(kBob, "own", "3"));
  v1::ListRequest words;
  words.add_words("science");
  EXPECT_THAT(Names(kAlice, words), ElementsAre("alice/spark:latest"));
  v1::ListRequest label;
  (*label.mutable_labels())["course"] = "os";
  EXPECT_THAT(Names(kAlice, label), ElementsAre("alice/bare:latest"));
  (*label.mutable_labels())["course"] = "ds";
  EXPECT_THAT(Names(kAlice, label), IsEmpty());
  v1::ListRequest browse;
  EXPECT_THAT(Names(kBob, browse), ElementsAre("bob/own:latest"));
  browse.set_all_visible(true);
  EXPECT_THAT(Names(kBob, browse), ElementsAre("alice/spark:latest", "bob/own:latest"));
  browse.set_owner("alice");
  EXPECT_THAT(Names(kBob, browse), ElementsAre("alice/spark:latest"));
}

TEST_P(ImageConformanceTest, TagsMoveAndDigestsDoNot) {
  ASSERT_OK(Publish(kAlice, "spark:v1", "a"));
  const std::string first = DigestOf(kAlice, "spark:v1");
  ASSERT_OK(Tag(kAlice, "spark:v1", "spark:stable"));
  ASSERT_OK(Publish(kAlice, "spark:v1", "b", Replace));
  const std::string second = DigestOf(kAlice, "spark:v1");
  EXPECT_NE(first, second);
  EXPECT_EQ(DigestOf(kAlice, "spark:stable"), first);
  EXPECT_EQ(DigestOf(kAlice, "spark@" + first), first);
  EXPECT_EQ(CodeOf(Tag(kAlice, "spark:v1", "spark:stable")), Code::kAlreadyExists);
  ASSERT_OK(Tag(kAlice, "spark:v1", "spark:stable", /*replace=*/true));
  EXPECT_EQ(DigestOf(kAlice, "spark:stable"), second);
  EXPECT_EQ(DigestOf(kAlice, "spark@" + first), first) << "kept, though no tag points to it";
}

TEST_P(ImageConformanceTest, EarlierVersionsAreKeptToALimitAndPruned) {
  std::vector<std::string> digests;
  for (const char* salt : {"a", "b", "c", "d"}) {
    const auto made = Publish(kAlice, "x", salt, Replace);
    ASSERT_OK(made);
    digests.insert(digests.begin(), made->image().digest());
  }
  const auto versions = As(kAlice).Versions("x");
  ASSERT_OK(versions);
  std::vector<std::string> kept;
  for (const v1::Image& image : versions->images()) kept.push_back(image.digest());
  EXPECT_THAT(kept, ElementsAre(digests[0], digests[1], digests[2]));
  v1::PruneRequest prune;
  prune.set_dry_run(true);
  EXPECT_EQ(As(kAlice).Prune(prune)->images_size(), 2);
  EXPECT_EQ(As(kAlice).Versions("x")->images_size(), 3);
  prune.set_dry_run(false);
  EXPECT_EQ(As(kBob).Prune(prune)->images_size(), 0);
  const auto pruned = As(kAlice).Prune(prune);
  ASSERT_OK(pruned);
  EXPECT_EQ(pruned->images_size(), 2);
  EXPECT_GE(pruned->freed_bytes(), 10'000u);
  EXPECT_EQ(As(kAlice).Versions("x")->images_size(), 1);
  prune.set_all_owners(true);
  EXPECT_EQ(CodeOf(As(kAlice).Prune(prune)), Code::kPermissionDenied);
}

TEST_P(ImageConformanceTest, UsersGroupsAndEverybodyMayBeLetIn) {
  ASSERT_OK(Publish(kAlice, "x", "a"));
  ASSERT_OK(Share(kAlice, "x", v1::GRANT_USER, "carol"));
  EXPECT_EQ(Access(kCarol, "alice/x"), "user");
  EXPECT_EQ(Access(kBob, "alice/x"), "");
  ASSERT_OK(Share(kAlice, "x", v1::GRANT_GROUP, "students"));
  EXPECT_EQ(Access(kBob, "alice/x"), "group students");
  // Who may use it may not change it, and does not see with whom it is shared.
  EXPECT_EQ(CodeOf(Share(kBob, "alice/x", v1::GRANT_USER, "bob")), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(Delete(kBob, "alice/x")), Code::kPermissionDenied);
  EXPECT_EQ(As(kBob).Show("alice/x")->image().grants_size(), 0);
  EXPECT_EQ(As(kAlice).Show("x")->image().grants_size(), 2);
  EXPECT_FALSE(Share(kAlice, "x", v1::GRANT_USER, "nobody-of-that-name").ok());
  // By reference: it costs nothing.
  ASSERT_OK(Tag(kBob, "alice/x", "mine"));
  EXPECT_EQ(As(kBob).Usage()->usages(0).unique_bytes(), 0u);
  v1::ShareRequest everybody;
  everybody.set_reference("x");
  everybody.set_revoke_all(true);
  everybody.set_visibility(v1::PUBLIC);
  ASSERT_OK(As(kAlice).Share(everybody));
  EXPECT_EQ(Access(kBob, "alice/x"), "public");
  everybody.set_visibility(v1::PRIVATE);
  ASSERT_OK(As(kAlice).Share(everybody));
  EXPECT_EQ(Access(kBob, "alice/x"), "");
  EXPECT_EQ(Access(kBob, "mine"), "owner") << "a name of his own stays";
}

TEST_P(ImageConformanceTest, AClassIsLetInAsItsMembersComeAndGo) {
  ASSERT_OK(Publish(kAlice, "x", "a"));
  v1::ChangeClassRequest change;
  change.set_name("os");
  change.add_add("bob");
  ASSERT_OK(As(kAlice).ChangeClass(change));
  ASSERT_OK(Share(kAlice, "x", v1::GRANT_CLASS, "os"));
  EXPECT_EQ(Access(kBob, "alice/x"), "class alice/os");
  EXPECT_EQ(Access(kCarol, "alice/x"), "");
  change.clear_add();
  change.add_add("carol");
  change.add_remove("bob");
  EXPECT_FALSE([&] {
    v1::ChangeClassRequest foreign = change;
    foreign.set_name("alice/os");
    return As(kBob).ChangeClass(foreign).ok();
  }());
  const auto changed = As(kAlice).ChangeClass(change);
  ASSERT_OK(changed);
  EXPECT_THAT(changed->members(), UnorderedElementsAre("carol"));
  EXPECT_EQ(Access(kBob, "alice/x"), "");
  EXPECT_EQ(Access(kCarol, "alice/x"), "class alice/os");
  ASSERT_OK(As(kAlice).DeleteClass("os"));
  EXPECT_EQ(Access(kCarol, "alice/x"), "");
}

TEST_P(ImageConformanceTest, SharesEndWhenTheyWereSaidToAndWhenTheyAreRevoked) {
  ASSERT_OK(Publish(kAlice, "x", "a"));
  ASSERT_OK(Share(kAlice, "x", v1::GRANT_USER, "bob", now_ + kHour));
  ASSERT_OK(Share(kAlice, "x", v1::GRANT_USER, "carol"));
  EXPECT_EQ(Access(kBob, "alice/x"), "user");
  now_ += kHour;
  EXPECT_EQ(Access(kBob, "alice/x"), "");
  EXPECT_EQ(Access(kCarol, "alice/x"), "user");
  EXPECT_EQ(CodeOf(Share(kAlice, "x", v1::GRANT_USER, "bob", now_)), Code::kInvalidArgument);
  ASSERT_OK(Revoke(kAlice, "x", v1::GRANT_USER, "carol"));
  EXPECT_EQ(Access(kCarol, "alice/x"), "");
  EXPECT_EQ(CodeOf(Revoke(kAlice, "x", v1::GRANT_USER, "carol")), Code::kNotFound);
}

TEST_P(ImageConformanceTest, WhatIsInUseIsDeletedByForceOnlyAndStaysForItsUser) {
  ASSERT_OK(Publish(kAlice, "x", "a"));
  v1::AcquireRootRequest acquire;
  acquire.set_reference("x");
  acquire.set_on_behalf_of_uid(kAlice);
  acquire.add_leases("node-1");
  const auto root = As(0).AcquireRoot(acquire);
  ASSERT_OK(root);
  EXPECT_EQ(As(kAlice).Show("x")->leases(), 1u);
  const auto refused = Delete(kAlice, "x");
  ASSERT_EQ(CodeOf(refused), Code::kFailedPrecondition);
  EXPECT_THAT(refused.error().message(), HasSubstr("node-1"));
  const auto forced = Delete(kAlice, "x", /*force=*/true);
  ASSERT_OK(forced);
  EXPECT_EQ(forced->kept_by_size(), 1);
  EXPECT_EQ(CodeOf(As(kAlice).Show("x")), Code::kNotFound);
  EXPECT_TRUE(PathExists(root->tree_path()));
  const std::string file = "a" + std::string(4999, '.');
  EXPECT_TRUE(repository_->objects().Has(Hasher::Of(file)));
  ASSERT_OK(As(0).ReleaseRoot("node-1"));
  ASSERT_OK(Publish(kAlice, "y", "b"));
  ASSERT_OK(Delete(kAlice, "y"));  // And whatever else nothing refers to.
  EXPECT_FALSE(repository_->objects().Has(Hasher::Of(file)));
}

TEST_P(ImageConformanceTest, DescriptionsAndLabelsChangeAndTheDigestDoesNot) {
  const auto made = Publish(kAlice, "x", "a", [](v1::ImportOptions* options) {
    (*options->mutable_labels())["old"] = "1";
    (*options->mutable_labels())["stays"] = "2";
  });
  ASSERT_OK(made);
  v1::EditRequest edit;
  edit.set_reference("x");
  edit.set_description("new words");
  (*edit.mutable_set_labels())["more"] = "3";
  edit.add_remove_labels("old");
  ASSERT_OK(As(kAlice).Edit(edit));
  const v1::Image image = As(kAlice).Show("x")->image();
  EXPECT_EQ(image.description(), "new words");
  EXPECT_EQ(image.labels_size(), 2);
  EXPECT_EQ(image.labels().at("stays"), "2");
  EXPECT_EQ(image.labels().at("more"), "3");
  EXPECT_EQ(image.digest(), made->image().digest());
  edit.set_description(std::string(100'000, 'x'));
  EXPECT_FALSE(As(kAlice).Edit(edit).ok());
  EXPECT_EQ(As(kAlice).Show("x")->image().description(), "new words");
  edit.set_reference("alice/x");
  EXPECT_EQ(CodeOf(As(kBob).Edit(edit)), Code::kNotFound);
}

TEST_P(ImageConformanceTest, AQuotaRefusesWhatGoesPastItAndLeavesNoName) {
  v1::SetQuotaRequest quota;
  quota.set_subject("user:alice");
  quota.set_limit_bytes(100'000);
  EXPECT_EQ(CodeOf(As(kAlice).SetQuota(quota)), Code::kPermissionDenied);
  ASSERT_OK(As(0).SetQuota(quota));
  ASSERT_OK(Publish(kAlice, "a", "1", {}, 70'000));
  EXPECT_EQ(CodeOf(Publish(kAlice, "b", "2", {}, 40'000)), Code::kResourceExhausted);
  EXPECT_EQ(CodeOf(As(kAlice).Show("b")), Code::kNotFound);
  const auto usage = As(kAlice).Usage();
  ASSERT_OK(usage);
  EXPECT_EQ(usage->usages(0).limit_bytes(), 100'000u);
  EXPECT_GE(usage->usages(0).unique_bytes(), 70'000u);
  EXPECT_LE(usage->usages(0).unique_bytes(), 100'000u);
  // The same content again costs nothing; others are not bound by it.
  ASSERT_OK(Tag(kAlice, "a", "c"));
  ASSERT_OK(Publish(kBob, "b", "2", {}, 40'000));
  ASSERT_OK(Delete(kAlice, "a"));
  ASSERT_OK(Delete(kAlice, "c"));
  ASSERT_OK(Publish(kAlice, "b", "2", {}, 40'000));
}

TEST_P(ImageConformanceTest, LineageNamesParentsBeforeChildrenAndOnlyWhatOneMayKnow) {
  const auto base = Publish(kAlice, "base", "a");
  ASSERT_OK(base);
  const auto child =
      Publish(kAlice, "child", "b", [](v1::ImportOptions* options) { options->set_base("base"); });
  ASSERT_OK(child);
  EXPECT_EQ(child->image().layers_size(), 2);
  EXPECT_EQ(child->image().lineage().parent_reference(), "alice/base:latest");
  const auto tree = As(kAlice).Lineage("child");
  ASSERT_OK(tree);
  ASSERT_EQ(tree->nodes_size(), 2);
  EXPECT_EQ(tree->nodes(0).digest(), base->image().digest());
  EXPECT_FALSE(tree->nodes(0).subject());
  EXPECT_EQ(tree->nodes(1).digest(), child->image().digest());
  EXPECT_EQ(tree->nodes(1).parent_digest(), base->image().digest());
  EXPECT_TRUE(tree->nodes(1).subject());
  ASSERT_OK(Share(kAlice, "base", v1::GRANT_USER, "bob"));
  EXPECT_EQ(As(kBob).Lineage("alice/base")->nodes_size(), 1) << "the child is not shared";
  ASSERT_OK(Delete(kAlice, "base"));
  const auto orphan = As(kAlice).Lineage("child");
  ASSERT_OK(orphan);
  EXPECT_EQ(orphan->nodes_size(), 2) << "its layers tell";
  EXPECT_EQ(orphan->nodes(0).references_size(), 0);
}

TEST_P(ImageConformanceTest, WhatWasDoneIsThereAfterARestart) {
  ASSERT_OK(Publish(kAlice, "x", "a"));
  ASSERT_OK(Tag(kAlice, "x", "y"));
  ASSERT_OK(Share(kAlice, "x", v1::GRANT_USER, "bob", now_ + kHour));
  ASSERT_OK(Delete(kAlice, "y"));
  // What memory holds is gone, its name too; the others have all of it.
  if (records() != Records::kMemory) Reopen();
  EXPECT_EQ(Access(kBob, "alice/x"), "user");
  EXPECT_EQ(Access(kAlice, "y"), "");
  now_ += kHour;
  EXPECT_EQ(Access(kBob, "alice/x"), "");
}

std::string KindName(const testing::TestParamInfo<std::tuple<Records, Way>>& param_info) {
  const auto [records, way] = param_info.param;
  const std::string kind = records == Records::kMemory  ? "memory"
                           : records == Records::kRocks ? "rocksdb"
                                                        : "etcd";
  return kind + (way == Way::kRpc ? "_rpc" : "");
}

INSTANTIATE_TEST_SUITE_P(Kinds, ImageConformanceTest,
                         testing::Combine(testing::Values(Records::kMemory, Records::kRocks,
                                                          Records::kEtcd),
                                          testing::Values(Way::kDirect, Way::kRpc)),
                         KindName);

}  // namespace
}  // namespace strata::imaged
