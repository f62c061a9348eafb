// Saves and commands in nodes of another host.
#include <condition_variable>
#include <deque>
#include <thread>

#include "common/rpc/call_watch.h"
#include "common/rpc/status.h"
#include "vclusterd/remote/remote_host.h"
#include "vclusterd/service/node_messages.h"

namespace strata::vcluster {
namespace {

// A save says nothing while it copies, which may take long; a dead host is noticed by gRPC itself.
constexpr std::chrono::hours kSaveStallMax(6);

// One command: a thread reads what comes of it, another writes what goes to it.
class RemoteCommand final : public RunningCommand {
 public:
  RemoteCommand(host::v1::WorkerService::Stub* worker, ExecListener& listener)
      : listener_(listener), stream_(worker->Exec(&context_)) {}
  ~RemoteCommand() override {
    Kill();
    if (reader_.joinable()) reader_.join();
    if (writer_.joinable()) writer_.join();
  }

  // The first event, or the call's end, tells whether it has started.
  Status Start(const v1::ExecRequest& start) {
    if (!stream_->Write(start)) return rpc::FromGrpc(stream_->Finish());
    writer_ = std::thread([this] { Write(); });
    reader_ = std::thread([this] { Read(); });
    return Ok();
  }

  void Input(std::string data) override {
    v1::ExecRequest request;
    request.set_stdin_data(std::move(data));
    Push(std::move(request));
  }
  void EndInput() override {
    v1::ExecRequest request;
    request.set_stdin_end(true);
    Push(std::move(request));
  }
  void Resize(uint32_t rows, uint32_t columns) override {
    v1::ExecRequest request;
    request.mutable_resize()->set_rows(rows);
    request.mutable_resize()->set_columns(columns);
    Push(std::move(request));
  }
  void Kill() override {
    context_.TryCancel();
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }

 private:
  void Push(v1::ExecRequest request) {
    const std::lock_guard lock(mutex_);
    outgoing_.push_back(std::move(request));
    changed_.notify_all();
  }

  void Write() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return ended_ || !outgoing_.empty(); });
      if (ended_) return;
      const v1::ExecRequest request = std::move(outgoing_.front());
      outgoing_.pop_front();
      lock.unlock();
      const bool written = stream_->Write(request);
      if (written && request.has_stdin_data()) listener_.InputTaken();
      lock.lock();
      if (!written) return;
    }
  }

  void Read() {
    v1::ExecEvent event;
    std::optional<int> exit_code;
    bool wanted = true;
    while (stream_->Read(&event)) {
      if (event.has_exit_code()) {
        exit_code = event.exit_code();
      } else if (wanted) {
        const bool is_stderr = event.has_stderr_data();
        wanted = listener_.Output(is_stderr, is_stderr ? event.stderr_data() : event.stdout_data());
        if (!wanted) context_.TryCancel();
      }
    }
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
      changed_.notify_all();
    }
    if (writer_.joinable()) writer_.join();
    const grpc::Status status = stream_->Finish();
    if (exit_code.has_value() && status.ok()) return listener_.Ended(*exit_code);
    listener_.Ended(status.ok() ? Error(Code::kInternal, "the host said no exit code")
                                : rpc::FromGrpc(status));
  }

  ExecListener& listener_;
  grpc::ClientContext context_;
  const std::unique_ptr<grpc::ClientReaderWriter<v1::ExecRequest, v1::ExecEvent>> stream_;
  std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  std::deque<v1::ExecRequest> outgoing_;
  bool ended_ = false;
  std::thread writer_;  // Joined by the reader, or by the end.
  std::thread reader_;
};

}  // namespace

Result<SaveNodeResult> RemoteHost::Save(uint32_t number, uint32_t index,
                                        const SaveNodeParameters& parameters,
                                        const NodeLife::ProgressFn& progress,
                                        const CancelToken& cancel) {
  host::v1::SaveNodeRequest request;
  request.set_number(number);
  request.set_index(index);
  request.set_on_behalf_of_uid(parameters.on_behalf_of_uid);
  request.set_origin(parameters.origin);
  ToProto(parameters, request.mutable_save());
  grpc::ClientContext context;
  const auto reader = stub_->Save(&context, request);
  rpc::CallWatch watch([&] { context.TryCancel(); }, kSaveStallMax, &cancel);
  v1::SaveEvent event;
  std::optional<SaveNodeResult> saved;
  while (reader->Read(&event)) {
    watch.Moved();
    if (event.has_result()) {
      saved = FromProto(event.result());
    } else {
      progress(event.progress().stage(), event.progress().done(), event.progress().total());
    }
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return rpc::FromGrpc(status);
  if (!saved.has_value()) return Error(Code::kInternal, "host " + name_ + " said no result");
  return std::move(*saved);
}

Result<std::unique_ptr<RunningCommand>> RemoteHost::Exec(uint32_t number, uint32_t index,
                                                         const ExecParameters& parameters,
                                                         TerminalSize terminal,
                                                         ExecListener& listener) {
  v1::ExecRequest start;
  start.mutable_start()->set_node(std::to_string(number) + "-" + std::to_string(index));
  ToProto(parameters, start.mutable_start());
  start.mutable_start()->set_rows(terminal.rows);
  start.mutable_start()->set_columns(terminal.columns);
  auto command = std::make_unique<RemoteCommand>(stub_.get(), listener);
  RETURN_IF_ERROR(command->Start(start));
  return std::unique_ptr<RunningCommand>(std::move(command));
}

}  // namespace strata::vcluster
