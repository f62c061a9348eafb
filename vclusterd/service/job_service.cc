#include "vclusterd/service/job_service.h"

#include <grpcpp/grpcpp.h>

#include "common/rpc/status.h"
#include "vclusterd/api/job_service.grpc.pb.h"
#include "vclusterd/definition/job.h"
#include "vclusterd/master/jobs.h"
#include "vclusterd/service/call.h"

namespace strata::vcluster {
namespace {

namespace api = jobs::v1;

void ToProto(const JobView& view, const std::string& owner, api::JobInfo* info) {
  *info->mutable_job() = *view.job;
  info->set_owner(owner);
  info->set_notice(view.notice);
}

void ToProto(const JobOutput& output, api::RunOutput* message) {
  message->set_task(output.task);
  message->set_node(output.node);
  message->set_attempt(output.attempt);
  message->set_output(output.bytes);
  message->set_output_bytes(output.bytes_in_all);
  message->set_running(output.running);
}

// The file that the client has sent along, and no other.
FileSource SentAlong(const api::RunJobRequest& request) {
  return [&request](const std::string& path) -> Result<std::string> {
    if (path == request.create_path() && !path.empty()) return request.create_definition();
    return Error(Code::kInvalidArgument, "the file was not sent along");
  };
}

class JobServiceImpl final : public api::JobService::Service {
 public:
  JobServiceImpl(ClustersSource source, rpc::Caller caller)
      : source_(std::move(source)), caller_{caller.uid, "socket", "", nullptr} {}

  grpc::Status Run(grpc::ServerContext*, const api::RunJobRequest* request,
                   api::JobInfo* response) override {
    return With([&](Jobs& jobs) -> Status {
      ASSIGN_OR_RETURN(const JobDefinition definition,
                       ParseJob(request->definition(),
                                request->file_name().empty() ? "the file" : request->file_name(),
                                SentAlong(*request)));
      ASSIGN_OR_RETURN(const JobView view, jobs.Submit(caller_, definition));
      ToProto(view, jobs.OwnerOf(view), response);
      return Ok();
    });
  }

  grpc::Status List(grpc::ServerContext*, const api::ListJobsRequest* request,
                    api::Jobs* response) override {
    return With([&](Jobs& jobs) -> Status {
      ASSIGN_OR_RETURN(const std::vector<JobView> views, jobs.List(caller_, request->all()));
      for (const JobView& view : views) {
        ToProto(view, jobs.OwnerOf(view), response->add_jobs());
        // Of each, how far it is; Get has the rest.
        for (api::Task& task :
             *response->mutable_jobs()->rbegin()->mutable_job()->mutable_tasks()) {
          task.clear_argv();
          task.clear_env();
          task.clear_runs();
        }
      }
      return Ok();
    });
  }

  grpc::Status Get(grpc::ServerContext*, const api::JobRequest* request,
                   api::JobInfo* response) override {
    return With([&](Jobs& jobs) -> Status {
      ASSIGN_OR_RETURN(const JobView view, jobs.Find(caller_, request->job()));
      ToProto(view, jobs.OwnerOf(view), response);
      return Ok();
    });
  }

  grpc::Status Watch(grpc::ServerContext* context, const api::WatchRequest* request,
                     grpc::ServerWriter<api::WatchEvent>* writer) override {
    return With([&](Jobs& jobs) -> Status {
      const CancelWatch watch(context, &jobs.master());
      const auto changed = [&](const JobView& view) {
        api::WatchEvent event;
        ToProto(view, jobs.OwnerOf(view), event.mutable_job());
        return writer->Write(event);
      };
      const auto output = [&](const JobOutput& wrote) {
        api::WatchEvent event;
        ToProto(wrote, event.mutable_output());
        return writer->Write(event);
      };
      return jobs.Watch(caller_, request->job(), changed,
                        request->outputs() ? Jobs::OnOutput(output) : Jobs::OnOutput(),
                        watch.token());
    });
  }

  grpc::Status Output(grpc::ServerContext* context, const api::OutputRequest* request,
                      grpc::ServerWriter<api::RunOutput>* writer) override {
    return With([&](Jobs& jobs) -> Status {
      const CancelWatch watch(context, &jobs.master());
      return jobs.Outputs(caller_, request->job(), request->task(), request->node(),
                          [&](const JobOutput& wrote) {
                            api::RunOutput message;
                            ToProto(wrote, &message);
                            return writer->Write(message);
                          });
    });
  }

  grpc::Status Cancel(grpc::ServerContext*, const api::JobRequest* request,
                      api::JobInfo* response) override {
    return With([&](Jobs& jobs) -> Status {
      ASSIGN_OR_RETURN(const JobView view, jobs.Cancel(caller_, request->job()));
      ToProto(view, jobs.OwnerOf(view), response);
      return Ok();
    });
  }

  grpc::Status Delete(grpc::ServerContext*, const api::JobRequest* request,
                      api::DeleteJobResponse*) override {
    return With([&](Jobs& jobs) { return jobs.Delete(caller_, request->job()); });
  }

 private:
  template <typename Handler>
  grpc::Status With(Handler handler) {
    const auto clusters = source_();
    if (!clusters.ok()) return rpc::ToGrpc(clusters.error());
    Jobs jobs(**clusters);
    return rpc::ToGrpc(handler(jobs));
  }

  const ClustersSource source_;
  const Caller caller_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeJobService(ClustersSource clusters, rpc::Caller caller) {
  return std::make_unique<JobServiceImpl>(std::move(clusters), caller);
}

}  // namespace strata::vcluster
