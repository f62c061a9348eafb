// Batch jobs: the same calls as JobService's (vclusterd/master/jobs.h).
#include "vclusterd/master/jobs.h"

#include "vclusterd/definition/job.h"
#include "vclusterd/rest/job_json.h"
#include "vclusterd/rest/routes/handler_parts.h"
#include "vclusterd/rest/routes/route_rows.h"
#include "vclusterd/rest/routes/routes.h"

namespace strata::vcluster::rest {
namespace {

using namespace schema;

constexpr int64_t kListDefault = 100;
constexpr int64_t kListMax = 1000;
constexpr size_t kFileBytesMax = 1 << 20;
constexpr size_t kOutputBytesMax = 4u << 20;  // Of one answer.
constexpr char kResource[] = "/v1/jobs";

// "{job}": a number, NAME, or OWNER:NAME.
std::string JobIn(const Exchange& exchange) { return WithSlash(exchange.path.at("job")); }

Result<Reply> List(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(const std::vector<JobView> views,
                   Jobs(*clusters).List(exchange.caller, exchange.Asked("all", false)));
  const auto after = exchange.Asked<int64_t>("after", INT64_MAX);
  const auto limit = static_cast<size_t>(exchange.Asked<int64_t>("limit", kListDefault));
  Json answer = {{"jobs", Json::array()}};
  Json& list = answer["jobs"];
  for (const JobView& view : views) {
    if (view.job->number() >= after) continue;
    if (list.size() == limit) {
      answer["next"] = list.back()["number"];
      break;
    }
    list.push_back(ToJson(view, exchange.services.users, /*with_runs=*/false));
  }
  return Answer(std::move(answer));
}

Result<Reply> Submit(Exchange& exchange) {
  const auto no_files = [](const std::string&) -> Result<std::string> {
    return Error(Code::kInvalidArgument,
                 "a file cannot be sent along: put what is in it under 'create'");
  };
  ASSIGN_OR_RETURN(const JobDefinition definition, ParseJob(exchange.text, "the body", no_files));
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(const JobView view, Jobs(*clusters).Submit(exchange.caller, definition));
  Reply reply = Answer(ToJson(view, exchange.services.users, /*with_runs=*/true), 201);
  reply.headers.push_back({"Location", reply.body.at("address").get<std::string>()});
  return reply;
}

Result<Reply> Get(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(const JobView view, Jobs(*clusters).Find(exchange.caller, JobIn(exchange)));
  return Answer(ToJson(view, exchange.services.users, /*with_runs=*/true));
}

Result<Reply> Output(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  Json answer = {{"outputs", Json::array()}};
  size_t bytes = 0;
  RETURN_IF_ERROR(Jobs(*clusters).Outputs(
      exchange.caller, JobIn(exchange), exchange.Asked<std::string>("task", ""),
      exchange.Asked<std::string>("node", ""), [&](const JobOutput& output) {
        Json one = ToJson(output);
        bytes += one["output"].get_ref<const std::string&>().size();
        if (bytes > kOutputBytesMax) {
          answer["left_out"] = true;
          return false;
        }
        answer["outputs"].push_back(std::move(one));
        return true;
      }));
  return Answer(std::move(answer));
}

Result<Reply> Cancel(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(const JobView view, Jobs(*clusters).Cancel(exchange.caller, JobIn(exchange)));
  return Answer(ToJson(view, exchange.services.users, /*with_runs=*/true));
}

Result<Reply> Delete(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  RETURN_IF_ERROR(Jobs(*clusters).Delete(exchange.caller, JobIn(exchange)));
  return NoContent();
}

}  // namespace

void AddJobRoutes(RouteTable* table) {
  AddJobSchemas(table);
  table->AddSchema("JobFile", Json::parse(JobSchema()));
  const auto right = Operation::kVclusterExec;
  Route submit =
      RouteOf({"POST", "", "submitJob", right, "Hands a job file in; it goes on by itself",
               "JobFile", 201, "Job", Submit},
              kResource, "jobs");
  submit.body = BodyKind::kDefinition;
  submit.body_bytes_max = kFileBytesMax;
  table->Add(std::move(submit));
  const RouteRow rows[] = {
      {"GET",
       "",
       "listJobs",
       right,
       "One's own, the newest first",
       "",
       200,
       "JobList",
       List,
       {{"after", Whole("Only those before this one, as \"next\" said it.")},
        {"all", Flag("Also those of others that one may see (false).")},
        {"limit", Whole("So many at most (100).", 1, kListMax)}}},
      {"GET", "/{job}", "getJob", right, "How far it is: by number, NAME or OWNER:NAME", "", 200,
       "Job", Get},
      {"GET",
       "/{job}/output",
       "getJobOutput",
       right,
       "What its commands wrote, the end of it",
       "",
       200,
       "JobOutput",
       Output,
       {{"node", Text("Only in this node: worker-0.")}, {"task", Text("Only of this task.")}}},
      {"POST", "/{job}/cancel", "cancelJob", right, "Asks for its end: what runs is stopped", "",
       200, "Job", Cancel},
      {"DELETE", "/{job}", "deleteJob", right, "Forgets one that is done", "", 204, "", Delete},
  };
  AddRows(rows, kResource, "jobs", table);
}

}  // namespace strata::vcluster::rest
