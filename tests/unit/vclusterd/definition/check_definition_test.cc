#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "vclusterd/definition/definition.h"

namespace strata::vcluster {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::StartsWith;

Definition Good() {
  Definition definition;
  definition.name = "lab";
  definition.volumes = {{"data"}};
  for (const char* name : {"a", "b"}) {
    Role& role = definition.roles.emplace_back();
    role.name = name;
    role.image = "debian";
  }
  return definition;
}

// What is said of a good definition after `change`; empty: nothing.
std::string Said(const std::function<void(Definition&)>& change) {
  Definition definition = Good();
  change(definition);
  const Status status = CheckDefinition(definition);
  if (status.ok()) return "";
  EXPECT_EQ(status.error().code(), Code::kInvalidArgument);
  return status.error().message();
}
std::string SaidOfRole(const std::function<void(Role&)>& change) {
  return Said([&](Definition& definition) { change(definition.roles[0]); });
}

TEST(CheckDefinitionTest, AGoodDefinitionIsAccepted) {
  EXPECT_EQ(Said([](Definition&) {}), "");
}

TEST(CheckDefinitionTest, NamesAreHostNames) {
  for (const char* name : {"", "A", "1a", "-a", "a-", "a_b", "a.b", "a b"}) {
    EXPECT_FALSE(CheckClusterName(name).ok()) << name;
    EXPECT_THAT(Said([&](Definition& d) { d.name = name; }), StartsWith("name: "));
    EXPECT_THAT(Said([&](Definition& d) { d.roles[0].name = name; }),
                HasSubstr("cannot be the name of a role"));
    EXPECT_THAT(Said([&](Definition& d) { d.volumes[0].name = name; }), StartsWith("volumes[0]: "));
  }
  EXPECT_TRUE(CheckClusterName(std::string(kNameSizeMax, 'a')).ok());
  EXPECT_FALSE(CheckClusterName(std::string(kNameSizeMax + 1, 'a')).ok());
  EXPECT_THAT(Said([](Definition& d) { d.roles[1].name = "a"; }),
              HasSubstr("roles.a: is there twice"));
  EXPECT_THAT(Said([](Definition& d) { d.volumes.push_back({"data"}); }),
              HasSubstr("'data' is there twice"));
}

TEST(CheckDefinitionTest, ReferencesNameWhatIsThere) {
  EXPECT_EQ(Said([](Definition& d) {
              d.roles[0].name = "master";
              d.roles[1].after = {"mater"};
            }),
            "roles.b.after: there is no role 'mater' (did you mean 'master'?)");
  EXPECT_EQ(SaidOfRole([](Role& role) { role.placement.near = {"zzz"}; }),
            "roles.a.placement.near: there is no role 'zzz'");
  EXPECT_EQ(SaidOfRole([](Role& role) {
              role.volumes = {{"dta", "/srv", false}};
            }),
            "roles.a.volumes[0]: there is no volume 'dta' (did you mean 'data'?)");
  EXPECT_EQ(SaidOfRole([](Role& role) { role.volumes = {{"home", "/srv", false}}; }), "");
  EXPECT_EQ(SaidOfRole([](Role& role) { role.placement.near = role.placement.apart = {"b"}; }),
            "roles.a.placement: 'b' cannot be both near and apart");
  EXPECT_EQ(SaidOfRole([](Role& role) { role.after.assign(65, "b"); }),
            "roles.a.after: has 65 entries: at most 64");
}

TEST(CheckDefinitionTest, RolesDoNotWaitForEachOther) {
  EXPECT_EQ(SaidOfRole([](Role& role) { role.after = {"a"}; }),
            "roles.a.after: these roles wait for each other: a after a");
  EXPECT_EQ(Said([](Definition& d) {
              d.roles[0].after = {"b"};
              d.roles[1].after = {"c"};
              d.roles.push_back(d.roles[0]);
              d.roles[2].name = "c";
            }),
            "roles.b.after: these roles wait for each other: b after c after b");
  EXPECT_EQ(Said([](Definition& d) {  // Two ways to the same role are no circle.
              d.roles.push_back(d.roles[0]);
              d.roles[2].name = "c";
              d.roles[0].after = {"b", "c"};
              d.roles[1].after = {"c"};
            }),
            "");
}

TEST(CheckDefinitionTest, NodesAreCountedWithAllRolesAtTheirLargest) {
  EXPECT_EQ(Said([](Definition& d) { d.roles[0].count = 249; }), "");
  EXPECT_EQ(Said([](Definition& d) { d.roles[0].count = 250; }),
            "roles.a.count: 251 nodes in all, but a Vcluster has at most 250");
  EXPECT_EQ(Said([](Definition& d) { d.roles[0].count = d.roles[1].count = UINT32_MAX; }),
            "roles.a.count: 8589934590 nodes in all, but a Vcluster has at most 250");
  EXPECT_EQ(Said([](Definition& d) {
              d.roles[0].autoscale = Autoscale{1, 200, 50};
              d.roles[1].autoscale = Autoscale{1, 51, 50};
            }),
            "roles.a.count: 251 nodes when all roles are at their largest, but a Vcluster has at "
            "most 250");
  EXPECT_EQ(Said([](Definition& d) { d.roles[0].count = d.roles[1].count = 0; }),
            "roles.a.count: there is no node in the Vcluster");
  EXPECT_EQ(Said([](Definition& d) { d.roles.clear(); }), "roles: there is no role in it");
  EXPECT_EQ(Said([](Definition& d) { d.roles.resize(kRolesMax + 1); }),
            "roles: more than 64 roles");
}

TEST(CheckDefinitionTest, PortsThatCannotBeHadTwiceAreRefused) {
  const PortForward web{80, 8080, Protocol::kTcp};
  EXPECT_EQ(SaidOfRole([&](Role& role) { role.ports = {web, {80, 8080, Protocol::kUdp}}; }), "");
  EXPECT_THAT(SaidOfRole([&](Role& role) {
                role.ports = {web, {80, 0, Protocol::kTcp}};
              }),
              StartsWith("roles.a.ports[1]: forwards the node's port 80 again"));
  EXPECT_EQ(Said([&](Definition& d) { d.roles[0].ports = d.roles[1].ports = {web}; }),
            "roles.b.ports[0]: the host's port 8080 is taken by role 'a'");
  EXPECT_THAT(SaidOfRole([&](Role& role) {
                role.ports = {web};
                role.autoscale = Autoscale{1, 2, 50};
              }),
              StartsWith("roles.a.ports[0]: one port of the host, 8080, for up to 2 nodes"));
  EXPECT_THAT(SaidOfRole([&](Role& role) { role.ports = {{}}; }), HasSubstr("has no port"));
}

TEST(CheckDefinitionTest, ABalancedPortOfTheHostMayBeOfManyNodes) {
  const PortForward web{80, 8080, Protocol::kTcp, Balance::kRoundRobin};
  EXPECT_EQ(SaidOfRole([&](Role& role) {
              role.count = 5;
              role.ports = {web};
            }),
            "");
  EXPECT_EQ(Said([&](Definition& d) { d.roles[0].ports = d.roles[1].ports = {web}; }),
            "roles.b.ports[0]: the host's port 8080 is taken by role 'a'");
}

TEST(CheckDefinitionTest, WhatIsAcceptedNamesRolesAndPorts) {
  const auto said = [](std::vector<Accept> accept) {
    return SaidOfRole([&](Role& role) { role.accept = std::move(accept); });
  };
  EXPECT_EQ(said({}), "");
  EXPECT_EQ(said({{{"a", "b", "outside"}, {{80, 80}, {1, 65'535}}, {{53, 53}}, true}, {}}), "");
  EXPECT_EQ(said({{}, {{"bb"}}}), "roles.a.accept[1].from: there is no role 'bb'");
  EXPECT_EQ(said({{{"b", "b"}}}), "roles.a.accept[0].from: 'b' is there twice");
  EXPECT_EQ(said({{std::vector<std::string>()}}),
            "roles.a.accept[0].from: is an empty list: from nobody");
  EXPECT_EQ(said({{{"b"}, {{80, 79}}}}),
            "roles.a.accept[0].tcp: 80-79 are no ports (such as 8000-8010)");
  EXPECT_EQ(said({{{"b"}, {}, {{0, 79}}}}),
            "roles.a.accept[0].udp: 0-79 are no ports (such as 8000-8010)");
  EXPECT_EQ(Said([](Definition& d) {
              d.roles[1].name = "outside";
              d.roles[0].accept.emplace();
            }),
            "roles.a.accept: there is a role 'outside', which is no role here: call it something "
            "else");
  // 16 times 64 ports, from one.
  const Accept many{{"b"}, std::vector<PortRange>(64, {80, 80})};
  EXPECT_EQ(said(std::vector<Accept>(15, many)), "");
  EXPECT_EQ(said(std::vector<Accept>(16, many)),
            "roles.a.accept: 1025 rules in all roles, one for each source and each port or range "
            "of ports: at most 1000");
}

TEST(CheckDefinitionTest, PeersAreOtherVclusters) {
  const auto said = [](std::vector<std::string> peers) {
    return Said([&](Definition& d) { d.peers = std::move(peers); });
  };
  EXPECT_EQ(said({"storage", "bob/lab", "bob/storage"}), "");
  EXPECT_EQ(said({"lab"}), "peers: 'lab' is this one itself");
  EXPECT_EQ(said({"bob/x", "bob/x"}), "peers: 'bob/x' is there twice");
  for (const char* bad : {"", "/", "bob/", "/x", "a/b/c", "B", "bob x/a"}) {
    EXPECT_EQ(said({bad}), "peers: '" + std::string(bad) +
                               "' names no Vcluster (such as storage or alice/storage)");
  }
  EXPECT_EQ(said(std::vector<std::string>(17, "x")), "peers: has 17 entries: at most 16");
}

TEST(CheckDefinitionTest, LimitsAreWithinWhatHostsCanDo) {
  EXPECT_TRUE(CheckLimits({}).ok());
  EXPECT_TRUE(CheckLimits({0.01, 4 << 20, 8, 0, 8000, 64 << 10}).ok());
  EXPECT_EQ(CheckLimits({.cpus = 5000}).error().message(),
            "limits.cpus: 5000 is too much: at most 4096");
  EXPECT_FALSE(CheckLimits({.cpus = std::nan("")}).ok());
  EXPECT_FALSE(CheckLimits({.cpus = -1}).ok());
  EXPECT_FALSE(CheckLimits({.cpus = 0.001}).ok());
  EXPECT_FALSE(CheckLimits({.memory_bytes = 1}).ok());
  EXPECT_FALSE(CheckLimits({.memory_bytes = (1ull << 50) + 1}).ok());
  EXPECT_FALSE(CheckLimits({.processes = 7}).ok());
  EXPECT_FALSE(CheckLimits({.disk_bytes = 1 << 20}).ok());
  EXPECT_FALSE(CheckLimits({.network_bits_per_s = 1}).ok());
  EXPECT_FALSE(CheckLimits({.io_bytes_per_s = 1}).ok());
}

TEST(CheckDefinitionTest, AMountIsAbsoluteCanonicalAndHidesNoOther) {
  const auto said = [](const std::vector<VolumeMount>& mounts) {
    return SaidOfRole([&](Role& role) { role.volumes = mounts; });
  };
  for (const char* path : {"", "srv", "/", "/a/", "//a", "/a/./b", "/a/..", "/../a", "/a:b",
                           "/proc", "/sys/fs", "/dev", "/a\nb"}) {
    EXPECT_THAT(said({{"data", path, false}}), StartsWith("roles.a.volumes[0]: the path")) << path;
  }
  for (const char* path : {"/a", "/a/..b", "/a/.b", "/process", "/größe"}) {
    EXPECT_EQ(said({{"data", path, false}}), "") << path;
  }
  EXPECT_THAT(said({{"data", "/a", false}, {"home", "/a", false}}), HasSubstr("already"));
  EXPECT_EQ(said({{"data", "/a/b", false}, {"home", "/a", false}}),
            "roles.a.volumes[1]: '/a' would hide '/a/b': write it before that");
  EXPECT_EQ(said({{"data", "/a", false}, {"home", "/a/b", false}}), "");
}

TEST(CheckDefinitionTest, ImagesAreNamedAsImagedNamesThem) {
  const auto said = [](const std::string& image) {
    return SaidOfRole([&](Role& role) { role.image = image; });
  };
  for (const char* image :
       {"debian", "a/b:c", "a/b", "b:1.2-x_y", "a/b@blake3:0123456789abcdef", "b@01234567"}) {
    EXPECT_EQ(said(image), "") << image;
  }
  for (const char* image : {"a/b/c", "/b", "a/", "a:", "a:b:c", "a@0123", "a@xyz45678", ".a", "a b",
                            "docker://a/b", "a@blake3:"}) {
    EXPECT_THAT(said(image), HasSubstr("is no name of an image")) << image;
  }
  EXPECT_THAT(said(""), HasSubstr("is missing"));
}

TEST(CheckDefinitionTest, CommandsHooksAndChecksAreWhole) {
  EXPECT_THAT(SaidOfRole([](Role& role) { role.hooks.on_create.emplace(); }),
              HasSubstr("roles.a.hooks.on-create: has no command"));
  EXPECT_THAT(SaidOfRole([](Role& role) {
                role.hooks.on_destroy = Hook{{"a"}, seconds(0)};
              }),
              HasSubstr("0s is too little: at least 1s"));
  EXPECT_THAT(SaidOfRole([](Role& role) {
                role.command = {"", "a"};
              }),
              HasSubstr("begins with an empty word"));
  EXPECT_THAT(SaidOfRole([](Role& role) { role.command = {std::string("a\0", 2)}; }),
              HasSubstr("control characters"));
  EXPECT_THAT(SaidOfRole([](Role& role) { role.command.assign(300, "a"); }),
              HasSubstr("has 300 entries: at most 256"));
  EXPECT_THAT(SaidOfRole([](Role& role) { role.ready.emplace(); }), HasSubstr("says neither"));
  EXPECT_THAT(SaidOfRole([](Role& role) {
                role.ready = ReadyCheck{{"a"}, 1};
              }),
              HasSubstr("says both"));
  EXPECT_THAT(SaidOfRole([](Role& role) {
                role.ready = ReadyCheck{{"a"}, 0, seconds(10), seconds(5)};
              }),
              HasSubstr("10s is longer than the timeout, 5s"));
}

TEST(CheckDefinitionTest, VariablesHaveNamesThatAShellKnows) {
  for (const char* name : {"", "1A", "A-B", "A=B", "ä"}) {
    EXPECT_THAT(SaidOfRole([&](Role& role) { role.env[name] = "x"; }),
                HasSubstr("is no name of a variable"))
        << name;
  }
  EXPECT_THAT(SaidOfRole([](Role& role) { role.env["A"] = "\x1b"; }),
              HasSubstr("roles.a.env.A: holds control characters"));
  EXPECT_EQ(SaidOfRole([](Role& role) {
              role.env = {{"A", std::string(40'000, 'x')}, {"B", std::string(40'000, 'x')}};
            }),
            "roles.a.env: has 80002 bytes in all: at most 65536");
}

TEST(CheckDefinitionTest, ScalingFollowsOneNumberBetweenItsBounds) {
  const auto said = [](const Autoscale& scale) {
    return SaidOfRole([&](Role& role) { role.autoscale = scale; });
  };
  EXPECT_EQ(said({1, 3, 70}), "");
  EXPECT_EQ(said({1, 3, 0, {"queue"}, 5}), "");
  EXPECT_THAT(said({1, 3}), HasSubstr("says neither 'cpu' (percent) nor 'run'"));
  EXPECT_THAT(said({1, 3, 70, {"queue"}, 5}), HasSubstr("says both"));
  EXPECT_THAT(said({1, 3, 0, {"queue"}}), HasSubstr("autoscale.target: is missing"));
  EXPECT_THAT(said({1, 3, 70, {}, 5}), HasSubstr("is of no use without 'run'"));
  EXPECT_THAT(said({1, 3, 101}), HasSubstr("is no percentage"));
  EXPECT_THAT(said({1, 3, std::nan("")}), HasSubstr("is no percentage"));
  EXPECT_THAT(said({1, 3, 0, {"queue"}, -5}), HasSubstr("is not above 0"));
  EXPECT_THAT(said({3, 2, 70}), HasSubstr("2 is less than min, 3"));
  EXPECT_THAT(said({0, 2, 70}), HasSubstr("autoscale.min: 0 is too little"));
  EXPECT_THAT(said({2, 3, 70}), HasSubstr("roles.a.count: 1 is not between"));
}

TEST(CheckDefinitionTest, WhatNodesMayAskForIsWithinAVcluster) {
  const auto said = [](const ScaleFromNodes& scale) {
    return SaidOfRole([&](Role& role) { role.scale_from_nodes = scale; });
  };
  EXPECT_EQ(said({0, 1}), "");
  EXPECT_EQ(said({2, 2}), "");  // The owner's own count may be another.
  EXPECT_EQ(said({3, 2}), "roles.a.scale-from-nodes.max: 2 is less than min, 3");
  EXPECT_THAT(said({0, 0}), HasSubstr("scale-from-nodes.max: 0 is too little"));
  EXPECT_THAT(said({1, 251}), HasSubstr("scale-from-nodes.max: 251 is too much"));
}

TEST(CheckDefinitionTest, PlacementIsWithinItsBounds) {
  EXPECT_THAT(SaidOfRole([](Role& role) { role.placement.priority = 101; }),
              HasSubstr("placement.priority: 101 is not from -100 to 100"));
  EXPECT_THAT(SaidOfRole([](Role& role) { role.placement.require = {"gpu a"}; }),
              HasSubstr("placement.require[0]: 'gpu a' is no label of a host"));
  EXPECT_THAT(SaidOfRole([](Role& role) {
                role.placement.require = {"ssd", "ssd"};
              }),
              HasSubstr("is there twice"));
}

TEST(CheckDefinitionTest, ALifeHasOneEndWithinReason) {
  EXPECT_THAT(Said([](Definition& d) {
                d.lifetime = seconds(3600);
                d.expires = std::chrono::sys_seconds(seconds(1'900'000'000));
              }),
              HasSubstr("lifetime: there is 'expires' already"));
  EXPECT_THAT(Said([](Definition& d) { d.expires = std::chrono::sys_seconds(); }),
              HasSubstr("expires: is not between"));
  EXPECT_THAT(Said([](Definition& d) { d.lifetime = seconds(10); }),
              HasSubstr("lifetime: 10s is not from 1m to 3650d"));
  EXPECT_THAT(Said([](Definition& d) { d.idle_stop = seconds(0); }), HasSubstr("idle-stop: 0s"));
}

TEST(CheckDefinitionTest, NoVclusterHasMoreNodesThanItSays) {
  EXPECT_THAT(Said([](Definition& d) { d.nodes_max = 0; }), HasSubstr("nodes-max: 0 is not"));
  EXPECT_THAT(Said([](Definition& d) { d.nodes_max = 251; }), HasSubstr("nodes-max: 251 is not"));
  EXPECT_THAT(Said([](Definition& d) {
                d.nodes_max = 3;
                d.roles[0].count = 4;
              }),
              HasSubstr("5 nodes in all, but nodes-max is 3"));
}

TEST(CheckDefinitionTest, NoMessageCarriesControlCharacters) {
  const std::string said = Said([](Definition& d) {
    d.name = "\x1b[2J";
    d.description = "\x1b";
    d.roles[0].name = "\x1b";
    d.roles[0].image = "\x1b";
    d.roles[1].env["\x1b"] = "\x1b";
    d.roles[1].after = {"\x1b"};
    d.roles[1].volumes = {{"\x1b", "/\x1b", false}};
    d.roles[1].placement.require = {"\x1b"};
  });
  EXPECT_EQ(said.find('\x1b'), std::string::npos);
  EXPECT_THAT(said, HasSubstr("\\x1b"));
}

}  // namespace
}  // namespace strata::vcluster
