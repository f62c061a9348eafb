#include "vclusterd/definition/parse_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vclusterd/definition/document.h"

namespace strata::vcluster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

Definition Parse(std::string_view text) {
  const auto definition = ParseDefinition(text, "f.yaml");
  EXPECT_TRUE(definition.ok()) << definition.error().message();
  if (definition.ok()) return *definition;
  Definition none;
  none.roles.resize(3);  // Enough for what tests look at.
  return none;
}

// Its message; empty when there is none.
std::string Refusal(std::string_view text) {
  const auto definition = ParseDefinition(text, "f.yaml");
  if (definition.ok()) return "";
  EXPECT_EQ(definition.error().code(), Code::kInvalidArgument);
  return definition.error().message();
}

std::vector<std::string> Shell(const std::string& script) { return {"/bin/sh", "-c", script}; }

constexpr std::string_view kSpark = R"(
name: spark
description: Spark for the course
image: alice/spark:3.5
roles:
  master:
    ports: [{node: 8080, host: 18080, protocol: udp}, 4040]
    placement: least-requested
    hooks: {on-create: {run: "start-master.sh", timeout: 2m}, on-destroy: [bye, 1]}
    ready: {tcp: 7077, timeout: 60s, every: 500ms}
    volumes: ["data:/srv/data:ro", {volume: home, path: /home/me}]
    restart: always
    on-host-loss: recreate
    migration: stop-start
  worker:
    count: 3
    after: [master]
    limits: {cpus: 1.5, memory: 4G, disk: 10G, processes: 1024, network: 100Mbit, io: 50M}
    env: {SPARK_MASTER: "spark://master-0:7077", CORES: 2, DEBUG: true}
    command: ["sleep", 60]
    ready: test -e /ready
    placement:
      {rank: spread, near: [master], apart: worker, strict: true, require: [ssd], priority: -5}
    scale-in: idlest
    autoscale: {min: 1, max: 10, cpu: 70, every: 1m, shrink-after: 10m}
    scale-from-nodes: {min: 2, max: 8}
volumes: [data]
expires: 2026-12-31T18:00:00+08:00
on-expiry: delete
idle-stop: 2h
)";

TEST(ParseFileTest, EveryKeyOfTheWholeIsRead) {
  const Definition spark = Parse(kSpark);
  EXPECT_EQ(spark.name, "spark");
  EXPECT_EQ(spark.description, "Spark for the course");
  EXPECT_THAT(spark.volumes, ElementsAre(Volume{"data"}));
  EXPECT_EQ(spark.expires->time_since_epoch(), seconds(1798711200));  // date -d 2026-12-31T10Z +%s
  EXPECT_EQ(spark.lifetime, std::nullopt);
  EXPECT_EQ(spark.on_expiry, ExpiryAction::kDelete);
  EXPECT_EQ(spark.idle_stop, std::chrono::hours(2));
  ASSERT_EQ(spark.roles.size(), 2u);
  EXPECT_EQ(spark.NodeCount(), 4u);
}

TEST(ParseFileTest, EveryKeyOfARoleIsRead) {
  const Definition spark = Parse(kSpark);
  const Role& master = spark.roles[0];
  EXPECT_EQ(master.name, "master");
  EXPECT_EQ(master.image, "alice/spark:3.5");
  EXPECT_EQ(master.count, 1u);
  EXPECT_THAT(master.ports, ElementsAre(PortForward{8080, 18080, Protocol::kUdp},
                                        PortForward{4040, 0, Protocol::kTcp}));
  EXPECT_EQ(master.placement.rank, Rank::kLeastRequested);
  EXPECT_EQ(master.hooks.on_create, (Hook{Shell("start-master.sh"), seconds(120)}));
  EXPECT_EQ(master.hooks.on_destroy, (Hook{{"bye", "1"}}));
  EXPECT_EQ(master.hooks.on_recovery, std::nullopt);
  EXPECT_EQ(master.ready, (ReadyCheck{{}, 7077, milliseconds(500), seconds(60)}));
  EXPECT_THAT(master.volumes, ElementsAre(VolumeMount{"data", "/srv/data", true},
                                          VolumeMount{"home", "/home/me", false}));
  EXPECT_EQ(master.restart, RestartPolicy::kAlways);
  EXPECT_EQ(master.host_loss, HostLoss::kRecreate);
  EXPECT_EQ(master.migration, MigrationPolicy::kStopStart);
  const Role& worker = spark.roles[1];
  EXPECT_EQ(worker.count, 3u);
  EXPECT_THAT(worker.after, ElementsAre("master"));
  EXPECT_EQ(worker.limits, (Limits{1.5, 4ull << 30, 1024, 10ull << 30, 100'000'000, 50ull << 20}));
  EXPECT_EQ(worker.env,
            (std::map<std::string, std::string>{
                {"SPARK_MASTER", "spark://master-0:7077"}, {"CORES", "2"}, {"DEBUG", "true"}}));
  EXPECT_THAT(worker.command, ElementsAre("sleep", "60"));
  EXPECT_EQ(worker.ready->argv, Shell("test -e /ready"));
  EXPECT_EQ(worker.placement,
            (Placement{Rank::kSpread, {"master"}, {"worker"}, true, {"ssd"}, -5}));
  EXPECT_EQ(worker.scale_in, ScaleIn::kIdlest);
  EXPECT_EQ(worker.autoscale, (Autoscale{1, 10, 70, {}, 0, seconds(60), seconds(600)}));
  EXPECT_EQ(worker.scale_from_nodes, (ScaleFromNodes{2, 8}));
}

