#include "vclusterd/service/exec_reactor.h"

#include <condition_variable>
#include <mutex>

#include "common/rpc/status.h"
#include "vclusterd/service/node_messages.h"

namespace strata::vcluster {
namespace {

using Base = grpc::ServerBidiReactor<v1::ExecRequest, v1::ExecEvent>;

class ExecReactor final : public Base, private ExecListener {
 public:
  explicit ExecReactor(ExecStarter start) : start_(std::move(start)) { StartRead(&request_); }

  void OnReadDone(bool ok) override {
    if (!ok) {
      if (session_ != nullptr) {
        session_->EndInput();
      } else {
        FinishOnce(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "the call has no start"));
      }
      return;
    }
    if (session_ == nullptr) {
      StartCommand();
      return;
    }
    bool read_on = true;
    if (request_.has_stdin_data()) {
      session_->Input(std::move(*request_.mutable_stdin_data()));
      read_on = false;  // InputTaken reads on: the client cannot flood us.
    } else if (request_.has_resize()) {
      session_->Resize(request_.resize().rows(), request_.resize().columns());
    } else if (request_.has_stdin_end()) {
      session_->EndInput();
    }
    if (read_on) StartRead(&request_);
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    writing_ = false;
    write_ok_ = ok;
    written_.notify_all();
  }

  void OnCancel() override {
    if (started_.load()) session_->Kill();
  }

  // The session's thread may be the one that finished the call and be on its way out still: it is
  // joined here, on a thread of gRPC.
  void OnDone() override {
    session_.reset();
    delete this;
  }

 private:
  void StartCommand() {
    if (!request_.has_start()) {
      FinishOnce(
          grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "the first message is the start"));
      return;
    }
    const ExecParameters parameters = FromProto(request_.start());
    TerminalSize size;
    if (request_.start().rows() != 0) size.rows = request_.start().rows();
    if (request_.start().columns() != 0) size.columns = request_.start().columns();
    auto session = start_(request_.start().node(), parameters, size, *this);
    if (!session.ok()) return FinishOnce(rpc::ToGrpc(session.error()));
    session_ = std::move(*session);
    started_ = true;
    StartRead(&request_);
  }

  bool Output(bool is_stderr, std::string_view data) override {
    v1::ExecEvent event;
    (is_stderr ? event.mutable_stderr_data() : event.mutable_stdout_data())->assign(data);
    return Send(std::move(event));
  }

  void InputTaken() override { StartRead(&request_); }

  void Ended(Result<int> exit_code) override {
    if (!exit_code.ok()) return FinishOnce(rpc::ToGrpc(exit_code.error()));
    v1::ExecEvent event;
    event.set_exit_code(*exit_code);
    Send(std::move(event));
    FinishOnce(grpc::Status::OK);
  }

  // Waits until the message is gone: one write may be under way.
  bool Send(v1::ExecEvent event) {
    std::unique_lock lock(mutex_);
    if (finished_ || !write_ok_) return false;
    event_ = std::move(event);
    writing_ = true;
    StartWrite(&event_);
    written_.wait(lock, [&] { return !writing_; });
    return write_ok_;
  }

  void FinishOnce(const grpc::Status& status) {
    {
      const std::lock_guard lock(mutex_);
      if (finished_) return;
      finished_ = true;
    }
    Finish(status);
  }

  const ExecStarter start_;
  v1::ExecRequest request_;
  v1::ExecEvent event_;
  std::unique_ptr<RunningCommand> session_;
  std::atomic<bool> started_{false};  // session_ may be used by OnCancel.
  std::mutex mutex_;                  // Guards what follows.
  std::condition_variable written_;
  bool writing_ = false;
  bool write_ok_ = true;
  bool finished_ = false;
};

}  // namespace

Base* NewExecReactor(ExecStarter start) { return new ExecReactor(std::move(start)); }

}  // namespace strata::vcluster
