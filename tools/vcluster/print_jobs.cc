#include "tools/vcluster/print_jobs.h"

#include <algorithm>
#include <cstdio>
#include <ostream>

#include "common/printable.h"
#include "tools/cli/human.h"
#include "tools/cli/table.h"
#include "vclusterd/api/job_words.h"

namespace strata::tools {
namespace {

namespace api = jobs::v1;

std::string Seconds(int64_t begun_ms, int64_t ended_ms) {
  if (begun_ms == 0 || ended_ms < begun_ms) return "";
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f s", static_cast<double>(ended_ms - begun_ms) / 1000);
  return text;
}

size_t CountTasks(const api::Job& job, api::TaskPhase phase) {
  return static_cast<size_t>(
      std::count_if(job.tasks().begin(), job.tasks().end(),
                    [&](const api::Task& task) { return task.phase() == phase; }));
}

std::string TaskText(const api::Task& task) {
  std::string text = WordOf(task.phase());
  const int runs = task.runs_size();
  int ended = 0;
  int again = 0;
  for (const api::Run& run : task.runs()) {
    ended += run.ended_unix_ms() != 0 && run.phase() != api::RUN_WAITING ? 1 : 0;
    again += run.attempt() > 1 ? 1 : 0;
  }
  if (task.phase() == api::TASK_RUNNING) {
    text += runs == 1 ? " in " + task.runs(0).name()
                      : " in " + std::to_string(runs) + " nodes, done in " + std::to_string(ended);
    if (again > 0) text += ", tried again in " + std::to_string(again);
  } else if (task.phase() != api::TASK_WAITING && task.begun_unix_ms() != 0) {
    text += " after " + Seconds(task.begun_unix_ms(), task.ended_unix_ms());
  }
  if (!task.problem().empty()) text += ": " + task.problem();
  return text;
}

}  // namespace

void PrintJobTable(const api::Jobs& jobs, std::ostream& out) {
  Table table({">JOB", "NAME", "OWNER", "VCLUSTER", "STATE", "TASKS", "SUBMITTED", "TIME"});
  for (const api::JobInfo& info : jobs.jobs()) {
    const api::Job& job = info.job();
    table.Add({std::to_string(job.number()), job.name(), info.owner(), job.vcluster(),
               StateWord(job),
               std::to_string(CountTasks(job, api::TASK_SUCCEEDED)) + "/" +
                   std::to_string(job.tasks_size()),
               LocalTime(job.submitted_unix_ms()),
               Seconds(job.submitted_unix_ms(), job.ended_unix_ms())});
  }
  table.Print(out);
}

void PrintJob(const api::JobInfo& info, std::ostream& out) {
  const api::Job& job = info.job();
  out << "job " << job.number() << " " << Printable(job.name()) << " of " << Printable(info.owner())
      << " on " << Printable(job.vcluster()) << (job.created() ? " (made for it)" : "") << ": "
      << StateWord(job);
  if (job.phase() == api::DONE) out << ", exit status " << job.exit_code();
  out << '\n';
  if (!job.problem().empty()) out << "  " << Printable(job.problem()) << '\n';
  if (!info.notice().empty()) out << "  " << Printable(info.notice()) << '\n';
  Table table({"TASK", "NODE", "STATE", ">ATTEMPT", ">EXIT", ">TIME", ">OUTPUT", "PROBLEM"});
  for (const api::Task& task : job.tasks()) {
    if (task.runs().empty()) {
      table.Add({task.name(), "", WordOf(task.phase()), "", "", "", "", task.problem()});
    }
    for (const api::Run& run : task.runs()) {
      const bool ended = run.ended_unix_ms() != 0;
      table.Add({task.name(), run.name(), WordOf(run.phase()), std::to_string(run.attempt()),
                 ended ? std::to_string(run.exit_code()) : "",
                 Seconds(run.begun_unix_ms(), run.ended_unix_ms()),
                 run.output_bytes() == 0 ? "" : HumanBytes(run.output_bytes()), run.problem()});
    }
  }
  table.Print(out);
}

void PrintRunOutput(const api::RunOutput& output, std::ostream& out) {
  const std::string prefix = Printable(output.task()) + " " + Printable(output.node()) + " | ";
  if (output.output_bytes() > output.output().size()) {
    out << prefix << "(only the last " << output.output().size() << " of " << output.output_bytes()
        << " bytes are kept)\n";
  }
  const std::string text = PrintableText(output.output());
  size_t start = 0;
  while (start < text.size()) {
    const size_t end = std::min(text.find('\n', start), text.size());
    out << prefix << text.substr(start, end - start) << '\n';
    start = end + 1;
  }
}

void TaskLines::Print(const api::JobInfo& info, std::ostream& out) {
  const api::Job& job = info.job();
  last_.resize(static_cast<size_t>(job.tasks_size()), WordOf(api::TASK_WAITING));
  for (int t = 0; t < job.tasks_size(); ++t) {
    std::string text = TaskText(job.tasks(t));
    std::string& last = last_[static_cast<size_t>(t)];
    if (text == last) continue;
    out << Printable(job.tasks(t).name()) << " " << Printable(text) << std::endl;
    last = std::move(text);
  }
  std::string notice = info.notice();
  if (job.phase() == api::CLEARING) notice = "deleting Vcluster " + job.vcluster();
  if (!notice.empty() && notice != notice_) out << Printable(notice) << std::endl;
  notice_ = std::move(notice);
}

}  // namespace strata::tools
