#include "vclusterd/jobs/task_orders.h"

#include <map>

#include "vclusterd/jobs/run_id.h"

namespace strata::vcluster {
namespace {

void SetCommand(const jobs::v1::Job& job, const jobs::v1::Task& task, const std::string& key,
                host::v1::TaskCommand* command) {
  command->set_key(key);
  *command->mutable_argv() = task.argv();
  *command->mutable_env() = task.env();
  command->add_env("STRATA_JOB=" + std::to_string(job.number()));
  command->add_env("STRATA_TASK=" + task.name());
  command->set_directory(task.directory());
  command->set_uid(task.uid());
  command->set_gid(task.gid());
  command->set_timeout_s(task.timeout_s());
}

}  // namespace

void AddTaskOrders(const jobs::v1::Job& job, host::v1::Part* part) {
  if (job.phase() != jobs::v1::RUNNING && job.phase() != jobs::v1::STOPPING) return;
  std::map<uint32_t, host::v1::NodeOrder*> nodes;
  for (host::v1::NodeOrder& node : *part->mutable_nodes()) nodes[node.index()] = &node;
  for (int t = 0; t < job.tasks_size(); ++t) {
    RunId id;
    id.job = job.number();
    id.task = static_cast<uint32_t>(t);
    bool used = false;
    for (const jobs::v1::Run& run : job.tasks(t).runs()) {
      const auto node = nodes.find(run.node());
      if (run.phase() != jobs::v1::RUN_RUNNING || node == nodes.end() ||
          node->second->incarnation() != run.incarnation()) {
        continue;
      }
      id.node = run.node();
      id.attempt = run.attempt();
      host::v1::TaskOrder* order = node->second->add_tasks();
      order->set_id(id.ToString());
      order->set_stop(job.phase() == jobs::v1::STOPPING);
      used = true;
    }
    if (used) SetCommand(job, job.tasks(t), id.CommandKey(), part->add_task_commands());
  }
}

}  // namespace strata::vcluster
