#include "vclusterd/definition/job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file_io.h"
#include "vclusterd/definition/document.h"

namespace strata::vcluster {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::StartsWith;

Result<std::string> NoFiles(const std::string& path) {
  return Error(Code::kNotFound, path + ": no such file");
}

JobDefinition Parse(std::string_view text, const FileSource& files = NoFiles) {
  const auto job = ParseJob(text, "j.yaml", files);
  EXPECT_TRUE(job.ok()) << job.error().message();
  return job.ok() ? *job : JobDefinition();
}

std::string Refusal(std::string_view text, const FileSource& files = NoFiles) {
  const auto job = ParseJob(text, "j.yaml", files);
  if (job.ok()) return "";
  EXPECT_EQ(job.error().code(), Code::kInvalidArgument);
  return job.error().message();
}

TEST(JobFileTest, EveryKeyIsRead) {
  const JobDefinition job = Parse(R"(
version: 1
name: count
vcluster: bob/spark
timeout: 2h
tasks:
  fetch: curl -f x
  count:
    run: [spark-submit, a b, 3]
    on: worker
    after: fetch
    timeout: 90s
    retries: 2
    retry-delay: 0s
    env: {A: 1, B: text}
    user: 1000:100
    directory: /srv
    allow-failure: true
  last: {run: "true", on: driver/1, after: [fetch, count], user: 7}
  everywhere: {run: "true", on: all}
)");
  EXPECT_EQ(job.name, "count");
  EXPECT_EQ(job.vcluster, "bob/spark");
  EXPECT_FALSE(job.create.has_value());
  EXPECT_EQ(job.timeout, seconds(7200));
  ASSERT_EQ(job.tasks.size(), 4u);
  const TaskDefinition& fetch = job.tasks[0];
  EXPECT_THAT(fetch.argv, ElementsAre("/bin/sh", "-c", "curl -f x"));
  EXPECT_EQ(fetch.on, (TaskPlace{"", 0, false}));
  EXPECT_EQ(fetch.timeout, seconds(3600));
  EXPECT_EQ(fetch.retries, 0u);
  EXPECT_EQ(fetch.retry_delay, seconds(10));
  const TaskDefinition& count = job.tasks[1];
  EXPECT_THAT(count.argv, ElementsAre("spark-submit", "a b", "3"));
  EXPECT_EQ(count.on, (TaskPlace{"worker", std::nullopt, false}));
  EXPECT_THAT(count.after, ElementsAre("fetch"));
  EXPECT_EQ(count.timeout, seconds(90));
  EXPECT_EQ(count.retries, 2u);
  EXPECT_EQ(count.retry_delay, seconds(0));
  EXPECT_THAT(count.env, ElementsAre(Pair("A", "1"), Pair("B", "text")));
  EXPECT_EQ(count.uid, 1000u);
  EXPECT_EQ(count.gid, 100u);
  EXPECT_EQ(count.directory, "/srv");
  EXPECT_TRUE(count.allow_failure);
  EXPECT_EQ(job.tasks[2].on, (TaskPlace{"driver", 1, false}));
  EXPECT_EQ(job.tasks[2].gid, 7u);
  EXPECT_TRUE(job.tasks[3].on.all);
}

TEST(JobFileTest, AVclusterIsDefinedInTheFileAndCalledAfterTheJob) {
  const JobDefinition job = Parse(R"(
name: pi
create: {image: mpi, nodes: 4}
keep: on-failure
tasks: {run: mpirun pi}
)");
  ASSERT_TRUE(job.create.has_value());
  EXPECT_EQ(job.create->name, "pi");
  EXPECT_FALSE(job.names_created);
  EXPECT_EQ(job.create->NodeCount(), 4u);
  EXPECT_EQ(job.keep, JobKeep::kOnFailure);
  EXPECT_TRUE(Parse("name: pi\ncreate: {image: mpi, name: own}\ntasks: {a: b}").names_created);
}

TEST(JobFileTest, AVclusterFileIsNamed) {
  std::string asked;
  const auto files = [&](const std::string& path) -> Result<std::string> {
    asked = path;
    return std::string("name: lab\nimage: debian\nnodes: 2\n");
  };
  const JobDefinition job = Parse("name: j\ncreate: dir/lab.yaml\ntasks: {a: b}\n", files);
  EXPECT_EQ(asked, "dir/lab.yaml");
  ASSERT_TRUE(job.create.has_value());
  EXPECT_EQ(job.create->name, "lab");
  EXPECT_TRUE(job.names_created);
}

TEST(JobFileTest, FaultsOfTheVclusterSayWhereTheyAre) {
  EXPECT_EQ(Refusal("name: j\ncreate:\n  image: debian\n  node: 3\ntasks: {a: b}\n"),
            "j.yaml:4:3: create.node: there is no such key (did you mean 'nodes'?)");
  const auto files = [](const std::string&) -> Result<std::string> {
    return std::string("name: lab\nimag: debian\n");
  };
  EXPECT_THAT(Refusal("name: j\ncreate: lab.yaml\ntasks: {a: b}\n", files),
              StartsWith("lab.yaml:2:1: imag: there is no such key (did you mean 'image'?)"));
  EXPECT_EQ(Refusal("name: j\ncreate: gone.yaml\ntasks: {a: b}\n"),
            "j.yaml:2:1: create: gone.yaml: no such file");
  EXPECT_THAT(Refusal("name: j\ncreate: [a]\ntasks: {a: b}\n"),
              HasSubstr("j.yaml:2:1: create: should be the name of a Vcluster file"));
}

struct Case {
  const char* name;
  const char* text;
  const char* fault;  // A part of it.
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }
class FaultTest : public testing::TestWithParam<Case> {};

// What is put before and behind what a task has.
std::string Job(const std::string& tasks) { return "name: j\nvcluster: v\ntasks:\n" + tasks; }

TEST_P(FaultTest, IsNamedWithItsPlace) {
  EXPECT_THAT(Refusal(GetParam().text), HasSubstr(GetParam().fault)) << GetParam().text;
}
INSTANTIATE_TEST_SUITE_P(
    Whole, FaultTest,
    testing::Values(
        Case{"NoMap", "- a\n", "begins with no key"},
        Case{"NoName", "vcluster: v\ntasks: {a: b}\n", "j.yaml:1:1: has no 'name'"},
        Case{"NoTasks", "name: j\nvcluster: v\n", "j.yaml:1:1: has no 'tasks'"},
        Case{"EmptyTasks", "name: j\nvcluster: v\ntasks: {}\n", "tasks: has no task in it"},
        Case{"TasksAreAList", "name: j\nvcluster: v\ntasks: [a]\n", "tasks: should be a map"},
        Case{"Version", "version: 2\nname: j\nvcluster: v\ntasks: {a: b}\n",
             "version: version 2 is not known"},
        Case{"Name", "name: J\nvcluster: v\ntasks: {a: b}\n",
             "j.yaml:1:1: name: 'J' cannot be the name of a job"},
        Case{"EmptyName", "name: ''\nvcluster: v\ntasks: {a: b}\n", "'' cannot be the name"},
        Case{"NumberName", "name: 5\nvcluster: v\ntasks: {a: b}\n", "'5' is a number"},
        Case{"EmptyVcluster", "name: j\nvcluster: ''\ntasks: {a: b}\n", "'' names no Vcluster"},
        Case{"Nowhere", "name: j\ntasks: {a: b}\n", "says not where it runs"},
        Case{"Both", "name: j\nvcluster: v\ncreate: {image: i}\ntasks: {a: b}\n",
             "j.yaml:3:1: create: there is 'vcluster' already"},
        Case{"Vcluster", "name: j\nvcluster: /v\ntasks: {a: b}\n", "'/v' names no Vcluster"},
        Case{"KeepNothing", "name: j\nvcluster: v\nkeep: always\ntasks: {a: b}\n",
             "has 'keep', which is for"},
        Case{"KeepWhat", "name: j\ncreate: {image: i}\nkeep: maybe\ntasks: {a: b}\n",
             "keep: 'maybe' is not never, on-failure or always"},
        Case{"Timeout", "name: j\nvcluster: v\ntimeout: 31d\ntasks: {a: b}\n",
             "j.yaml:3:1: timeout: 31d is not from 1s to 30d"},
        Case{"UnknownKey", "name: j\nvcluster: v\ntask: {a: b}\n",
             "task: there is no such key (did you mean 'tasks'?)"}),
    [](const auto& parameter) { return parameter.param.name; });

TEST(JobFileTest, EachFaultOfATaskIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"  A: b\n", "j.yaml:4:3: tasks.A: 'A' cannot be the name of a task"},
      {"  a: {on: all}\n", "j.yaml:4:3: tasks.a: has no 'run'"},
      {"  a: {command: b}\n", "tasks.a.command: there is no such key (did you mean 'run'?)"},
      {"  a: {run: b, depends-on: c}\n", "(did you mean 'after'?)"},
      {"  a: ''\n", "tasks.a: is empty: no command"},
      {"  a: {run: []}\n", "tasks.a.run: is an empty list"},
      {"  a: {run: ['', b]}\n", "tasks.a.run: begins with an empty word"},
      {"  a: {run: b, on: worker/x}\n", "tasks.a.on: 'worker/x' is no place"},
      {"  a: {run: b, on: worker/}\n", "tasks.a.on: 'worker/' is no place"},
      {"  a: {run: b, on: W}\n", "tasks.a.on: 'W' is no place"},
      {"  a: {run: b, after: c}\n", "tasks.a.after: there is no task 'c'"},
      {"  prepare: b\n  a: {run: b, after: prepar}\n", "'prepar' (did you mean 'prepare'?)"},
      {"  b: c\n  a: {run: b, after: [b, b]}\n", "tasks.a.after: 'b' is there twice"},
      {"  a: {run: b, after: a}\n", "tasks.a.after: these tasks wait for each other: a after a"},
      {"  a: {run: x, timeout: 0s}\n", "tasks.a.timeout: 0s is not from 1s to 30d"},
      {"  a: {run: x, timeout: 1500ms}\n", "not a whole number of seconds"},
      {"  a: {run: x, retries: 101}\n", "tasks.a.retries: 101 is too much: at most 100"},
      {"  a: {run: x, retries: -1}\n", "tasks.a.retries: "},
      {"  a: {run: x, retry-delay: 2d}\n", "tasks.a.retry-delay: 2d is not from 0s to 1d"},
      {"  a: {run: x, env: {1A: b}}\n", "tasks.a.env.1A: is no name of a variable"},
      {"  a: {run: x, user: bob}\n", "tasks.a.user: 'bob' is no UID or UID:GID"},
      {"  a: {run: x, user: '1:'}\n", "tasks.a.user: '1:' is no UID"},
      {"  a: {run: x, user: 65536}\n", "tasks.a.user: '65536' is no UID"},
      {"  a: {run: x, directory: tmp}\n", "tasks.a.directory: 'tmp' is no absolute path"},
      {"  a: {run: x, allow-failure: maybe}\n", "'maybe' is not true or false"},
      {"  a: b\n  a: c\n", "tasks.a: is given twice"},
  };
  for (const auto& [tasks, fault] : cases) {
    EXPECT_THAT(Refusal(Job(tasks)), HasSubstr(fault)) << tasks;
  }
}

