// A real imaged with state and sockets of its own.
#pragma once

#include <grpcpp/channel.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/paths.h"
#include "common/rpc/channel.h"
#include "common/subprocess.h"

namespace strata {

class ImagedProcess {
 public:
  // `program`: build/…/bin/imaged. State below `state_dir`; may be somewhere else at every start.
  ImagedProcess(std::string program, std::string run_parent)
      : program_(std::move(program)), run_parent_(std::move(run_parent)) {}

  // Until it answers. The error is what kept it from starting.
  Status Start(const std::string& state_dir, const std::vector<std::string>& more = {}) {
    // A socket of its own each time: gRPC would remember that the last one went away.
    run_dir_ = run_parent_ + "/" + std::to_string(++starts_);
    SubprocessOptions options;
    options.argv = {program_, "--state-dir", state_dir, "--run-dir", run_dir_};
    options.argv.insert(options.argv.end(), more.begin(), more.end());
    ASSIGN_OR_RETURN(Subprocess process, Subprocess::Start(options));
    process_.emplace(std::move(process));
    for (int attempt = 0; attempt < 1000; ++attempt) {
      auto channel = rpc::ConnectLocal(socket(), "imaged");
      if (channel.ok()) {
        channel_ = std::move(*channel);
        return Ok();
      }
      const auto ended = process_->WaitFor(std::chrono::milliseconds(20));
      if (ended.ok()) {
        process_.reset();
        return Error(Code::kInternal, "imaged ended with " + std::to_string(*ended));
      }
    }
    return Error(Code::kDeadlineExceeded, "imaged does not answer");
  }
  // Ends it with SIGKILL, or with SIGTERM: then its exit code is to be 0.
  void Kill() { End(SIGKILL, 128 + SIGKILL); }
  void Stop() { End(SIGTERM, 0); }
  // Runs imaged's command on a state that nobody serves; its exit code and output.
  Result<CommandOutput> Offline(const std::string& state_dir, const std::string& command) const {
    return Run({program_, "--state-dir", state_dir, "--run-dir", run_parent_, command});
  }

  std::string socket() const { return ImagedSocket(run_dir_); }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

 private:
  void End(int signal, int exit_code) {
    ASSERT_TRUE(process_.has_value());
    // imaged would wait for a client that is there.
    if (signal == SIGTERM) channel_.reset();
    process_->Kill(signal);
    const auto code = process_->Wait();
    ASSERT_TRUE(code.ok()) << code.error().message();
    EXPECT_EQ(*code, exit_code);
    process_.reset();
    channel_.reset();
  }

  const std::string program_;
  const std::string run_parent_;
  std::string run_dir_;
  int starts_ = 0;
  std::optional<Subprocess> process_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace strata