TEST(ParseFileTest, NodesMayAskForNothingUnlessTheFileSaysSo) {
  EXPECT_FALSE(Parse("name: a\nimage: b\n").ScalesFromNodes());
  EXPECT_FALSE(Parse("name: a\nimage: b\nscale-from-nodes: false\n").ScalesFromNodes());
  const Definition all = Parse(
      "name: a\nimage: b\nscale-from-nodes: true\nroles: {m: {scale-from-nodes: false}, w: }\n");
  EXPECT_EQ(all.roles[0].scale_from_nodes, std::nullopt);
  EXPECT_EQ(all.roles[1].scale_from_nodes, (ScaleFromNodes{1, kNodesMax}));
  EXPECT_TRUE(all.ScalesFromNodes());
}

TEST(ParseFileTest, WithoutRolesTheFileIsOneRoleCalledNode) {
  const Definition lab = Parse(
      "name: lab\nimage: debian\nnodes: 3\nlimits: {memory: 512M}\ncommand: serve\n"
      "placement: spread\nports: [80]\nautoscale: {max: 5, run: queue-length, target: 10}\n");
  ASSERT_EQ(lab.roles.size(), 1u);
  const Role& role = lab.roles[0];
  EXPECT_EQ(role.name, "node");
  EXPECT_EQ(role.count, 3u);
  EXPECT_EQ(role.limits.memory_bytes, 512u << 20);
  EXPECT_EQ(role.command, Shell("serve"));
  EXPECT_EQ(role.placement.rank, Rank::kSpread);
  EXPECT_EQ(role.autoscale->argv, Shell("queue-length"));
  EXPECT_EQ(role.autoscale->target_per_node, 10);
}

TEST(ParseFileTest, WhatARoleSaysIsStrongerThanTheDefaultsAtTheTop) {
  const Definition lab = Parse(R"(
roles:
  a:
  b:
    image: other
    limits: {memory: 1G}
    env: {B: role, C: role}
    hooks: {on-destroy: bye}
    restart: never
    volumes: ["scratch:/scratch"]
name: lab
image: debian
limits: {cpus: 2, memory: 512M}
env: {A: top, B: top}
hooks: {on-create: hello}
restart: always
volumes: ["data:/data:ro", scratch, "home:/home/me"]
)");
  const Role& a = lab.roles[0];
  EXPECT_EQ(a.image, "debian");
  EXPECT_EQ(a.limits.memory_bytes, 512u << 20);
  EXPECT_EQ(a.restart, RestartPolicy::kAlways);
  EXPECT_THAT(a.volumes, ElementsAre(VolumeMount{"data", "/data", true},
                                     VolumeMount{"home", "/home/me", false}));
  const Role& b = lab.roles[1];
  EXPECT_EQ(b.image, "other");
  EXPECT_EQ(b.limits.cpus, 2);
  EXPECT_EQ(b.limits.memory_bytes, 1u << 30);
  EXPECT_EQ(b.env,
            (std::map<std::string, std::string>{{"A", "top"}, {"B", "role"}, {"C", "role"}}));
  EXPECT_EQ(b.hooks.on_create->argv, Shell("hello"));
  EXPECT_EQ(b.hooks.on_destroy->argv, Shell("bye"));
  EXPECT_EQ(b.restart, RestartPolicy::kNever);
  EXPECT_THAT(b.volumes, ElementsAre(VolumeMount{"scratch", "/scratch", false}));
  EXPECT_THAT(lab.volumes, ElementsAre(Volume{"data"}, Volume{"scratch"}));
}

