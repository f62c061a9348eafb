// Names, versions, search and lineage.
#include "imaged/catalog/tables.h"
#include "tests/unit/catalog/catalog_fixture.h"

namespace strata::imaged {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ImagesTest : public CatalogTest {
 protected:
  std::string DigestOf(const std::string& reference) {
    return images().Find(kAlice, reference)->digest();
  }
  size_t VersionsOf(const std::string& reference) {
    const auto versions = images().Versions(kAlice, reference);
    return versions.ok() ? static_cast<size_t>(versions->images_size()) : 0;
  }
};

TEST_F(ImagesTest, ATagMovesAndDigestsDoNot) {
  ASSERT_OK(Publish(kAlice, "x", "1"));
  const std::string first = DigestOf("x");
  ASSERT_OK(Publish(kAlice, "x", "2", "", true));
  EXPECT_NE(DigestOf("x"), first);
  EXPECT_EQ(DigestOf("x@" + first), first);
  EXPECT_EQ(DigestOf("x@" + first.substr(7, 8)), first) << "8 digits of it are enough";
  v1::TagRequest back;
  back.set_reference("x@" + first);
  back.set_new_reference("x");
  EXPECT_EQ(images().Tag(kAlice, back).error().code(), Code::kAlreadyExists);
  back.set_replace(true);
  ASSERT_OK(images().Tag(kAlice, back));
  EXPECT_EQ(DigestOf("x"), first);
}

TEST_F(ImagesTest, EarlierVersionsAreKeptUpToALimitAndGoWithTheLastTag) {
  for (const char* salt : {"1", "2", "3", "4"}) ASSERT_OK(Publish(kAlice, "x", salt, "", true));
  EXPECT_EQ(VersionsOf("x"), 3u) << "the tagged one, and two before it";
  const auto versions = images().Versions(kAlice, "x");
  EXPECT_EQ(versions->images(0).tag(), "latest");
  EXPECT_EQ(versions->images(2).description(), "made of 2") << "newest first";
  ASSERT_OK(images().Remove(kAlice, "x"));
  EXPECT_EQ(VersionsOf("x"), 0u);
}

TEST_F(ImagesTest, AVersionWithTwoTagsGoesWithTheSecond) {
  ASSERT_OK(Publish(kAlice, "x:a", "1"));
  v1::TagRequest tag;
  tag.set_reference("x:a");
  tag.set_new_reference("x:b");
  ASSERT_OK(images().Tag(kAlice, tag));
  const std::string digest = DigestOf("x:a");
  EXPECT_EQ(DigestOf("x:b"), digest);
  ASSERT_OK(images().Remove(kAlice, "x:a"));
  EXPECT_TRUE(Sees(kAlice, "x@" + digest));
  ASSERT_OK(images().Remove(kAlice, "x:b"));
  EXPECT_FALSE(Sees(kAlice, "x@" + digest));
}

TEST_F(ImagesTest, RemovingADigestTakesItsTagsAlong) {
  ASSERT_OK(Publish(kAlice, "x:a", "1"));
  ASSERT_OK(Publish(kAlice, "x:b", "1"));
  ASSERT_OK(Publish(kAlice, "x:c", "2"));
  ASSERT_OK(images().Remove(kAlice, "x@" + DigestOf("x:a")));
  v1::ListRequest all;
  EXPECT_THAT(Names(kAlice, all), ElementsAre("alice/x:c"));
}

TEST_F(ImagesTest, PrunableVersionsAreThoseWithoutATag) {
  ASSERT_OK(Publish(kAlice, "x", "1"));
  ASSERT_OK(Publish(kAlice, "x", "2", "", true));
  ASSERT_OK(Publish(kBob, "y", "3"));
  ASSERT_OK(Publish(kBob, "y", "4", "", true));
  const auto untagged = images().Untagged(kAlice, false);
  ASSERT_OK(untagged);
  ASSERT_EQ(untagged->size(), 1u);
  EXPECT_EQ((*untagged)[0].description(), "made of 1");
  EXPECT_EQ(images().Untagged(0, true)->size(), 2u);
  EXPECT_EQ(images().Untagged(kAlice, true).error().code(), Code::kPermissionDenied);
  ASSERT_OK(images().RemoveVersions(*untagged));
  EXPECT_EQ(VersionsOf("x"), 1u);
}

TEST_F(ImagesTest, AnotherUsersImageCanBeNamedByReference) {
  ASSERT_OK(Publish(kAlice, "x", "1"));
  ASSERT_OK(ShareWith(kAlice, "x", To(v1::GRANT_USER, "bob")));
  v1::TagRequest tag;
  tag.set_reference("alice/x");
  tag.set_new_reference("mine");
  ASSERT_OK(images().Tag(kBob, tag));
  EXPECT_EQ(images().Find(kBob, "mine")->digest(), DigestOf("x"));
  EXPECT_FALSE(Sees(kCarol, "bob/mine"));
  tag.set_new_reference("alice/y");
  EXPECT_EQ(images().Tag(kBob, tag).error().code(), Code::kPermissionDenied);
}

TEST_F(ImagesTest, BadReferencesAreRefusedWithTheirReason) {
  for (const char* bad : {"", "/x", "a b", "x:", "x@abc", "x@blake3:zz", "x@ABCDEF0123", "-x",
                          "x:y:z", "alice/b/c"}) {
    const auto found = images().Find(kAlice, bad);
    EXPECT_EQ(found.error().code(), Code::kInvalidArgument) << bad;
  }
  EXPECT_THAT(images().Find(kAlice, "nobody/x").error().message(), HasSubstr("no user 'nobody'"));
  EXPECT_EQ(images().Reserve(kAlice, "x@0123456789", true).error().code(), Code::kInvalidArgument);
}

TEST_F(ImagesTest, SearchFindsWordsInNamesDescriptionsAndLabels) {
  ASSERT_OK(Publish(kAlice, "spark:v1", "a"));
  ASSERT_OK(Publish(kAlice, "mpi", "b"));
  v1::EditRequest edit;
  edit.set_reference("mpi");
  (*edit.mutable_set_labels())["course"] = "Parallel-Computing";
  edit.set_description("OpenMPI and Python");
  ASSERT_OK(images().Edit(kAlice, edit));
  const auto find = [&](std::initializer_list<const char*> words) {
    v1::ListRequest request;
    for (const char* word : words) request.add_words(word);
    return Names(kAlice, request);
  };
  EXPECT_THAT(find({"SPARK"}), ElementsAre("alice/spark:v1"));
  EXPECT_THAT(find({"python"}), ElementsAre("alice/mpi:latest"));
  EXPECT_THAT(find({"parallel", "mpi"}), ElementsAre("alice/mpi:latest"));
  EXPECT_THAT(find({"parallel", "spark"}), IsEmpty());
  v1::ListRequest labelled;
  (*labelled.mutable_labels())["course"] = "";
  EXPECT_THAT(Names(kAlice, labelled), ElementsAre("alice/mpi:latest"));
  (*labelled.mutable_labels())["course"] = "else";
  EXPECT_THAT(Names(kAlice, labelled), IsEmpty());
}

TEST_F(ImagesTest, PagesHoldEveryImageOnceInEveryOrderThoughSomeComeAndGo) {
  for (int i = 0; i < 25; ++i) {
    ASSERT_OK(
        Publish(kAlice, "i" + std::to_string(i), std::string(static_cast<size_t>(i % 5), 's')));
  }
  for (const v1::SortKey key : {v1::SORT_NAME, v1::SORT_CREATED, v1::SORT_SIZE}) {
    for (const bool descending : {false, true}) {
      v1::ListRequest request;
      request.set_page_size(7);
      request.set_sort(key);
      request.set_descending(descending);
      std::vector<v1::Image> all;
      while (true) {
        const auto page = images().List(kAlice, request);
        ASSERT_OK(page);
        EXPECT_EQ(page->total(), 25u);
        for (const v1::Image& image : page->images()) all.push_back(image);
        if (page->next_page_token().empty()) break;
        request.set_page_token(page->next_page_token());
      }
      ASSERT_EQ(all.size(), 25u);
      const auto value = [&](const v1::Image& image) -> int64_t {
        if (key == v1::SORT_CREATED) return image.created_unix_ms();
        return key == v1::SORT_SIZE ? static_cast<int64_t>(image.layers(0).content_bytes()) : 0;
      };
      std::set<std::string> names;
      for (size_t i = 0; i < all.size(); ++i) {
        names.insert(all[i].name());
        if (i == 0) continue;
        const int64_t step = value(all[i]) - value(all[i - 1]);
        EXPECT_TRUE(descending ? step <= 0 : step >= 0) << key;
        if (key == v1::SORT_NAME) {
          EXPECT_EQ(descending, all[i].name() < all[i - 1].name());
        }
      }
      EXPECT_EQ(names.size(), 25u);
    }
  }
  v1::ListRequest request;
  request.set_page_size(3);
  request.set_page_token(images().List(kAlice, request)->next_page_token());
  ASSERT_OK(images().Remove(kAlice, "i10"));  // Where the first page ended.
  EXPECT_THAT(Names(kAlice, request)[0], HasSubstr("i11"));
  request.set_page_token("nonsense");
  EXPECT_EQ(images().List(kAlice, request).error().code(), Code::kInvalidArgument);
}

TEST_F(ImagesTest, LabelsAndDescriptionsHaveLimits) {
  ASSERT_OK(Publish(kAlice, "x", "1"));
  v1::EditRequest edit;
  edit.set_reference("x");
  const auto refused = [&] { return images().Edit(kAlice, edit).error().code(); };
  edit.set_description(std::string(4097, 'd'));
  EXPECT_EQ(refused(), Code::kInvalidArgument);
  edit.set_description("");
  (*edit.mutable_set_labels())["no blank"] = "";
  EXPECT_EQ(refused(), Code::kInvalidArgument);
  edit.mutable_set_labels()->clear();
  for (int i = 0; i < 65; ++i) (*edit.mutable_set_labels())["l" + std::to_string(i)] = "v";
  EXPECT_EQ(refused(), Code::kResourceExhausted);
  edit.mutable_set_labels()->clear();
  edit.add_remove_labels("absent");
  EXPECT_EQ(refused(), Code::kNotFound);
  EXPECT_EQ(images().Find(kAlice, "x")->description(), "made of 1");
}

TEST_F(ImagesTest, LineageKnowsDeletedAncestorsAndOnlyVisibleDescendants) {
  ASSERT_OK(Publish(kAlice, "base", "1"));
  ASSERT_OK(Publish(kAlice, "mid", "2", "base"));
  ASSERT_OK(ShareWith(kAlice, "mid", To(v1::GRANT_USER, "bob")));
  ASSERT_OK(Publish(kBob, "mine", "3", "alice/mid"));
  ASSERT_OK(Publish(kAlice, "own", "4", "mid"));
  ASSERT_OK(images().Remove(kAlice, "base"));
  const auto lineage = images().Lineage(kAlice, "mid");
  ASSERT_OK(lineage);
  ASSERT_EQ(lineage->nodes_size(), 3) << "bob's image is his own affair";
  const v1::LineageNode& base = lineage->nodes(0);
  EXPECT_EQ(base.parent_digest(), "");
  EXPECT_EQ(base.references_size(), 0) << "it was deleted";
  EXPECT_EQ(base.history().image_reference(), "alice/base:latest");
  EXPECT_EQ(base.history().command(), "vsave base");
  const v1::LineageNode& mid = lineage->nodes(1);
  EXPECT_TRUE(mid.subject());
  EXPECT_EQ(mid.parent_digest(), base.digest());
  EXPECT_THAT(mid.references(), ElementsAre("alice/mid:latest"));
  EXPECT_THAT(lineage->nodes(2).references(), ElementsAre("alice/own:latest"));
  EXPECT_EQ(lineage->nodes(2).parent_digest(), mid.digest());
  EXPECT_EQ(images().Lineage(0, "alice/mid")->nodes_size(), 4);
}

TEST_F(ImagesTest, TwoWhoMoveOneTagAtOnceCannotBothWin) {
  ASSERT_OK(Publish(kAlice, "x", "1"));
  const auto first = images().Reserve(kAlice, "x", true);
  ASSERT_OK(first);
  EXPECT_EQ(images().Reserve(kAlice, "x", true).error().code(), Code::kFailedPrecondition);
  // Another imaged on the same records does not see this reservation; the records decide.
  const std::string key = "1001/x:latest";
  const auto before = catalog_->records().Get(kTags, key);
  ASSERT_OK(before);
  ASSERT_OK(catalog_->records().Put(kTags, key, **before + std::string("\x20\x01")));
  EXPECT_EQ(
      catalog_->records().Commit({{kTags, key, *before}}, {{kTags, key, "lost"}}).error().code(),
      Code::kFailedPrecondition);
}

TEST_F(ImagesTest, ADamagedRecordIsNamedAndHidesNothingElse) {
  ASSERT_OK(Publish(kAlice, "x", "1"));
  ASSERT_OK(Publish(kAlice, "y", "2"));
  ASSERT_OK(catalog_->records().Put(kTags, "1001/z:latest", "\xff\xff"));
  ASSERT_OK(catalog_->records().Put(kTags, "nonsense", ""));
  v1::ListRequest all;
  EXPECT_THAT(Names(kAlice, all), ElementsAre("alice/x:latest", "alice/y:latest"));
  EXPECT_EQ(images().Find(kAlice, "z").error().code(), Code::kNotFound);
}

TEST_F(ImagesTest, AnImageHasBoundsSoThatPagesOfImagesHaveThem) {
  const auto publish = [&](const std::function<void(v1::Image*)>& more) -> Result<v1::Image> {
    v1::Image draft;
    *draft.add_layers() = LayerOf("1", 1000);
    more(&draft);
    ASSIGN_OR_RETURN(const auto name, images().Reserve(kAlice, "x", true));
    return images().Publish(name, std::move(draft));
  };
  EXPECT_EQ(publish([](v1::Image* image) {
              image->mutable_config()->add_env("A=" + std::string(300'000, 'x'));
            })
                .error()
                .code(),
            Code::kInvalidArgument);
  EXPECT_EQ(publish([](v1::Image* image) {
              image->mutable_lineage()->set_command(std::string(10'000, 'x'));
            })
                .error()
                .code(),
            Code::kInvalidArgument);
  EXPECT_EQ(publish([](v1::Image* image) {
              for (int i = 0; i < kImageLayersMax; ++i) *image->add_layers() = image->layers(0);
            })
                .error()
                .code(),
            Code::kResourceExhausted);
  ASSERT_OK(publish([](v1::Image* image) { image->mutable_config()->add_env("A=x"); }));
  EXPECT_EQ(images().Find(kAlice, "x")->config().env_size(), 1);
  const auto page = images().List(kAlice, {});
  ASSERT_OK(page);
  EXPECT_FALSE(page->images(0).has_config()) << "that is for who looks at one image";
}

}  // namespace
}  // namespace strata::imaged