TEST(JobFileTest, ACircleIsTold) {
  EXPECT_THAT(Refusal(Job("  a: {run: x, after: c}\n  b: {run: x, after: a}\n"
                          "  c: {run: x, after: [z, b]}\n  z: x\n  y: {run: x, after: c}\n")),
              HasSubstr("these tasks wait for each other: a after c after b after a"));
}

TEST(JobFileTest, AllFaultsAreToldAtOnce) {
  const std::string told =
      Refusal("name: j\nvcluster: v\ntimeot: 3h\ntasks:\n  a: {run: x, after: b}\n  c: {rn: y}\n");
  EXPECT_THAT(told, HasSubstr("j.yaml:3:1: timeot"));
  EXPECT_THAT(told, HasSubstr("j.yaml:5:15: tasks.a.after"));
  EXPECT_THAT(told, HasSubstr("j.yaml:6:7: tasks.c.rn"));
}

TEST(JobFileTest, PlacesAreLookedUpInTheVclusterThatIsMade) {
  const std::string start = "name: j\ncreate: {roles: {worker: {image: i, count: 2}}}\ntasks:\n";
  EXPECT_EQ(Refusal(start + "  a: {run: x, on: wroker}\n"),
            "j.yaml:4:15: tasks.a.on: the Vcluster has no role 'wroker' (did you mean 'worker'?)");
  EXPECT_THAT(Refusal(start + "  a: {run: x, on: worker/2}\n"),
              HasSubstr("role 'worker' has 2 nodes, which are counted from 0"));
  EXPECT_EQ(Refusal(start + "  a: {run: x, on: worker/1}\n"), "");
}