TEST(ParseFileTest, WithoutACountARoleThatScalesBeginsWithItsLeast) {
  EXPECT_EQ(Parse("name: a\nimage: b\nautoscale: {min: 2, max: 4, cpu: 50}\n").roles[0].count, 2u);
  EXPECT_EQ(Parse("name: a\nimage: b\nroles:\n  w: {autoscale: {min: 2, max: 4, cpu: 50}}\n")
                .roles[0]
                .count,
            2u);
}

TEST(ParseFileTest, JsonIsYamlToo) {
  const Definition lab = Parse(
      "{\n\t\"name\": \"lab\",\n\t\"image\": \"a\\/b\",\"nodes\":2,"
      "\"description\":\"\\u4e2d\"}");
  EXPECT_EQ(lab.roles[0].image, "a/b");
  EXPECT_EQ(lab.roles[0].count, 2u);
  EXPECT_EQ(lab.description, "中");
  EXPECT_EQ(Parse(R"({"name":"lab","image":"b","description":"\ud83d\ude00"})").description, "😀");
}

TEST(ParseFileTest, ScriptsOfSeveralLinesStayAsTheyAre) {
  const Definition lab = Parse(
      "name: lab\r\nimage: debian\r\nhooks:\r\n  on-create: |\r\n    set -e\r\n      echo a\r\n");
  EXPECT_EQ(lab.roles[0].hooks.on_create->argv, Shell("set -e\n  echo a\n"));
}

TEST(ParseFileTest, TheJsonOfDcsparkBecomesItsThreeRoles) {
  const Definition spark = Parse(
      R"({"image": "alice/spark:3.5",
          "master": {"cpu": 1, "memory": "1G"},
          "driver": {"cpu": 2, "memory": "2G", "image": "alice/driver"},
          "worker": {"cpu": 2.5, "memory": "4G", "number": 6}})");
  EXPECT_EQ(spark.name, "dcspark");
  ASSERT_EQ(spark.roles.size(), 3u);
  const auto& [master, driver, worker] = std::tie(spark.roles[0], spark.roles[1], spark.roles[2]);
  EXPECT_EQ(master.name, "master");
  EXPECT_EQ(master.count, 1u);
  EXPECT_EQ(master.image, "alice/spark:3.5");
  EXPECT_EQ(master.limits.memory_bytes, 1u << 30);
  EXPECT_EQ(master.placement.rank, Rank::kLeastRequested);
  EXPECT_THAT(master.command, ElementsAre("start-spark", "master"));
  EXPECT_EQ(master.ready, (ReadyCheck{{}, 7077, milliseconds(1000), seconds(300)}));
  EXPECT_EQ(driver.name, "driver");
  EXPECT_TRUE(driver.command.empty());
  EXPECT_FALSE(driver.ready.has_value());
  EXPECT_EQ(driver.image, "alice/driver");
  EXPECT_EQ(driver.placement.rank, Rank::kLeastRequested);
  EXPECT_EQ(worker.name, "worker");
  EXPECT_EQ(worker.count, 6u);
  EXPECT_EQ(worker.limits.cpus, 2.5);
  EXPECT_EQ(worker.placement.rank, Rank::kPack);
  EXPECT_THAT(worker.after, ElementsAre("master"));
  EXPECT_THAT(worker.command, ElementsAre("start-spark", "worker"));
  EXPECT_EQ(worker.ready, (ReadyCheck{{}, 8081, milliseconds(1000), seconds(300)}));
  EXPECT_EQ(worker.env.at("SPARK_MASTER_HOST"), "master-0");
  EXPECT_EQ(worker.env.at("SPARK_WORKER_CORES"), "2");
  EXPECT_EQ(worker.env.at("SPARK_WORKER_MEMORY"), "3072m");
}

TEST(ParseFileTest, SmallWorkersOfDcsparkJsonGiveHalfOfTheirMemoryToJobs) {
  const std::string start =
      R"({"master": {"cpu": 1, "memory": "1G"}, "driver": {"cpu": 1, "memory": "1G"},
          "worker": {"cpu": 1, "number": 1, "memory": )";
  EXPECT_EQ(Parse(start + R"("1G"}})").roles[2].env.at("SPARK_WORKER_MEMORY"), "512m");
  // No limit: Spark looks what there is.
  EXPECT_EQ(Parse(start + "0}}").roles[2].env.count("SPARK_WORKER_MEMORY"), 0u);
}

