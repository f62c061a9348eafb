#include <gmock/gmock.h>

#include "tests/unit/tools/fake_daemons.h"
#include "tools/vcluster/vcluster.h"
#include "vclusterd/api/job_service.grpc.pb.h"

namespace strata::tools {
namespace {

namespace api = jobs::v1;
using testing::HasSubstr;

class FakeJobService : public api::JobService::Service {
 public:
  api::RunJobRequest run_request;
  std::vector<api::WatchEvent> events;
  std::vector<api::RunOutput> outputs;
  api::OutputRequest output_request;

  grpc::Status Run(grpc::ServerContext*, const api::RunJobRequest* request,
                   api::JobInfo* response) override {
    run_request = *request;
    response->mutable_job()->set_number(17);
    response->mutable_job()->set_vcluster("lab");
    return grpc::Status::OK;
  }
  grpc::Status Watch(grpc::ServerContext*, const api::WatchRequest* request,
                     grpc::ServerWriter<api::WatchEvent>* writer) override {
    EXPECT_EQ(request->job(), "17");
    for (const api::WatchEvent& event : events) writer->Write(event);
    return grpc::Status::OK;
  }
  grpc::Status Output(grpc::ServerContext*, const api::OutputRequest* request,
                      grpc::ServerWriter<api::RunOutput>* writer) override {
    output_request = *request;
    for (const api::RunOutput& output : outputs) writer->Write(output);
    return grpc::Status::OK;
  }
};

class VclusterJobTest : public ToolTest {
 protected:
  ToolRun Vcluster(const std::vector<std::string>& words) { return Run(VclusterMain, words); }
  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(path(name), text).ok());
  }
  static api::RunOutput Wrote(const std::string& node, const std::string& text) {
    api::RunOutput output;
    output.set_task("count");
    output.set_node(node);
    output.set_output(text);
    output.set_output_bytes(text.size());
    return output;
  }
  // One task that ends so.
  void TellOneTask(api::Outcome outcome, int exit_code, const std::string& problem) {
    api::WatchEvent event;
    api::Job* job = event.mutable_job()->mutable_job();
    job->set_number(17);
    job->set_phase(api::RUNNING);
    api::Task* task = job->add_tasks();
    task->set_name("count");
    task->set_phase(api::TASK_RUNNING);
    task->add_runs()->set_name("worker-0");
    service_.events.push_back(event);
    api::WatchEvent output;
    *output.mutable_output() = Wrote("worker-0", "one\ntwo");
    service_.events.push_back(output);
    task->set_phase(exit_code == 0 ? api::TASK_SUCCEEDED : api::TASK_FAILED);
    job->set_phase(api::DONE);
    job->set_outcome(outcome);
    job->set_exit_code(exit_code);
    job->set_problem(problem);
    service_.events.push_back(event);
    Serve(service_);
  }

  FakeJobService service_;
};

constexpr char kJob[] = "name: j\nvcluster: lab\ntasks: {count: wc}\n";

TEST_F(VclusterJobTest, RunShowsTasksAndWhatTheyWroteBehindTheirNodes) {
  Write("job.yaml", kJob);
  TellOneTask(api::SUCCEEDED, 0, "");
  const ToolRun run = Vcluster({"run", "-f", path("job.yaml")});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "count worker-0 | one\ncount worker-0 | two\n");
  EXPECT_THAT(run.err, HasSubstr("job 17 on Vcluster lab"));
  EXPECT_THAT(run.err, HasSubstr("count runs in worker-0"));
  EXPECT_THAT(run.err, HasSubstr("count succeeded"));
  EXPECT_EQ(service_.run_request.definition(), kJob);
}

TEST_F(VclusterJobTest, RunExitsAsTheCommandThatFailed) {
  Write("job.yaml", kJob);
  TellOneTask(api::FAILED, 42, "count in worker-0: exit code 42");
  const ToolRun run = Vcluster({"run", "-f", path("job.yaml")});
  EXPECT_EQ(run.exit_code, 42);
  EXPECT_THAT(run.err, HasSubstr("job 17 failed: count in worker-0: exit code 42"));
}

TEST_F(VclusterJobTest, JsonIsTheResultAlone) {
  Write("job.yaml", kJob);
  TellOneTask(api::FAILED, 42, "no luck");
  service_.events.erase(service_.events.begin() + 1);  // Outputs are not asked for.
  const ToolRun run = Vcluster({"run", "-f", path("job.yaml"), "--json"});
  EXPECT_EQ(run.exit_code, 42);
  EXPECT_THAT(run.out, HasSubstr("\"exit_code\": 42"));
  EXPECT_EQ(run.out.front(), '{');
}

TEST_F(VclusterJobTest, DetachedOnlyTheNumberIsPrinted) {
  Write("job.yaml", kJob);
  TellOneTask(api::SUCCEEDED, 0, "");
  const ToolRun run = Vcluster({"run", "-f", path("job.yaml"), "--detach"});
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(run.out, "17\n");
}

TEST_F(VclusterJobTest, AVclusterFileIsTakenAlongFromBesideTheJobFile) {
  Write("lab.yaml", "name: lab\nimage: debian\n");
  Write("job.yaml", "name: j\ncreate: lab.yaml\ntasks: {count: wc}\n");
  TellOneTask(api::SUCCEEDED, 0, "");
  EXPECT_EQ(Vcluster({"run", "-f", path("job.yaml"), "-d"}).exit_code, 0);
  EXPECT_EQ(service_.run_request.create_path(), "lab.yaml");
  EXPECT_EQ(service_.run_request.create_definition(), "name: lab\nimage: debian\n");
}

TEST_F(VclusterJobTest, FaultsOfAFileAreToldWithoutADaemon) {
  Write("job.yaml", "name: j\nvcluster: lab\ntasks:\n  a: {rn: x}\n  b: {run: x, after: c}\n");
  const ToolRun run = Vcluster({"run", "-f", path("job.yaml")});
  EXPECT_EQ(run.exit_code, 125);
  EXPECT_THAT(run.err, HasSubstr("job.yaml:4:7: tasks.a.rn: there is no such key"));
  EXPECT_THAT(run.err, HasSubstr("job.yaml:5:15: tasks.b.after: there is no task 'c'"));
}

TEST_F(VclusterJobTest, TheOutputOfOneRunIsPrintedAsItIs) {
  service_.outputs = {Wrote("worker-0", std::string("a\0\xff b", 5))};
  Serve(service_);
  const ToolRun one = Vcluster({"job", "output", "17", "count", "worker-0"});
  EXPECT_EQ(one.exit_code, 0) << one.err;
  EXPECT_EQ(one.raw_out, std::string("a\0\xff b", 5));
  EXPECT_EQ(service_.output_request.node(), "worker-0");
  const ToolRun all = Vcluster({"job", "output", "17"});
  EXPECT_EQ(all.out, "count worker-0 | a\\x00\\xff b\n");
}

TEST_F(VclusterJobTest, TheSchemaIsPrinted) {
  EXPECT_THAT(Vcluster({"job", "schema"}).out, HasSubstr("\"urn:strata:job:1\""));
}

}  // namespace
}  // namespace strata::tools
