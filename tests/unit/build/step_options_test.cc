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
  const auto mounts = SecretMounts(run, kSettings, '\\');
  ASSERT_TRUE(mounts.ok()) << mounts.error().message();
  EXPECT_EQ(mounts->at(0).target, "/run/secrets/a");
  EXPECT_EQ(mounts->at(1).id, "b");
  EXPECT_EQ(mounts->at(1).mode, 0440u);
  EXPECT_EQ(mounts->at(1).gid, 7u);
  EXPECT_TRUE(mounts->at(1).required);
}

TEST(StepOptions, WhatIsNotSupportedIsNamed) {
  for (const Flag& flag : {Flag{"mount", "type=cache,target=/x"}, Flag{"mount", "target=/x"},
                           Flag{"network", "none"}, Flag{"mount", "type=secret,id=a,env=X"}}) {
    const auto mounts = SecretMounts({1, "RUN", {flag}, "x", {}, {}}, kSettings, '\\');
    ASSERT_FALSE(mounts.ok()) << flag.value;
    EXPECT_EQ(mounts.error().code(), Code::kUnsupported);
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