TEST(ParseFileTest, DcsparkJsonWithoutImagesUsesThoseThatThePaperNames) {
  const Definition spark = Parse(
      R"({"name": "tera", "master": {"cpu": 1, "memory": "1G"},
          "driver": {"cpu": 1, "memory": "1G"},
          "worker": {"cpu": 2, "memory": "4G", "number": 6}})");
  EXPECT_EQ(spark.name, "tera");
  EXPECT_EQ(spark.roles[0].image, "dcspark-master");
  EXPECT_EQ(spark.roles[2].image, "dcspark-worker");
}

TEST(ParseFileTest, FaultsOfDcsparkJsonNameItsOwnKeys) {
  EXPECT_EQ(Refusal("{\"master\": {\"cpu\": 1, \"memory\": \"1M\"}, \"driver\": {\"cpu\": 1},\n"
                    " \"worker\": {\"cpu\": -1, \"memory\": \"4G\", \"number\": 600}}"),
            "f.yaml:1:23: master.memory: 1M is too little: at least 4M\n"
            "f.yaml:1:40: driver: has no 'memory'\n"
            "f.yaml:2:13: worker.cpu: -1 is too little: at least 0.01\n"
            "f.yaml:2:40: worker.number: 602 nodes in all, but a Vcluster has at most 250");
}

TEST(ParseFileTest, AFaultHasItsPlaceItsKeyAndItsReason) {
  EXPECT_EQ(Refusal("name: spark\nimage: a\nroles:\n  worker:\n    limits:\n      memory: 4X\n"),
            "f.yaml:6:7: roles.worker.limits.memory: '4X' is no size (such as 512M, 1.5G or "
            "1048576)");
}

TEST(ParseFileTest, AllFaultsAreToldTogetherInTheirOrder) {
  EXPECT_EQ(Refusal("name: Spark_1\nimage: 3.5\nroles:\n  master: {after: [mastr], count: \"1\"}\n"
                    "  worker: {limits: {memory: 1M}, restart: allways}\nlifetime: 8\n"),
            "f.yaml:1:1: name: 'Spark_1' cannot be a Vcluster's name: a lower-case letter, then at "
            "most 39 lower-case letters, digits and '-'\n"
            "f.yaml:2:1: image: '3.5' is a number or a truth value: a text needs quotes\n"
            "f.yaml:4:12: roles.master.after: there is no role 'mastr' (did you mean 'master'?)\n"
            "f.yaml:4:28: roles.master.count: should be a whole number, without quotes\n"
            "f.yaml:5:21: roles.worker.limits.memory: 1M is too little: at least 4M\n"
            "f.yaml:5:34: roles.worker.restart: 'allways' is not on-failure, always or never\n"
            "f.yaml:6:1: lifetime: '8' is no duration (such as 90s, 5m, 8h or 2d)");
}

TEST(ParseFileTest, AfterTwentyFaultsTheRestIsCounted) {
  std::string text = "name: a\nimage: b\n";
  for (int i = 0; i < 25; ++i) text += "zzzzzz" + std::to_string(i) + ": 1\n";
  const std::string refusal = Refusal(text);
  EXPECT_EQ(std::count(refusal.begin(), refusal.end(), '\n'), 20);
  EXPECT_THAT(refusal, EndsWith("\nf.yaml: and 5 more faults"));
}

TEST(ParseFileTest, AnUnknownKeyNamesWhatWasMeant) {
  const auto refusal = [](const std::string& line) {
    return Refusal("name: a\nimage: b\n" + line + "\n");
  };
  EXPECT_EQ(refusal("limits: {memroy: 1G}"),
            "f.yaml:3:10: limits.memroy: there is no such key (did you mean 'memory'?)");
  EXPECT_EQ(refusal("hooks: {on_create: x}"),
            "f.yaml:3:9: hooks.on_create: there is no such key (did you mean 'on-create'?)");
  EXPECT_EQ(refusal("memory: 1G"),
            "f.yaml:3:1: memory: there is no such key (did you mean 'limits: {memory: …}'?)");
  EXPECT_EQ(refusal("replicas: 3"),
            "f.yaml:3:1: replicas: there is no such key (did you mean 'nodes'?)");
  EXPECT_THAT(refusal("ready: {xyzzy: 3}"),
              HasSubstr("there is no such key here: known are tcp, run, every or timeout"));
}

