#include "tools/vimage/build/step_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/vimage/build/publisher.h"

namespace strata::tools {
namespace {

using imaged::build::Flag;
using imaged::build::Instruction;
using testing::ElementsAre;
using testing::HasSubstr;

const imaged::build::StageSettings kSettings({}, {});

TEST(StepOptions, SecretsHavePlacesAndModes) {
  const Instruction run{1,
                        "RUN",
                        {{"mount", "type=secret,id=a"},
                         {"mount", "type=secret,target=/etc/b,mode=0440,gid=7,required"}},
                        "x",
                        {},
                        {}};
  const auto all = ReadRunMounts(run, kSettings, '\\');
  ASSERT_TRUE(all.ok()) << all.error().message();
  const std::vector<SecretMount>* mounts = &all->secrets;
  EXPECT_EQ(mounts->at(0).target, "/run/secrets/a");
  EXPECT_EQ(mounts->at(1).id, "b");
  EXPECT_EQ(mounts->at(1).mode, 0440u);
  EXPECT_EQ(mounts->at(1).gid, 7u);
  EXPECT_TRUE(mounts->at(1).required);
}

TEST(StepOptions, WhatIsNotSupportedIsNamed) {
  for (const Flag& flag :
       {Flag{"mount", "type=ssh"}, Flag{"mount", "target=/x,id=a"},
        Flag{"mount", "type=cache,target=/x,from=a"}, Flag{"mount", "type=tmpfs,target=/x,ro"},
        Flag{"network", "none"}, Flag{"mount", "type=secret,id=a,env=X"}}) {
    const auto mounts = ReadRunMounts({1, "RUN", {flag}, "x", {}, {}}, kSettings, '\\');
    ASSERT_FALSE(mounts.ok()) << flag.value;
    EXPECT_EQ(mounts.error().code(), Code::kUnsupported);
  }
}

TEST(StepOptions, TreesHaveKindsAndBindsAreReadOnly) {
  imaged::build::StageSettings settings({}, {});
  ASSERT_TRUE(settings.Apply({1, "WORKDIR", {}, "/w", {}, {}}, '\\').ok());
  ASSERT_TRUE(settings.Apply({1, "ARG", {}, "D=deep", {}, {}}, '\\').ok());
  const auto all = ReadRunMounts({1,
                                  "RUN",
                                  {{"mount", "target=../a/$D,source=src,from=tools"},
                                   {"mount", "type=bind,dst=/b,rw"},
                                   {"mount", "type=tmpfs,target=/t,size=64m"},
                                   {"mount", "type=cache,target=/c,uid=7,mode=0700,sharing=locked"},
                                   {"mount", "type=cache,target=/d,id=x,ro"}},
                                  "x",
                                  {},
                                  {}},
                                 settings, '\\');
  ASSERT_TRUE(all.ok()) << all.error().message();
  const auto& trees = all->trees;
  ASSERT_EQ(trees.size(), 5u);
  EXPECT_EQ(trees[0].target, "/a/deep");
  EXPECT_EQ(trees[0].source, "src");
  EXPECT_EQ(trees[0].from, "tools");
  EXPECT_TRUE(trees[0].read_only);
  EXPECT_FALSE(trees[1].read_only);
  EXPECT_EQ(trees[2].size_bytes, 64u << 20);
  EXPECT_EQ(trees[3].id, "/c");
  EXPECT_EQ(trees[3].mode, 0700u);
  EXPECT_EQ(trees[3].uid, 7u);
  EXPECT_EQ(trees[4].id, "x");
  EXPECT_TRUE(trees[4].read_only);
  for (const char* wrong : {"type=tmpfs", "type=cache,target=/", "type=cache,target=/x,mode=9",
                            "type=cache,target=/x,sharing=no", "type=tmpfs,target=/x,size=0"}) {
    EXPECT_FALSE(ReadRunMounts({1, "RUN", {{"mount", wrong}}, "x", {}, {}}, settings, '\\').ok())
        << wrong;
  }
}

TEST(StepOptions, CopyKnowsItsFlags) {
  const auto copy = ReadCopyOptions(
      {1, "COPY", {{"from", "s"}, {"chown", "a:b"}, {"chmod", "750"}}, "'x y' z /d/", {}, {}},
      kSettings, '\\');
  ASSERT_TRUE(copy.ok()) << copy.error().message();
  EXPECT_EQ(copy->from, "s");
  EXPECT_EQ(copy->owner, "a:b");
  EXPECT_EQ(copy->mode, 0750u);
  EXPECT_THAT(copy->words, ElementsAre("x y", "z", "/d/"));
  EXPECT_THAT(ReadCopyOptions({1, "ADD", {{"from", "s"}}, "a b", {}, {}}, kSettings, '\\')
                  .error()
                  .message(),
              HasSubstr("ADD --from"));
  EXPECT_FALSE(ReadCopyOptions({1, "COPY", {}, "alone", {}, {}}, kSettings, '\\').ok());
}

TEST(ImageNames, KeepWhatBuildsNeedApart) {
  EXPECT_EQ(ParseImageName("alice/web:v1")->path, "alice/web");
  EXPECT_EQ(ParseImageName("web")->tag, "latest");
  EXPECT_FALSE(ParseImageName("web:build-3").ok());
  EXPECT_FALSE(ParseImageName("root/build-cache:x").ok());
  EXPECT_FALSE(ParseImageName("web@12345678").ok());
  EXPECT_TRUE(ParseImageName("web:build-tools").ok());
  EXPECT_EQ(BuildNumber("build-12"), 12u);
}

}  // namespace
}  // namespace strata::tools
