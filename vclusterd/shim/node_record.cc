#include "vclusterd/shim/node_record.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <csignal>

#include "common/file_io.h"

namespace strata::vcluster {
namespace {

// Takes the next decimal number off the front of `*text`, with the blanks before it.
template <typename T>
bool TakeNumber(std::string_view* text, T* value) {
  while (!text->empty() && (text->front() == ' ' || text->front() == '\n')) text->remove_prefix(1);
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *value);
  if (error != std::errc()) return false;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  return true;
}

}  // namespace

Result<ProcessStat> ReadProcessStat(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  auto text = ReadFile(path, 4096);
  if (!text.ok()) {
    const int error = text.error().sys_errno();
    if (error == ENOENT || error == ESRCH) return Error(Code::kNotFound, "no process", error);
    return text.error();
  }
  // The name (field 2) may hold anything, so the fields are counted from its last parenthesis.
  const size_t name_end = text->rfind(')');
  if (name_end == std::string::npos || name_end + 3 >= text->size()) {
    return Error(Code::kInternal, path + ": unexpected content");
  }
  std::string_view rest = std::string_view(*text).substr(name_end + 2);
  ProcessStat stat;
  stat.state = rest.front();
  rest.remove_prefix(1);
  int64_t ignored = 0;
  bool ok = TakeNumber(&rest, &stat.parent);
  for (int field = 5; field < 22 && ok; ++field) ok = TakeNumber(&rest, &ignored);
  if (!ok || !TakeNumber(&rest, &stat.start_ticks)) {
    return Error(Code::kInternal, path + ": unexpected content");
  }
  return stat;
}

Result<ProcessId> IdentifyProcess(pid_t pid) {
  ASSIGN_OR_RETURN(const ProcessStat stat, ReadProcessStat(pid));
  return ProcessId{pid, stat.start_ticks};
}

Result<UniqueFd> OpenProcess(const ProcessId& process) {
  // Opened first, compared afterwards: the pid cannot change hands under an open pidfd.
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
  if (!fd.valid()) {
    if (errno == ESRCH || errno == EINVAL) return Error(Code::kNotFound, "no process", errno);
    return Errno("pidfd_open");
  }
  ASSIGN_OR_RETURN(const ProcessStat stat, ReadProcessStat(process.pid));
  if (stat.start_ticks != process.start_ticks || stat.state == 'Z') {
    return Error(Code::kNotFound, "no process", ESRCH);
  }
  return fd;
}

Status WaitProcess(int pid_fd, std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd fd{pid_fd, POLLIN, 0};
    const int n = ::poll(&fd, 1, static_cast<int>(std::max<int64_t>(0, left.count())));
    if (n > 0) return Ok();
    if (n == 0) return Error(Code::kDeadlineExceeded, "a process of the node does not end");
    if (errno != EINTR) return Errno("poll");
  }
}

void KillProcess(const UniqueFd& pid_fd) {
  ::syscall(SYS_pidfd_send_signal, pid_fd.get(), SIGKILL, nullptr, 0);
}

std::string FormatRecord(const NodeRecord& record) {
  std::string text;
  for (const ProcessId& process : {record.init, record.monitor}) {
    text += std::to_string(process.pid) + " " + std::to_string(process.start_ticks) + "\n";
  }
  return text;
}

Result<NodeRecord> ParseRecord(std::string_view text) {
  NodeRecord record;
  for (ProcessId* process : {&record.init, &record.monitor}) {
    if (!TakeNumber(&text, &process->pid) || !TakeNumber(&text, &process->start_ticks) ||
        process->pid <= 1) {
      return Error(Code::kCorrupt, "not a node record");
    }
  }
  return record;
}

}  // namespace strata::vcluster