TEST(ParseFileTest, AMisspeltKeyIsNotCalledMissingToo) {
  EXPECT_EQ(Refusal("name: a\nimagee: b\n"),
            "f.yaml:2:1: imagee: there is no such key (did you mean 'image'?)");
}

TEST(ParseFileTest, ARepeatedKeyIsRefused) {
  EXPECT_EQ(Refusal("name: a\nimage: b\nimage: c\n"),
            "f.yaml:3:1: image: is given twice, first in line 2");
  EXPECT_THAT(Refusal("name: a\nimage: b\nroles:\n  w:\n  w:\n"),
              StartsWith("f.yaml:5:3: roles.w: is given twice, first in line 4"));
}

TEST(ParseFileTest, AWrongDefaultIsToldOnceAndWhereItStands) {
  EXPECT_EQ(Refusal("name: a\nimage: b\nlimits: {memory: 1M}\nroles: {x: , y: , z: }\n"),
            "f.yaml:3:10: limits.memory: 1M is too little: at least 4M");
}

TEST(ParseFileTest, KeysOfOneRoleDoNotStandBesideRoles) {
  EXPECT_EQ(Refusal("name: a\nimage: b\nnodes: 2\nports: [1]\nroles: {x: {count: 2}}\n"),
            "f.yaml:3:1: nodes: each of the roles has a 'count' of its own\n"
            "f.yaml:4:1: ports: belongs to a role: write it below the one that is meant");
}

TEST(ParseFileTest, ValuesOfTheWrongKindSayWhatTheyShouldBe) {
  EXPECT_EQ(Refusal("name: [a]\nimage:\nroles: [x]\nvolumes: data\non-expiry: {a: 1}\n"),
            "f.yaml:1:1: name: should be a text, not a list\n"
            "f.yaml:2:1: image: has no value: it should be a text\n"
            "f.yaml:3:1: roles: should be a map of keys, not a list\n"
            "f.yaml:4:1: volumes: should be a list (such as [a, b]), not one value\n"
            "f.yaml:5:1: on-expiry: should be stop or delete, not a map of keys");
}

TEST(ParseFileTest, OnlyVersionOneIsKnown) {
  EXPECT_EQ(Refusal("version: 1\nname: a\nimage: b\n"), "");
  EXPECT_EQ(Refusal("version: 2\nname: a\nimage: b\n"),
            "f.yaml:1:1: version: version 2 is not known: this Strata reads 1");
}

TEST(ParseFileTest, SyntaxFaultsAreSaidInPlainWords) {
  EXPECT_EQ(Refusal("a: b: 1"),
            "f.yaml:1:5: a ':' that cannot be here: a text with ': ' in it needs quotes");
  EXPECT_EQ(Refusal("a: 1\nb: {x: 1\nc: 2\n"), "f.yaml:2:4: the '{' that begins here has no '}'");
  EXPECT_EQ(Refusal("a:\n  b: 1\n c: 2\n"), "f.yaml:3:2: is not indented like the lines above it");
  EXPECT_EQ(Refusal("a:\n\tb: 1\n"), "f.yaml:2:3: tabs cannot indent: use spaces");
  EXPECT_EQ(Refusal("a: 1\nb: \"x\nc: 2\n"),
            "f.yaml:2:4: the quote that begins here is not closed");
  EXPECT_EQ(Refusal("a: 'it''s\n"), "f.yaml:1:4: the quote that begins here is not closed");
  EXPECT_EQ(Refusal(""), "f.yaml: is empty");
  EXPECT_EQ(Refusal("hello"),
            "f.yaml:1:1: begins with no key: a Vcluster file has lines such as 'name: lab' and "
            "'image: debian'");
}

TEST(ParseFileTest, AliasesTagsAndSecondDocumentsAreRefused) {
  EXPECT_THAT(Refusal("a: &x 1\nb: *x\n"), StartsWith("f.yaml:1:4: anchors and aliases"));
  EXPECT_THAT(Refusal("a: &x {}\n"), StartsWith("f.yaml:1:4: anchors and aliases"));
  EXPECT_THAT(Refusal("a: *x\n"), StartsWith("f.yaml:1:4: aliases"));
  EXPECT_THAT(Refusal("a: !!str 1\n"), StartsWith("f.yaml:1:4: tags"));
  EXPECT_THAT(Refusal("a: 1\n---\nb: 1\n"), StartsWith("f.yaml:3:1: a second document"));
}

