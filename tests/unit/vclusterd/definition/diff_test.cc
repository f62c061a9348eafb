#include "vclusterd/definition/diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vclusterd/definition/random_definition.h"
#include "vclusterd/definition/parse_file.h"

namespace strata::vcluster {
namespace {

using testing::ElementsAre;
using enum ChangeEffect;

Definition Parse(std::string_view text) {
  const auto definition = ParseDefinition(text, "f");
  EXPECT_TRUE(definition.ok()) << definition.error().message();
  return definition.ok() ? *definition : Definition();
}

std::vector<DefinitionChange> Diff(std::string_view from, std::string_view to) {
  return DiffDefinitions(Parse(from), Parse(to));
}

TEST(DiffTest, EachKindOfChangeHasItsEffect) {
  EXPECT_THAT(
      Diff("name: a\nimage: b\nroles:\n  w: {count: 3, limits: {memory: 1G}, env: {A: 1, B: 2}}\n",
           "name: c\nimage: d\nroles:\n"
           "  w: {count: 5, limits: {memory: 2G, cpus: 2}, env: {A: 1, C: x y}, restart: always,\n"
           "      hooks: {on-create: hello}, command: serve, ports: [80], autoscale: {max: 9, cpu: "
           "50},\n"
           "      placement: {priority: 1, near: w}}\n"),
      ElementsAre(DefinitionChange{"name", "a", "c", kRefused},
                  DefinitionChange{"roles.w.count", "3", "5", kLive},
                  DefinitionChange{"roles.w.image", "b", "d", kRecreate},
                  DefinitionChange{"roles.w.limits.cpus", "0", "2", kLive},
                  DefinitionChange{"roles.w.limits.memory", "1G", "2G", kLive},
                  DefinitionChange{"roles.w.env.B", "\"2\"", "", kNextStart},
                  DefinitionChange{"roles.w.env.C", "", "x y", kNextStart},
                  DefinitionChange{"roles.w.command", "", "serve", kNextStart},
                  DefinitionChange{"roles.w.hooks.on-create", "", "hello", kNextStart},
                  DefinitionChange{"roles.w.ports", "", "[80]", kLive},
                  DefinitionChange{"roles.w.placement.near", "", "[w]", kLive},
                  DefinitionChange{"roles.w.placement.priority", "0", "1", kLive},
                  DefinitionChange{"roles.w.restart", "on-failure", "always", kLive},
                  DefinitionChange{"roles.w.autoscale.min", "", "1", kLive},
                  DefinitionChange{"roles.w.autoscale.max", "", "9", kLive},
                  DefinitionChange{"roles.w.autoscale.cpu", "", "50", kLive}));
}

TEST(DiffTest, WhatNodesMayAskForChangesAtOnce) {
  const std::string plain = "name: a\nimage: b\n";
  EXPECT_THAT(Diff(plain, plain + "scale-from-nodes: true\n"),
              ElementsAre(DefinitionChange{"roles.node.scale-from-nodes", "", "true", kLive}));
  EXPECT_THAT(Diff(plain + "scale-from-nodes: {max: 5}\n", plain + "scale-from-nodes: {max: 6}\n"),
              ElementsAre(DefinitionChange{"roles.node.scale-from-nodes.max", "5", "6", kLive}));
  EXPECT_THAT(Diff(plain + "scale-from-nodes: true\n", plain + "scale-from-nodes: false\n"),
              ElementsAre(DefinitionChange{"roles.node.scale-from-nodes", "true", "", kLive}));
}

TEST(DiffTest, WhoMayTalkWithWhomChangesAtOnce) {
  const std::string plain = "name: a\nimage: b\n";
  EXPECT_THAT(Diff(plain, plain + "accept: []\n"),
              ElementsAre(DefinitionChange{"roles.node.accept", "", "[]", kLive}));
  EXPECT_THAT(
      Diff(plain + "accept: [node]\n", plain + "accept: [{from: any, tcp: [80-80, 90-91]}]\n"),
      ElementsAre(DefinitionChange{"roles.node.accept", "[node]",
                                   "[{from: any, tcp: [80, \"90-91\"]}]", kLive}));
  EXPECT_THAT(Diff(plain + "peers: b\n", plain + "peers: [b, c/d]\n"),
              ElementsAre(DefinitionChange{"peers", "[b]", "[b, c/d]", kLive}));
  EXPECT_THAT(Diff(plain + "ports: [80]\n", plain + "ports: [{node: 80, balance: true}]\n"),
              ElementsAre(DefinitionChange{"roles.node.ports", "[80]",
                                           "[{node: 80, balance: round-robin}]", kLive}));
}

TEST(DiffTest, RolesAndVolumesComeAndGo) {
  EXPECT_THAT(Diff("name: a\nimage: b\nvolumes: [x]\nroles: {w: , m: {count: 2}}\n",
                   "name: a\nimage: b\nvolumes: [y]\nroles: {n: {count: 1}, w: }\n"),
              ElementsAre(DefinitionChange{"volumes.y", "", "new", kNextStart},
                          DefinitionChange{"volumes.x", "its data", "", kNextStart},
                          DefinitionChange{"roles.n", "", "1 node of b", kLive},
                          DefinitionChange{"roles.m", "2 nodes of b", "", kLive}));
}

TEST(DiffTest, AnotherOrderOfRolesIsAChange) {
  EXPECT_THAT(
      Diff("name: a\nimage: b\nroles: {w: , m: }\n", "name: a\nimage: b\nroles: {m: , w: }\n"),
      ElementsAre(DefinitionChange{"roles", "[w, m]", "[m, w]", kLive}));
}

TEST(DiffTest, TheDiffIsEmptyExactlyWhenNothingDiffers) {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    const Definition from = RandomDefinition(seed);
    EXPECT_TRUE(DiffDefinitions(from, from).empty());
    // A change in one corner of a definition: a role of another one in its place.
    Definition to = from;
    const Definition other = RandomDefinition(seed + 1);
    to.roles.back() = other.roles[0];
    to.roles.back().name = from.roles.back().name;
    EXPECT_EQ(DiffDefinitions(from, to).empty(), from == to) << "seed " << seed;
    to = from;
    to.volumes = other.volumes;
    EXPECT_EQ(DiffDefinitions(from, to).empty(), from == to) << "seed " << seed;
    to = from;
    to.lifetime = other.lifetime;
    to.description = other.description;
    EXPECT_EQ(DiffDefinitions(from, to).empty(), from == to) << "seed " << seed;
  }
}

TEST(DiffTest, ChangesAreShownInALineEach) {
  const auto changes = Diff("name: a\nimage: b\nroles: {w: {count: 3}}\n",
                            "name: a\nimage: b\nroles:\n  w:\n    count: 5\n    hooks:\n"
                            "      on-create: |\n        one\n        two\n");
  EXPECT_EQ(FormatChanges(changes),
            "roles.w.count: 3 -> 5 (at once)\n"
            "roles.w.hooks.on-create: (none) -> \"one\\ntwo\\n\" (when a node starts next)\n");
  EXPECT_EQ(FormatChanges({}), "");
}

}  // namespace
}  // namespace strata::vcluster
