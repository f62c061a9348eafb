// A master that steps down waits for the calls that work with it, and not for their clients.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <future>

#include "tests/unit/vclusterd/master/fake_host.h"
#include "tests/unit/vclusterd/test_users.h"
#include "vclusterd/api/job_service.grpc.pb.h"
#include "vclusterd/jobs/engine.h"
#include "vclusterd/master/jobs.h"
#include "vclusterd/master/tables.h"
#include "vclusterd/service/job_service.h"

namespace strata::vcluster {
namespace {

namespace api = jobs::v1;

// More than gRPC holds of a stream that nobody reads.
constexpr uint32_t kNodes = 16;
constexpr std::chrono::seconds kSoon(20);

class StepDownTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = records::MakeMemoryRecordStore(DesiredTables());
    users_ = std::make_unique<TestUsers>(*store_);
    MasterOptions options;
    options.name = "m1";
    options.pool = net::Ipv4Prefix::Parse("10.215.0.0/16").value();
    options.user_name = [](uint32_t uid) { return std::to_string(uid); };
    options.now_unix_ms = [] { return int64_t{1'800'000'000'000}; };
    options.every = std::chrono::milliseconds(20);
    auto opened = Master::Open(options, *store_);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    master_ = std::move(*opened);
    host_ = std::make_shared<FakeHost>();
    host_->name = "h1";
    master_->AddHost("h1", host_, {});
    auto promise = std::make_shared<std::promise<void>>();
    clusters_back_ = promise->get_future();
    clusters_ = std::shared_ptr<Clusters>(new Clusters(*master_, **users_), [promise](Clusters* c) {
      delete c;
      promise->set_value();
    });
    RunAJob();
    Serve();
  }
  void TearDown() override {
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
    clusters_.reset();
  }

  // A job that is done, and each of whose runs wrote as much as is kept.
  void RunAJob() {
    ASSERT_TRUE(clusters_
                    ->Create(
                        kAlice, PlainDefinition("v", "tiny", kNodes, {}), "",
                        [](const std::string&, uint32_t, uint32_t) {}, CancelToken())
                    .ok());
    for (uint32_t node = 0; node < kNodes; ++node) {
      host_->EndTask("1.0." + std::to_string(node) + ".1", host::v1::TASK_ENDED, 0,
                     std::string(kRunOutputBytesMax, 'x'));
    }
    const auto definition =
        ParseJob("name: loud\nvcluster: v\ntasks:\n  a: {run: x, on: all}\n", "j.yaml", {});
    ASSERT_TRUE(definition.ok());
    Jobs jobs(*clusters_);
    ASSERT_TRUE(jobs.Submit(kAlice, *definition).ok());
    const auto deadline = std::chrono::steady_clock::now() + kSoon;
    while (jobs.Find(kAlice, "1").value().job->phase() != api::DONE) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      host_->TellAgain(*master_);
      std::this_thread::yield();
    }
  }

  void Serve() {
    service_ = MakeJobService(
        [this]() -> Result<std::shared_ptr<Clusters>> {
          const std::lock_guard lock(mutex_);
          if (clusters_ == nullptr) return Error(Code::kUnavailable, "no master leads here");
          return clusters_;
        },
        rpc::Caller{kAlice.uid});
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // The window stays as it is.
    stub_ = api::JobService::NewStub(grpc::CreateCustomChannel(
        "127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials(), arguments));
  }

  // As the daemon's Lead::Lost. False: some call has not let the master go by then.
  bool StepsDown() {
    {
      const std::lock_guard lock(mutex_);
      clusters_.reset();
    }
    master_->EndWaits();
    return clusters_back_.wait_for(kSoon) == std::future_status::ready;
  }

  std::unique_ptr<records::RecordStore> store_;
  std::unique_ptr<TestUsers> users_;
  std::unique_ptr<Master> master_;
  std::shared_ptr<FakeHost> host_;
  std::future<void> clusters_back_;
  std::mutex mutex_;  // Guards clusters_.
  std::shared_ptr<Clusters> clusters_;
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<api::JobService::Stub> stub_;
};

TEST_F(StepDownTest, AClientThatReadsNoMoreOutputDoesNotHoldItUp) {
  grpc::ClientContext context;
  api::OutputRequest request;
  request.set_job("loud");
  const auto reader = stub_->Output(&context, request);
  api::RunOutput output;
  ASSERT_TRUE(reader->Read(&output));
  EXPECT_TRUE(StepsDown());
  while (reader->Read(&output)) continue;
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(StepDownTest, AClientThatReadsNoMoreOfAWatchDoesNotHoldItUp) {
  grpc::ClientContext context;
  api::WatchRequest request;
  request.set_job("loud");
  request.set_outputs(true);
  const auto reader = stub_->Watch(&context, request);
  api::WatchEvent event;
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_TRUE(StepsDown());
  while (reader->Read(&event)) continue;
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

}  // namespace
}  // namespace strata::vcluster