TEST(ParseFileTest, BytesThatAreNoTextAreRefused) {
  EXPECT_THAT(Refusal("name: a\nimage: \x1b[2J\n"),
              StartsWith("f.yaml:2:8: a byte that is no text: \\x1b"));
  EXPECT_THAT(Refusal(std::string("name: a\0b", 9)), StartsWith("f.yaml:1:8: a byte"));
  EXPECT_THAT(Refusal("name: \xff"), StartsWith("f.yaml:1:7: a byte"));
  EXPECT_THAT(Refusal("name: \"a\\0\""),
              StartsWith("f.yaml:1:7: holds control characters: 'a\\x00'"));
}

TEST(ParseFileTest, SizeDepthAndNumberOfValuesAreLimited) {
  EXPECT_THAT(Refusal(std::string(file::kFileBytesMax + 1, ' ')), HasSubstr("larger than 1 MiB"));
  EXPECT_THAT(Refusal("a: " + std::string(17, '[') + std::string(17, ']')),
              HasSubstr("16 levels deep"));
  std::string many = "name: [";
  for (size_t i = 0; i < file::kValuesMax; ++i) many += "a,";
  EXPECT_THAT(Refusal(many + "a]"), HasSubstr("more than 20000 values"));
  EXPECT_THAT(Refusal("name: " + std::string(file::kTextBytesMax + 1, 'a')),
              HasSubstr("of at most"));
}

TEST(ParseFileTest, WhatIsTooLargeForARecordIsRefused) {
  std::string text = "name: a\nimage: b\nenv: {A: " + std::string(60'000, 'x') + "}\nroles:\n";
  for (int i = 0; i < 9; ++i) text += "  r" + std::to_string(i) + ":\n";
  EXPECT_THAT(Refusal(text), AllOf(StartsWith("f.yaml:1:1: is "),
                                   HasSubstr("with all defaults filled in, of at most 524288")));
}

TEST(ParseFileTest, WhoMayTalkWithWhomIsRead) {
  const Definition lab = Parse(R"(
name: lab
image: debian
peers: [storage, bob/lab]
roles:
  web:
    count: 3
    ports: [{node: 80, host: 8080, balance: true}, {node: 81, balance: sticky}]
  db:
    accept:
      - web
      - {from: [web, outside], tcp: 5432, udp: [53, 8000-8010]}
      - {icmp: true}
)");
  EXPECT_THAT(lab.peers, ElementsAre("storage", "bob/lab"));
  EXPECT_EQ(lab.roles[0].accept, std::nullopt);
  EXPECT_THAT(lab.roles[0].ports,
              ElementsAre(PortForward{80, 8080, Protocol::kTcp, Balance::kRoundRobin},
                          PortForward{81, 0, Protocol::kTcp, Balance::kSticky}));
  ASSERT_TRUE(lab.roles[1].accept.has_value());
  EXPECT_THAT(*lab.roles[1].accept,
              ElementsAre(Accept{{"web"}},
                          Accept{{"web", "outside"}, {{5432, 5432}}, {{53, 53}, {8000, 8010}}},
                          Accept{{"any"}, {}, {}, true}));
  EXPECT_EQ(Parse("name: a\nimage: b\naccept: []\n").roles[0].accept, std::vector<Accept>());
}

TEST(ParseFileTest, FaultsOfWhoMayTalkWithWhomNameTheirPlace) {
  EXPECT_EQ(Refusal(R"(name: lab
image: debian
peers: [storage, Bob]
roles:
  web:
    ports:
      - {node: 80, balance: yes}
  db:
    accept:
      - wbe
      - {from: web, tcp: 90-80}
  cache:
    accept: [{from: web, tcp: http}]
)"),
            "f.yaml:3:1: peers: 'Bob' names no Vcluster (such as storage or alice/storage)\n"
            "f.yaml:7:20: roles.web.ports[0].balance: 'yes' is not round-robin or sticky\n"
            "f.yaml:10:9: roles.db.accept[0].from: there is no role 'wbe' (did you mean 'web'?)\n"
            "f.yaml:11:21: roles.db.accept[1].tcp: 90-80 are no ports (such as 8000-8010)\n"
            "f.yaml:13:26: roles.cache.accept[0].tcp: should be a port, or some (such as 80, "
            "8000-8010 or [80, 443])");
}

}  // namespace
}  // namespace strata::vcluster
