#include "tests/conformance/env.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "common/file_io.h"

namespace strata::conformance {

const char* Env::p(std::string_view name) {
  return paths_.emplace_back(directory_ + "/" + std::string(name)).c_str();
}

void Env::Remount() {
  if (Status status = remount_(); !status.ok()) Fail("remount: " + status.error().message(), 0);
}

long Env::Ok(long result, const char* call, int line) {
  if (result < 0) Fail(std::string(call) + ": " + std::strerror(errno), line);
  return result;
}

void Env::Fails(int expected_errno, long result, const char* call, int line) {
  const int seen = result < 0 ? errno : 0;
  if (seen == expected_errno) return;
  Fail(std::string(call) + ": " + std::strerror(seen) + " instead of " +
           std::strerror(expected_errno),
       line);
}

void Env::True(bool holds, const char* what, int line) {
  if (!holds) Fail(std::string("not so: ") + what, line);
}

void Env::Fail(const std::string& text, int line) {
  failures_.push_back("line " + std::to_string(line) + ": " + text);
}

struct stat Env::Stat(const char* path, int line) {
  struct stat st = {};
  Ok(::lstat(path, &st), path, line);
  return st;
}

std::string Env::Read(const char* path, int line) {
  auto content = ReadFile(path);
  if (content.ok()) return *content;
  Fail(content.error().message(), line);
  return {};
}

void Env::Write(const char* path, std::string_view content, int line) {
  UniqueFd fd = Open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644, line);
  if (!fd.valid()) return;
  if (Status status = WriteAll(fd.get(), content); !status.ok()) {
    Fail(status.error().message(), line);
  }
  if (Status status = fd.Close(); !status.ok()) Fail(status.error().message(), line);
}

UniqueFd Env::Open(const char* path, int flags, mode_t mode, int line) {
  UniqueFd fd(::open(path, flags | O_CLOEXEC, mode));
  Ok(fd.get(), path, line);
  return fd;
}

std::vector<std::string> Env::List(const char* path, int line) {
  std::vector<std::string> names;
  DIR* directory = ::opendir(path);
  if (directory == nullptr) {
    Fail(std::string("opendir ") + path + ": " + std::strerror(errno), line);
    return names;
  }
  while (const dirent* entry = ::readdir(directory)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(directory);
  std::sort(names.begin(), names.end());
  return names;
}

std::string Env::Xattr(const char* path, const char* name, int line) {
  char value[4096];
  const ssize_t n = ::lgetxattr(path, name, value, sizeof(value));
  Ok(n, name, line);
  return n < 0 ? std::string() : std::string(value, static_cast<size_t>(n));
}

int Env::As(uid_t uid, const std::function<int()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::setgroups(0, nullptr) != 0 || ::setresgid(uid, uid, uid) != 0 ||
        ::setresuid(uid, uid, uid) != 0) {
      ::_exit(255);
    }
    ::_exit(body());
  }
  int status = 0;
  if (pid < 0 || ::waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

}  // namespace strata::conformance
