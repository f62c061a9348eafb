// imaged and vclusterd as the tools see them: a gRPC server on a Unix socket whose answers a test
// decides, and a run of a tool against it with its streams captured.
#pragma once

#include <fcntl.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "common/file_io.h"
#include "imaged/api/imaged.grpc.pb.h"
#include "tools/cli/console.h"
#include "vclusterd/api/vcluster.grpc.pb.h"

namespace strata::tools {

namespace iapi = imaged::v1;
namespace vapi = vcluster::v1;

class FakeImageService : public iapi::ImageService::Service {
 public:
  using ImportStream = grpc::ServerReaderWriter<iapi::ImportEvent, iapi::ImportRequest>;

  std::function<grpc::Status(grpc::ServerContext*, ImportStream*)> on_import;
  std::function<grpc::Status(const iapi::ListRequest&, iapi::ListResponse*)> on_list;
  std::function<grpc::Status(grpc::ServerWriter<iapi::ExportChunk>*)> on_export;
  iapi::ExportRequest export_request;  // The last one.
  std::function<grpc::Status(grpc::ServerWriter<iapi::FsckEvent>*)> on_fsck;

  grpc::Status Import(grpc::ServerContext* context, ImportStream* stream) override {
    return on_import(context, stream);
  }
  grpc::Status List(grpc::ServerContext*, const iapi::ListRequest* request,
                    iapi::ListResponse* response) override {
    return on_list(*request, response);
  }
  grpc::Status Export(grpc::ServerContext*, const iapi::ExportRequest* request,
                      grpc::ServerWriter<iapi::ExportChunk>* writer) override {
    export_request = *request;
    return on_export(writer);
  }
  grpc::Status Fsck(grpc::ServerContext*, const iapi::FsckRequest*,
                    grpc::ServerWriter<iapi::FsckEvent>* writer) override {
    return on_fsck(writer);
  }
};

class FakeVclusterService : public vapi::VclusterService::Service {
 public:
  using ExecStream = grpc::ServerReaderWriter<vapi::ExecEvent, vapi::ExecRequest>;

  std::function<grpc::Status(const vapi::CreateRequest&, grpc::ServerWriter<vapi::ClustersEvent>*)>
      on_create;
  std::function<grpc::Status(grpc::ServerContext*, ExecStream*)> on_exec;
  std::function<grpc::Status(const vapi::SaveRequest&, grpc::ServerWriter<vapi::SaveEvent>*)>
      on_save;
  vapi::Clusters clusters;     // What there is…
  vapi::Hosts hosts;           // …on these hosts.
  vapi::UsageHistory history;  // Of every node and host.
  std::string history_of;      // Of which it was asked for last: "node hpc/0", "host lab-1".

  grpc::Status List(grpc::ServerContext*, const vapi::ListRequest*,
                    vapi::Clusters* response) override {
    *response = clusters;
    return grpc::Status::OK;
  }
  grpc::Status ListHosts(grpc::ServerContext*, const vapi::HostsRequest*,
                         vapi::Hosts* response) override {
    *response = hosts;
    return grpc::Status::OK;
  }
  grpc::Status History(grpc::ServerContext*, const vapi::HistoryRequest* request,
                       vapi::UsageHistory* response) override {
    history_of = "node " + request->node();
    *response = history;
    return grpc::Status::OK;
  }
  grpc::Status HostHistory(grpc::ServerContext*, const vapi::HostHistoryRequest* request,
                           vapi::UsageHistory* response) override {
    history_of = "host " + request->host();
    *response = history;
    return grpc::Status::OK;
  }
  grpc::Status Create(grpc::ServerContext*, const vapi::CreateRequest* request,
                      grpc::ServerWriter<vapi::ClustersEvent>* writer) override {
    return on_create(*request, writer);
  }
  grpc::Status Exec(grpc::ServerContext* context, ExecStream* stream) override {
    return on_exec(context, stream);
  }
  grpc::Status Save(grpc::ServerContext*, const vapi::SaveRequest* request,
                    grpc::ServerWriter<vapi::SaveEvent>* writer) override {
    return on_save(*request, writer);
  }
};

// A program's `Main`, run in this process.
struct ToolRun {
  int exit_code = -1;
  std::string out;
  std::string err;
  std::string raw_out;  // What went to the descriptors: archives, a node's output.
  std::string raw_err;
};

using ToolMain = std::function<int(int, const char* const*, Console&)>;

class ToolTest : public testing::Test {
 protected:
  ToolTest() : directory_(*TemporaryDirectory::Create("/tmp", "strata-tools-test.")) {}

  ~ToolTest() override { Stop(); }

  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
  std::string socket() const { return path("daemon.sock"); }

  // Serve may be called again, for another service.
  void Stop() {
    if (server_) server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
    server_.reset();
  }
  void Serve(grpc::Service& service) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + socket(), grpc::InsecureServerCredentials());
    builder.RegisterService(&service);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }

  // `words` without the program's name; --socket is added before any "--".
  ToolRun Run(const ToolMain& main, std::vector<std::string> words, const std::string& input = "") {
    words.insert(std::find(words.begin(), words.end(), "--"), {"--socket", socket()});
    words.insert(words.begin(), "tool");
    std::vector<const char*> argv;
    for (const std::string& word : words) argv.push_back(word.c_str());
    EXPECT_TRUE(WriteFileAtomically(path("in"), input).ok());
    UniqueFd in(::open(path("in").c_str(), O_RDONLY | O_CLOEXEC));
    UniqueFd out(::open(path("out").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    UniqueFd err(::open(path("err").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    std::ostringstream out_text, err_text;
    Console console{out_text, err_text, in.get(), out.get(), err.get(), false};
    ToolRun run;
    run.exit_code = main(static_cast<int>(argv.size()), argv.data(), console);
    run.out = out_text.str();
    run.err = err_text.str();
    run.raw_out = *ReadFile(path("out"));
    run.raw_err = *ReadFile(path("err"));
    return run;
  }

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace strata::tools
