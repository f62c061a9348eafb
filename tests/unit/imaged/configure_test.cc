// What a build asks of the repository: the same layers with another configuration, single files.
#include "tests/unit/imaged/repository_fixture.h"

namespace strata::imaged {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

v1::ConfigureRequest Request(const std::string& reference, const std::string& name) {
  v1::ConfigureRequest request;
  request.set_reference(reference);
  request.set_new_reference(name);
  request.mutable_config()->add_env("A=1");
  (*request.mutable_labels())["k"] = "v";
  return request;
}

TEST_F(RepositoryTest, AConfiguredImageHasTheSameLayersAndCostsNothing) {
  const auto before = Import(kAlice, "base", tar_, [](v1::ImportOptions* options) {
    options->mutable_config()->add_command("old");
  });
  ASSERT_OK(before);
  const auto made = repository_->Configure(kAlice, Request("base", "built:v1"));
  ASSERT_OK(made);
  EXPECT_NE(made->digest(), before->image().digest());
  EXPECT_EQ(made->layers(0).digest(), before->image().layers(0).digest());
  EXPECT_THAT(made->config().env(), ElementsAre("A=1"));
  EXPECT_EQ(made->config().command_size(), 0);
  EXPECT_EQ(made->lineage().parent_digest(), before->image().digest());
  EXPECT_EQ(made->labels().at("k"), "v");
  EXPECT_EQ(CountFiles(Store("objects")), 2u);
}

TEST_F(RepositoryTest, ConfigureKeepsToNamesAndRights) {
  ASSERT_OK(Import(kAlice, "base", tar_));
  const std::string alices = std::to_string(kAlice) + "/base";
  EXPECT_EQ(repository_->Configure(kBob, Request(alices, "mine")).error().code(), Code::kNotFound);
  ASSERT_OK(Share(kAlice, "base", v1::PUBLIC));
  ASSERT_OK(repository_->Configure(kBob, Request(alices, "mine")));
  EXPECT_EQ(repository_->Configure(kBob, Request(alices, alices)).error().code(),
            Code::kPermissionDenied);
  v1::ConfigureRequest again = Request(alices, "mine");
  EXPECT_EQ(repository_->Configure(kBob, again).error().code(), Code::kAlreadyExists);
  again.set_replace(true);
  ASSERT_OK(repository_->Configure(kBob, again));
}

TEST_F(RepositoryTest, AnExportOfPathsHoldsThoseAlone) {
  ASSERT_OK(Import(kAlice, "x", tar_));
  std::string exported;
  ASSERT_OK(repository_->Export(kAlice, "x",
                                [&](std::string_view data) -> Status {
                                  exported += data;
                                  return Ok();
                                },
                                cancel_, {"small", "not-there", "bi"}));
  EXPECT_THAT(exported, HasSubstr("small"));
  EXPECT_THAT(exported, Not(HasSubstr("big")));
  EXPECT_LT(exported.size(), 20'000u);
}

TEST_F(RepositoryTest, AListMayLeaveANameOut) {
  ASSERT_OK(Import(kAlice, "x", tar_));
  ASSERT_OK(Import(kAlice, "build-cache:1", tar_));
  v1::ListRequest request;
  request.set_except_name("build-cache");
  const auto listed = repository_->images().List(kAlice, request);
  ASSERT_OK(listed);
  EXPECT_EQ(listed->total(), 1u);
  EXPECT_EQ(listed->images(0).name(), "x");
}

}  // namespace
}  // namespace strata::imaged
