#include "vclusterd/host/exec_session.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include <csignal>
#include <cstdint>

#include "common/file_io.h"
#include "common/log.h"

namespace strata::vcluster {
namespace {

constexpr char kEndOfTransmission = 4;  // What ^D sends: the end of a terminal's input.

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> MakePipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return Errno("pipe");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Status MakeNonBlocking(int fd) {
  if (::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) return Errno("fcntl");
  return Ok();
}

}  // namespace

Result<std::unique_ptr<ExecSession>> ExecSession::Start(const NodeLife& life,
                                                        const ExecTarget& target,
                                                        const ExecParameters& parameters,
                                                        TerminalSize terminal,
                                                        ExecListener& listener) {
  if (parameters.argv.empty()) return Error(Code::kInvalidArgument, "no command");
  if (parameters.uid >= kIdCount || parameters.gid >= kIdCount) {
    return Error(Code::kInvalidArgument, "users and groups of a node are below 65536");
  }
  std::unique_ptr<ExecSession> session(new ExecSession(listener));
  RETURN_IF_ERROR(session->Open(life, target, parameters, terminal));
  session->thread_ = std::thread([raw = session.get()] { raw->Run(); });
  return session;
}

Status ExecSession::Open(const NodeLife& life, const ExecTarget& target,
                         const ExecParameters& parameters, TerminalSize size) {
  wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_.valid()) return Errno("eventfd");
  terminal_ = parameters.terminal;
  Pipe in, out, err;
  UniqueFd node_terminal;
  if (terminal_) {
    ASSIGN_OR_RETURN(NodeTerminal pair,
                     OpenNodeTerminal(target.init_pid, target.id_first + parameters.uid, size.rows,
                                      size.columns));
    out_ = UniqueFd(::fcntl(pair.controller.get(), F_DUPFD_CLOEXEC, 3));
    if (!out_.valid()) return Errno("dup");
    in_ = std::move(pair.controller);
    node_terminal = std::move(pair.terminal);
    const int fd = node_terminal.get();
    ASSIGN_OR_RETURN(Subprocess process, life.Exec(target, parameters, fd, fd, fd));
    process_.emplace(std::move(process));
  } else {
    ASSIGN_OR_RETURN(in, MakePipe());
    ASSIGN_OR_RETURN(out, MakePipe());
    ASSIGN_OR_RETURN(err, MakePipe());
    ASSIGN_OR_RETURN(Subprocess process, life.Exec(target, parameters, in.read.get(),
                                                   out.write.get(), err.write.get()));
    process_.emplace(std::move(process));
    in_ = std::move(in.write);
    out_ = std::move(out.read);
    err_ = std::move(err.read);
    RETURN_IF_ERROR(MakeNonBlocking(err_.get()));
  }
  RETURN_IF_ERROR(MakeNonBlocking(in_.get()));
  RETURN_IF_ERROR(MakeNonBlocking(out_.get()));
  pid_fd_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, process_->pid(), 0)));
  if (!pid_fd_.valid()) return Errno("pidfd_open");
  return Ok();
}

ExecSession::~ExecSession() {
  Kill();
  if (thread_.joinable()) thread_.join();
}

void ExecSession::Wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(wake_.get(), &one, sizeof(one));
}

void ExecSession::Input(std::string data) {
  const std::lock_guard lock(mutex_);
  input_ += data;
  input_waiting_ = true;
  Wake();
}

void ExecSession::EndInput() {
  const std::lock_guard lock(mutex_);
  input_ended_ = true;
  Wake();
}

void ExecSession::Resize(uint32_t rows, uint32_t columns) {
  if (!terminal_) return;
  if (Status resized = ResizeTerminal(out_.get(), rows, columns); !resized.ok()) {
    LOG_DEBUG(resized.error().message());  // The command ended at this moment.
  }
}

void ExecSession::Kill() {
  const std::lock_guard lock(mutex_);
  killed_ = true;
  Wake();
}

// Reads once and passes it on; closes `from` at its end. False: the client is gone.
bool ExecSession::Forward(UniqueFd& from, bool is_stderr) {
  char buffer[32 * 1024];
  const ssize_t n = ::read(from.get(), buffer, sizeof(buffer));
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return true;
  if (n <= 0) {  // EIO is how a terminal says that its other side was closed.
    from.reset();
    return true;
  }
  return listener_.Output(is_stderr, {buffer, static_cast<size_t>(n)});
}

bool ExecSession::HasInput() {
  const std::lock_guard lock(mutex_);
  return in_.valid() && (!input_.empty() || input_waiting_ || input_ended_);
}

void ExecSession::PassInput() {
  bool taken = false;
  {
    const std::lock_guard lock(mutex_);
    while (!input_.empty()) {
      const ssize_t n = ::write(in_.get(), input_.data(), input_.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return;
      if (n < 0) {
        input_.clear();  // The command does not read any more; its exit code will tell.
        break;
      }
      input_.erase(0, static_cast<size_t>(n));
    }
    taken = std::exchange(input_waiting_, false);
    if (input_ended_) {
      if (terminal_) {
        [[maybe_unused]] const ssize_t n = ::write(in_.get(), &kEndOfTransmission, 1);
      }
      in_.reset();
    }
  }
  if (taken) listener_.InputTaken();
}

void ExecSession::Run() {
  bool client_gone = false;
  bool exited = false;
  while (!client_gone && !(exited && !out_.valid() && !err_.valid())) {
    pollfd fds[5] = {{wake_.get(), POLLIN, 0},
                     {out_.get(), POLLIN, 0},
                     {err_.get(), POLLIN, 0},
                     {exited ? -1 : pid_fd_.get(), POLLIN, 0},
                     {HasInput() ? in_.get() : -1, POLLOUT, 0}};
    // After the command's end only what is in the pipes already counts: a program that it left in
    // the background may keep them open for ever.
    const int n = ::poll(fds, 5, exited ? 0 : -1);
    if (n < 0 && errno != EINTR) break;
    if (exited && n == 0) break;
    if (fds[0].revents != 0) {
      uint64_t count;
      [[maybe_unused]] const ssize_t ignored = ::read(wake_.get(), &count, sizeof(count));
      const std::lock_guard lock(mutex_);
      client_gone = killed_;
    }
    if (fds[1].revents != 0 && !Forward(out_, false)) client_gone = true;
    if (fds[2].revents != 0 && !Forward(err_, true)) client_gone = true;
    if (fds[4].revents != 0) PassInput();
    if (fds[3].revents != 0) exited = true;
  }
  if (!exited) process_->Kill(SIGKILL);
  Result<int> code = process_->Wait();
  if (client_gone && code.ok()) code = Error(Code::kCancelled, "the client is gone");
  listener_.Ended(std::move(code));
}

}  // namespace strata::vcluster
