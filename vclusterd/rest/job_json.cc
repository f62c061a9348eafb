#include "vclusterd/rest/job_json.h"

#include "common/printable.h"
#include "vclusterd/api/job_words.h"

namespace strata::vcluster::rest {
namespace {

using namespace schema;

constexpr size_t kTextBytesMax = 400'000;

Json RunJson(const jobs::v1::Run& run) {
  return {{"node", run.name()},
          {"state", WordOf(run.phase())},
          {"attempt", run.attempt()},
          {"exit_code", run.exit_code()},
          {"problem", PrintableText(run.problem())},
          {"begun_unix_ms", run.begun_unix_ms()},
          {"ended_unix_ms", run.ended_unix_ms()},
          {"output_bytes", run.output_bytes()}};
}

Json TaskJson(const jobs::v1::Task& task, bool with_runs) {
  Json json = {{"name", task.name()},
               {"state", WordOf(task.phase())},
               {"problem", PrintableText(task.problem())},
               {"begun_unix_ms", task.begun_unix_ms()},
               {"ended_unix_ms", task.ended_unix_ms()}};
  if (!with_runs) return json;
  Json& command = json["command"] = Json::array();
  for (const std::string& word : task.argv()) command.push_back(PrintableText(word));
  Json& runs = json["runs"] = Json::array();
  for (const jobs::v1::Run& run : task.runs()) runs.push_back(RunJson(run));
  return json;
}

Json TaskSchema() {
  const Json run =
      Members("A task's command in one node.")
          .Must("node", Text("worker-1"))
          .Must("state", Word("Of its last attempt.",
                              {"waits", "runs", "succeeded", "failed", "cancelled", "?"}))
          .Must("attempt", Whole("Made so far."))
          .Must("exit_code",
                Whole("Of the last attempt; -1: it has none, problem says why.", -1, 255))
          .Must("problem", Text("Why it failed.", kTextBytesMax))
          .Must("begun_unix_ms", Whole("When the last attempt began; 0: not yet."))
          .Must("ended_unix_ms", Whole("When it ended; 0: not yet."))
          .Must("output_bytes", Whole("That it wrote."));
  return Members("A step of a job.")
      .Must("name", Text("Its name."))
      .Must("state", Word("How far it is.",
                          {"waits", "runs", "succeeded", "failed", "skipped", "cancelled", "?"}))
      .Must("problem", Text("Why it failed.", kTextBytesMax))
      .Must("begun_unix_ms", Whole("When it began; 0: not yet."))
      .Must("ended_unix_ms", Whole("When it ended; 0: not yet."))
      .May("command", ListOf(Text("A word.", kTextBytesMax), "What it runs."))
      .May("runs", ListOf(run, "In each of its nodes."));
}

}  // namespace

Json ToJson(const JobView& view, const Users& users, bool with_runs) {
  const jobs::v1::Job& job = *view.job;
  Json json = {{"number", job.number()},
               {"name", job.name()},
               {"owner", users.NameOf(job.owner_uid())},
               {"owner_uid", job.owner_uid()},
               {"address", "/v1/jobs/" + std::to_string(job.number())},
               {"vcluster", users.NameOf(job.vcluster_owner_uid()) + "/" + job.vcluster()},
               {"vcluster_is_its_own", job.created()},
               {"state", StateWord(job)},
               {"problem", PrintableText(job.problem())},
               {"notice", PrintableText(view.notice)},
               {"submitted_unix_ms", job.submitted_unix_ms()},
               {"begun_unix_ms", job.begun_unix_ms()},
               {"ended_unix_ms", job.ended_unix_ms()}};
  if (job.phase() == jobs::v1::DONE) json["exit_code"] = job.exit_code();
  Json& tasks = json["tasks"] = Json::array();
  for (const jobs::v1::Task& task : job.tasks()) tasks.push_back(TaskJson(task, with_runs));
  return json;
}

Json ToJson(const JobOutput& output) {
  return {{"task", output.task},
          {"node", output.node},
          {"attempt", output.attempt},
          {"output", PrintableText(output.bytes)},
          {"output_bytes", output.bytes_in_all},
          {"running", output.running}};
}

void AddJobSchemas(RouteTable* table) {
  table->AddSchema(
      "Job", Members("A batch job (docs/jobs.md).")
                 .Must("number", Whole("Never another job's."))
                 .Must("name", Text("Several may have the same."))
                 .Must("owner", Text("Whose it is."))
                 .Must("owner_uid", Whole("The owner's number."))
                 .Must("address", Text("/v1/jobs/NUMBER"))
                 .Must("vcluster", Text("Where it runs: OWNER/NAME."))
                 .Must("vcluster_is_its_own", Flag("The Vcluster was made for it."))
                 .Must("state", Word("How far it is, or how it ended.",
                                     {"preparing", "running", "stopping", "clearing", "succeeded",
                                      "failed", "cancelled", "timed out"}))
                 .Must("problem", Text("Why it failed.", kTextBytesMax))
                 .Must("notice", Text("What it waits for.", kTextBytesMax))
                 .Must("submitted_unix_ms", Whole("When it was handed in."))
                 .Must("begun_unix_ms", Whole("When its Vcluster was ready; 0: not yet."))
                 .Must("ended_unix_ms", Whole("When it was done; 0: not yet."))
                 .May("exit_code", Whole("As vcluster run exits, once it is done.", -1, 255))
                 .Must("tasks", ListOf(TaskSchema(), "In the order of the file.")));
  table->AddSchema("JobList",
                   Members("Jobs.")
                       .Must("jobs", ListOf(Ref("Job"), "The newest first, without their runs."))
                       .May("next", Whole("There are more: ask again with after=")));
  const Json output =
      Members("What a run's last attempt wrote, or has written so far.")
          .Must("task", Text("Of which task."))
          .Must("node", Text("In which node."))
          .Must("attempt", Whole("Which."))
          .Must("output", Text("The end of it; what is no text is shown as \\xNN.", 4 << 20))
          .Must("output_bytes", Whole("All of it."))
          .Must("running", Flag("It may write more."));
  table->AddSchema("JobOutput",
                   Members("What the commands of a job wrote.")
                       .Must("outputs", ListOf(output, "Of runs that have written something."))
                       .May("left_out", Flag("There is more than fits: ask for one task, or for "
                                             "one of its nodes.")));
}

}  // namespace strata::vcluster::rest