TEST(JobFileTest, ThereIsALimitOnEverything) {
  std::string many;
  for (size_t i = 0; i <= kTasksMax; ++i) many += "  t" + std::to_string(i) + ": x\n";
  EXPECT_THAT(Refusal(Job(many)), HasSubstr("is one task too many: 64 are allowed"));
  const std::string long_text(40'000, 'x');
  EXPECT_THAT(Refusal(Job("  a: " + long_text + "\n  b: " + long_text + "\n")),
              HasSubstr("bytes of commands and variables: at most 65536"));
  std::string wide = "name: j\ncreate: {image: i, nodes: 250}\ntasks:\n";
  for (int i = 0; i < 5; ++i) wide += "  t" + std::to_string(i) + ": {run: x, on: all}\n";
  EXPECT_THAT(Refusal(wide), HasSubstr("would run 1250 commands"));
}

TEST(JobFileTest, PlacesOfAVclusterThatIsThereAreChecked) {
  Definition lab;
  lab.roles.resize(1);
  lab.roles[0].name = "node";
  lab.roles[0].count = 2;
  EXPECT_TRUE(CheckPlaces(Parse(Job("  a: {run: x, on: node/1}\n  b: x\n")), lab).ok());
  EXPECT_EQ(CheckPlaces(Parse(Job("  a: {run: x, on: nodes}\n")), lab).error().message(),
            "tasks.a.on: the Vcluster has no role 'nodes' (did you mean 'node'?)");
}

TEST(JobFileTest, ExamplesAreRight) {
  for (const char* name : {"pi.yaml", "wordcount.yaml"}) {
    const std::string path = std::string(STRATA_SOURCE_DIR) + "/docs/examples/jobs/" + name;
    const auto job = ParseJob(ReadFile(path).value(), name, NoFiles);
    EXPECT_TRUE(job.ok()) << job.error().message();
  }
}

}  // namespace
}  // namespace strata::vcluster
