// One command in a node with a client at its other end: a thread that moves bytes between the
// command's descriptors and a message stream. Knows nothing of gRPC, so tests drive it directly.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "common/result.h"
#include "common/subprocess.h"
#include "vclusterd/host/node_life.h"
#include "vclusterd/runtime/node_terminal.h"

namespace strata::vcluster {

// What the client hears. Called from the session's thread, one at a time; Output may block (that is
// how a slow client slows the command down) and answers false when the client is gone.
class ExecListener {
 public:
  virtual ~ExecListener() = default;
  virtual bool Output(bool is_stderr, std::string_view data) = 0;
  // The input given so far was passed on: more may come.
  virtual void InputTaken() = 0;
  // Last. The exit code, or why there is none.
  virtual void Ended(Result<int> exit_code) = 0;
};

struct TerminalSize {
  uint32_t rows = 24;
  uint32_t columns = 80;
};

// A command that runs in a node, here or on another host. Destroying it kills the command if it
// still runs and waits until the listener is not called any more; not to be done by the listener.
class RunningCommand {
 public:
  virtual ~RunningCommand() = default;

  // Thread-safe, never block. At most one chunk may be under way (see InputTaken).
  virtual void Input(std::string data) = 0;
  virtual void EndInput() = 0;
  virtual void Resize(uint32_t rows, uint32_t columns) = 0;
  virtual void Kill() = 0;
};

class ExecSession final : public RunningCommand {
 public:
  // Starts the command. `listener` must outlive the session.
  static Result<std::unique_ptr<ExecSession>> Start(const NodeLife& life, const ExecTarget& target,
                                                    const ExecParameters& parameters,
                                                    TerminalSize terminal, ExecListener& listener);
  ~ExecSession() override;

  void Input(std::string data) override;
  void EndInput() override;
  void Resize(uint32_t rows, uint32_t columns) override;
  void Kill() override;

 private:
  explicit ExecSession(ExecListener& listener) : listener_(listener) {}
  Status Open(const NodeLife& life, const ExecTarget& target, const ExecParameters& parameters,
              TerminalSize terminal);
  void Run();
  bool Forward(UniqueFd& from, bool is_stderr);
  void PassInput();
  bool HasInput();
  void Wake();

  ExecListener& listener_;
  UniqueFd in_;  // Our ends. With a terminal, in_ is its controller and out_ a copy of it.
  UniqueFd out_;
  UniqueFd err_;
  UniqueFd wake_;  // eventfd: the state below changed.
  UniqueFd pid_fd_;
  bool terminal_ = false;
  std::optional<Subprocess> process_;
  std::mutex mutex_;  // Guards what follows.
  std::string input_;
  bool input_waiting_ = false;
  bool input_ended_ = false;
  bool killed_ = false;
  std::thread thread_;
};

}  // namespace strata::vcluster
