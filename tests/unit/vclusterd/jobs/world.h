// World: a job, the nodes that it runs in as hosts would report them, and a clock. What a test does
// not say happens at once.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "vclusterd/definition/job.h"
#include "vclusterd/jobs/engine.h"
#include "vclusterd/jobs/new_job.h"
#include "vclusterd/jobs/run_id.h"

namespace strata::vcluster {

class World {
 public:
  static constexpr int64_t kStartMs = 1'800'000'000'000;

  // `file`: a job file on a Vcluster with a master and two workers.
  explicit World(const std::string& file, bool created = false) {
    const auto parsed = ParseJob("name: j\nvcluster: v\n" + file, "j.yaml", {});
    if (!parsed.ok()) abort_ = parsed.error().message();
    EXPECT_EQ(abort_, "");
    job = NewJob(parsed.ok() ? *parsed : JobDefinition(), now_ms);
    job.set_number(7);
    job.set_created(created);
    seen.exists = true;
    seen.ready = true;
    seen.first_role = "master";
    AddNode("master", 0);
    AddNode("worker", 0);
    AddNode("worker", 1);
  }
  const std::string& fault() const { return abort_; }

  void AddNode(const std::string& role, uint32_t ordinal) {
    NodeSeen& node = seen.nodes.emplace_back();
    node.index = static_cast<uint32_t>(seen.nodes.size() - 1);
    node.incarnation = 1;
    node.role = role;
    node.ordinal = ordinal;
    node.name = role + "-" + std::to_string(ordinal);
    node.wanted = true;
    node.ready = true;
  }
  NodeSeen& Node(const std::string& name) {
    for (NodeSeen& node : seen.nodes) {
      if (node.name == name) return node;
    }
    return seen.nodes.at(99);  // Throws: a test's own mistake.
  }
  jobs::v1::Task& Task(const std::string& name) {
    for (jobs::v1::Task& task : *job.mutable_tasks()) {
      if (task.name() == name) return task;
    }
    return *job.mutable_tasks(99);
  }
  const jobs::v1::Run& Run(const std::string& task, const std::string& node) {
    for (const jobs::v1::Run& run : Task(task).runs()) {
      if (run.name() == node) return run;
    }
    return Task(task).runs(99);
  }

  // Until nothing changes any more.
  void Advance() {
    JobStep step;
    do {
      step = vcluster::Advance(job, seen, now_ms);
      job = step.job;
      for (const KeptOutput& output : step.outputs)
        outputs[{output.task, output.node}] = output.bytes;
      deletes |= step.delete_vcluster;
      due_ms = step.due_unix_ms;
    } while (step.changed || step.again);
  }
  void Pass(int64_t seconds) {
    now_ms += seconds * 1000;
    Advance();
  }

  // What the host says of the last attempt.
  host::v1::TaskRun& Report(const std::string& task, const std::string& node,
                            host::v1::TaskState state) {
    RunId id;
    id.job = job.number();
    while (job.tasks(static_cast<int>(id.task)).name() != task) ++id.task;
    id.node = Node(node).index;
    id.attempt = Run(task, node).attempt();
    auto report = std::make_unique<host::v1::TaskRun>();
    report->set_id(id.ToString());
    report->set_state(state);
    Node(node).runs[report->id()] = report.get();
    reports_.push_back(std::move(report));
    return *reports_.back();
  }
  void End(const std::string& task, const std::string& node, int exit_code) {
    Report(task, node, host::v1::TASK_ENDED).set_exit_code(exit_code);
    Advance();
  }
  void Lose(const std::string& task, const std::string& node) {
    Report(task, node, host::v1::TASK_LOST).set_problem("vclusterd ended");
    Advance();
  }

  jobs::v1::Job job;
  ClusterSeen seen;
  int64_t now_ms = kStartMs;
  std::map<std::pair<uint32_t, uint32_t>, std::string> outputs;
  std::optional<int64_t> due_ms;
  bool deletes = false;

 private:
  std::vector<std::unique_ptr<host::v1::TaskRun>> reports_;
  std::string abort_;
};

}  // namespace strata::vcluster
