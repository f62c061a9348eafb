#include "imaged/build/stage_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::imaged::build {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A stage of these lines on `base`; RUNs are passed over.
StageSettings After(const std::string& lines, const Arguments& given = {},
                    const v1::ImageConfig& base = {}) {
  const auto file = ParseDockerfile("ARG G=global\nFROM a\n" + lines, "D");
  EXPECT_TRUE(file.ok()) << file.error().message();
  StageSettings settings(given, *GlobalArguments(*file, given));
  settings.StartFrom(base);
  for (const Instruction& each : file->stages[0].instructions) {
    if (each.keyword == "RUN") continue;
    const Status applied = settings.Apply(each, '\\');
    EXPECT_TRUE(applied.ok()) << applied.error().message();
  }
  return settings;
}

TEST(StageSettings, ArgumentsAndVariablesAreScopedAsInDocker) {
  const auto settings = After(
      "ARG G\nARG D=def\nARG UNSET\nENV E=$G-$D F=\"a b\"\nENV OLD the rest $D\nARG E=hidden\n",
      {{"D", "given"}});
  EXPECT_THAT(settings.Environment(),
              ElementsAre("D=given", "E=global-given", "F=a b", "G=global", "OLD=the rest given"));
  EXPECT_THAT(settings.config().env(),
              ElementsAre("E=global-given", "F=a b", "OLD=the rest given"));
  EXPECT_THAT(After("").Environment(), ElementsAre());
}

TEST(StageSettings, ProxiesReachRunButNoKey) {
  const auto settings = After("", {{"http_proxy", "p"}});
  EXPECT_THAT(settings.Environment(), ElementsAre());
  EXPECT_THAT(settings.EnvironmentWithProxies(), ElementsAre("http_proxy=p"));
}

TEST(StageSettings, EntrypointTakesTheBasesCommandAway) {
  v1::ImageConfig base;
  base.mutable_oci()->add_cmd("old");
  base.add_command("chosen here");
  EXPECT_EQ(After("ENTRYPOINT [\"e\"]\n", {}, base).config().oci().cmd_size(), 0);
  EXPECT_EQ(After("ENTRYPOINT [\"e\"]\n", {}, base).config().command_size(), 0);
  EXPECT_THAT(After("CMD x y\nENTRYPOINT [\"e\"]\n", {}, base).config().oci().cmd(),
              ElementsAre("/bin/sh", "-c", "x y"));
  EXPECT_THAT(After("SHELL [\"/bin/bash\", \"-ec\"]\nCMD x\n").config().oci().cmd(),
              ElementsAre("/bin/bash", "-ec", "x"));
}

TEST(StageSettings, TheRestBecomesTheConfiguration) {
  const auto settings = After(
      "WORKDIR /a\nWORKDIR b/../c\nUSER $U\nENV U=bob\nUSER ${U}:staff\nEXPOSE 80 53/udp 80/tcp\n"
      "VOLUME [\"/v\"]\nVOLUME /w /v\nLABEL a=1 \"b c\"='2 3'\nSTOPSIGNAL SIGINT\n"
      "MAINTAINER me\n",
      {}, [] {
        v1::ImageConfig base;
        base.add_env("U=alice");
        return base;
      }());
  const v1::OciConfig& oci = settings.config().oci();
  EXPECT_EQ(oci.working_dir(), "/a/c");
  EXPECT_EQ(oci.user(), "bob:staff");
  EXPECT_THAT(oci.exposed_ports(), ElementsAre("53/udp", "80/tcp"));
  EXPECT_THAT(oci.volumes(), ElementsAre("/v", "/w"));
  EXPECT_EQ(oci.labels().at("b c"), "2 3");
  EXPECT_EQ(oci.stop_signal(), "SIGINT");
  EXPECT_EQ(oci.author(), "me");
  EXPECT_THAT(settings.config().env(), ElementsAre("U=bob"));
}

TEST(StageSettings, WhatHasNoPlaceIsToldAndWrongOnesAreRefused) {
  auto settings = After("HEALTHCHECK CMD true\nONBUILD RUN x\n");
  EXPECT_EQ(settings.TakeWarnings().size(), 2u);
  Instruction expose{1, "EXPOSE", {}, "http", {}, {}};
  EXPECT_THAT(settings.Apply(expose, '\\').error().message(), HasSubstr("is no port"));
  Instruction env{1, "ENV", {}, "A", {}, {}};
  EXPECT_THAT(settings.Apply(env, '\\').error().message(), HasSubstr("NAME=VALUE"));
}

TEST(StageSettings, HeredocsAreTheScriptOrItsInput) {
  const auto file = ParseDockerfile("FROM a\nRUN <<E\na\nb\nE\nRUN cat <<E >x\na\nE\n", "D");
  ASSERT_TRUE(file.ok());
  const StageSettings settings({}, {});
  EXPECT_THAT(settings.CommandOf(file->stages[0].instructions[0]),
              ElementsAre("/bin/sh", "-c", "a\nb\n"));
  EXPECT_THAT(settings.CommandOf(file->stages[0].instructions[1]),
              ElementsAre("/bin/sh", "-c", "cat <<E >x\na\nE\n"));
}

}  // namespace
}  // namespace strata::imaged::build
