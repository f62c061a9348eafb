#include <lxc/attach_options.h>
#include <lxc/lxccontainer.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

#include "common/file_io.h"
#include "vclusterd/shim/start_exec.h"

namespace strata::vcluster {
namespace {

struct PutContainer {
  void operator()(lxc_container* container) const { lxc_container_put(container); }
};

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

bool Has(const std::vector<std::string>& env, std::string_view name) {
  return std::any_of(env.begin(), env.end(), [&](const std::string& entry) {
    return entry.starts_with(name) && entry.size() > name.size() && entry[name.size()] == '=';
  });
}

// The home of `uid` in the container's /etc/passwd: read inside it, with the rights of the command.
std::string HomeOf(uid_t uid) {
  const auto passwd = ReadFile("/etc/passwd", 1u << 20);
  std::string_view rest = passwd.ok() ? std::string_view(*passwd) : std::string_view();
  const std::string wanted = std::to_string(uid);
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    std::vector<std::string_view> fields;  // name:password:uid:gid:comment:home:shell
    for (size_t colon = 0; fields.size() < 7 && colon != std::string_view::npos;) {
      colon = line.find(':');
      fields.push_back(line.substr(0, colon));
      if (colon != std::string_view::npos) line.remove_prefix(colon + 1);
    }
    if (fields.size() >= 6 && fields[2] == wanted && fields[5].starts_with('/')) {
      return std::string(fields[5]);
    }
  }
  return uid == 0 ? "/root" : "/";
}

int Fail(const std::string& what, int error) {
  std::fprintf(stderr, "%s: %s\n", what.c_str(), std::strerror(error));
  return error == ENOENT ? 127 : 126;
}

// Runs inside the container, as the user, and becomes the command.
int BecomeCommand(void* payload) {
  auto& request = *static_cast<ExecNodeRequest*>(payload);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // strata-node is our parent: the command ends with it.
  ::setsid();
  if (request.terminal && ::ioctl(0, TIOCSCTTY, 0) != 0) return Fail("terminal", errno);
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (!Has(request.env, "HOME")) request.env.push_back("HOME=" + HomeOf(request.uid));
  const auto home = std::find_if(request.env.begin(), request.env.end(),
                                 [](const std::string& e) { return e.starts_with("HOME="); });
  if (!request.working_directory.empty()) {
    if (::chdir(request.working_directory.c_str()) != 0) {
      return Fail(request.working_directory, errno);
    }
  } else if (::chdir(home->c_str() + 5) != 0 && ::chdir("/") != 0) {
    return Fail("/", errno);
  }
  const std::vector<char*> argv = Pointers(request.argv);
  const std::vector<char*> env = Pointers(request.env);
  ::environ = const_cast<char**>(env.data());  // execvp looks for PATH there.
  ::execvp(argv[0], argv.data());
  return Fail(request.argv[0], errno);
}

}  // namespace

Result<int> ExecInNode(ExecNodeRequest& request) {
  if (request.argv.empty()) return Error(Code::kInvalidArgument, "no command");
  const std::unique_ptr<lxc_container, PutContainer> container(
      lxc_container_new(request.name.c_str(), request.lxc_path.c_str()));
  if (container == nullptr) return Error(Code::kInternal, "liblxc cannot open the node");
  // Without a configuration file liblxc has no configuration object until an item is set; attach
  // fills it with what the running container has.
  container->set_config_item(container.get(), "lxc.console.path", "none");

  lxc_attach_options_t options = LXC_ATTACH_OPTIONS_DEFAULT;
  options.env_policy = LXC_ATTACH_CLEAR_ENV;
  options.uid = request.uid;
  options.gid = request.gid;
  options.stdin_fd = 0;
  options.stdout_fd = 1;
  options.stderr_fd = 2;
  char root[] = "/";
  options.initial_cwd = root;
  pid_t pid = -1;
  if (container->attach(container.get(), BecomeCommand, &request, &options, &pid) != 0) {
    return Error(Code::kFailedPrecondition, "liblxc could not enter the node; is it running?");
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return Errno("waitpid");
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace strata::vcluster
