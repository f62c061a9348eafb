#include "imaged/build/base_reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::imaged::build {
namespace {

using testing::StartsWith;

TEST(BaseReference, OnlyAHostInFrontMakesItARegistrys) {
  EXPECT_EQ(RegistryLocationOf("reg.lab/team/app:1"), "docker://reg.lab/team/app:1");
  EXPECT_EQ(RegistryLocationOf("localhost/app"), "docker://localhost/app");
  EXPECT_EQ(RegistryLocationOf("reg:5000/app@sha256:00"), "docker://reg:5000/app@sha256:00");
  for (const char* local : {"debian", "debian:12", "alice/spark:v1.2", "scratch", "", "/x"}) {
    EXPECT_EQ(RegistryLocationOf(local), std::nullopt) << local;
  }
}

TEST(BaseReference, TagsAreReadableAndNeverMeet) {
  const std::string tag = BaseTag("docker://reg:5000/team/app:1.2");
  EXPECT_THAT(tag, StartsWith("base-reg-5000-team-app-1.2-"));
  EXPECT_NE(tag, BaseTag("docker://reg:5000/team/app-1.2"));
  EXPECT_LE(BaseTag("docker://" + std::string(500, 'x')).size(), 128u);
}

}  // namespace
}  // namespace strata::imaged::build
