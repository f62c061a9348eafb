#include "vclusterd/definition/format_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/vclusterd/definition/random_definition.h"
#include "vclusterd/definition/diff.h"
#include "vclusterd/definition/parse_file.h"

namespace strata::vcluster {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr uint64_t kSeeds = 2000;

TEST(FormatFileTest, WhatIsWrittenIsReadAsTheSame) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Definition definition = RandomDefinition(seed);
    const Status status = CheckDefinition(definition);
    ASSERT_TRUE(status.ok()) << "seed " << seed << ": " << status.error().message();
    const std::string text = FormatDefinition(definition);
    const auto read = ParseDefinition(text, "f");
    ASSERT_TRUE(read.ok()) << "seed " << seed << ": " << read.error().message() << "\n" << text;
    ASSERT_TRUE(*read == definition)
        << "seed " << seed << ": " << FormatChanges(DiffDefinitions(definition, *read)) << text;
    EXPECT_EQ(FormatDefinition(*read), text);
  }
}

TEST(FormatFileTest, RecordsAreReadAsTheSame) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Definition definition = RandomDefinition(seed);
    const std::string json = FormatDefinitionJson(definition);
    EXPECT_EQ(json.find('\n'), std::string::npos);
    const auto read = ParseDefinitionJson(json);
    ASSERT_TRUE(read.ok()) << "seed " << seed << ": " << read.error().message() << "\n" << json;
    ASSERT_TRUE(*read == definition) << "seed " << seed << ": " << json;
  }
}

TEST(FormatFileTest, DefaultsAreLeftOutAndShortThingsTakeOneLine) {
  Definition definition;
  definition.name = "spark";
  definition.volumes = {{"data"}};
  definition.lifetime = std::chrono::hours(48);
  Role& master = definition.roles.emplace_back();
  master.name = "master";
  master.image = "alice/spark:3.5";
  master.ports = {{7077, 0, Protocol::kTcp}, {8080, 18080, Protocol::kTcp}};
  master.hooks.on_create = Hook{{"/bin/sh", "-c", "set -e\nstart-master\n"}};
  master.ready = ReadyCheck{{}, 7077};
  Role& worker = definition.roles.emplace_back();
  worker.name = "worker";
  worker.count = 3;
  worker.image = "alice/spark:3.5";
  worker.limits = {1.5, 4ull << 30, 0, 10ull << 30, 100'000'000, 0};
  worker.env = {{"A", "yes"}, {"B", "x: y"}};
  worker.after = {"master"};
  worker.volumes = {{"data", "/srv/data", true}};
  EXPECT_EQ(FormatDefinition(definition), R"(name: spark
lifetime: 2d
volumes: [data]
roles:
  master:
    image: alice/spark:3.5
    hooks:
      on-create: |
        set -e
        start-master
    ready: {tcp: 7077}
    ports: [7077, {node: 8080, host: 18080}]
  worker:
    count: 3
    image: alice/spark:3.5
    limits: {cpus: 1.5, memory: 4G, disk: 10G, network: 100Mbit}
    env: {A: "yes", B: "x: y"}
    after: [master]
    volumes: [data:/srv/data:ro]
)");
}

TEST(FormatFileTest, OneRoleThatNobodyNamedStandsAtTheTop) {
  Definition definition;
  definition.name = "lab";
  Role& role = definition.roles.emplace_back();
  role.name = kDefaultRole;
  role.image = "debian";
  role.count = 3;
  EXPECT_EQ(FormatDefinition(definition), "name: lab\nnodes: 3\nimage: debian\n");
  EXPECT_EQ(FormatDefinitionJson(definition),
            R"({"version":1,"name":"lab","roles":{"node":{"count":3,"image":"debian"}}})");
}

TEST(FormatFileTest, RecordsThatAreNoneAreCorrupt) {
  const std::string good = R"({"version":1,"name":"lab","roles":{"node":{"image":"debian"}}})";
  ASSERT_TRUE(ParseDefinitionJson(good).ok());
  for (const std::string& bad :
       {std::string(), std::string("{"), std::string("[]"), std::string("name: lab\nimage: a\n"),
        std::string(R"({"name":"lab","image":"debian"})"),
        std::string(R"({"version":2,"name":"lab","image":"debian"})"),
        std::string(R"({"version":1,"name":"lab","image":"debian","image":"b"})"),
        std::string(R"({"version":1,"name":"lab\u0000","image":"debian"})"), good + "{}",
        good.substr(0, good.size() - 1), std::string(100'000, '['), "\xff" + good}) {
    const auto read = ParseDefinitionJson(bad);
    ASSERT_FALSE(read.ok()) << bad;
    EXPECT_EQ(read.error().code(), Code::kCorrupt);
    EXPECT_THAT(read.error().message(), StartsWith("the definition")) << bad;
  }
}

TEST(FormatFileTest, EqualDefinitionsHaveEqualTexts) {
  const auto a = ParseDefinition("name: a\nimage: b\nenv: {X: 1, A: 2}\nnodes: 1\n", "a");
  const auto b = ParseDefinition("env: {A: '2', X: \"1\"}\nimage: 'b'\nname: a\n", "b");
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(FormatDefinition(*a), FormatDefinition(*b));
  EXPECT_EQ(FormatDefinitionJson(*a), FormatDefinitionJson(*b));
}

}  // namespace
}  // namespace strata::vcluster
