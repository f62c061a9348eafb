#include "tools/cli/tool.h"

#include <grpcpp/support/status.h>

#include <algorithm>
#include <exception>
#include <iterator>
#include <ostream>

#include "common/paths.h"
#include "common/printable.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "common/version.h"
#include "tools/cli/exit_code.h"

namespace strata::tools {
namespace {

constexpr size_t kLineBytes = 4096;

const char* DaemonName(Daemon daemon) {
  switch (daemon) {
    case Daemon::kImaged:
      return "imaged";
    case Daemon::kVclusterd:
      return "vclusterd";
    case Daemon::kVnetd:
      return "vnetd";
  }
  return "";
}

}  // namespace

std::string DefaultSocket(Daemon daemon) {
  return DefaultRunDir() + "/" + DaemonName(daemon) + ".sock";
}

Error CallError(const grpc::Status& status, Daemon daemon) {
  const Error error = rpc::FromGrpc(status);
  const std::string name = DaemonName(daemon);
  switch (error.code()) {
    case Code::kCancelled:
      return Error(Code::kCancelled, "cancelled");
    case Code::kUnavailable:
      return Error(Code::kUnavailable, name + " went away during the call (" + error.message() +
                                           "): look at its log, then try again");
    case Code::kUnsupported:
      if (!error.message().empty()) return error;
      return Error(Code::kUnsupported,
                   name + " does not know this call: are tool and daemon of the same version?");
    default:
      if (!error.message().empty()) return error;
      return Error(error.code(), name + " failed without a message: look at its log");
  }
}

Tool::Tool(std::string name, std::string description, Daemon daemon, Console& console)
    : name_(std::move(name)),
      daemon_(daemon),
      console_(console),
      app_(std::move(description), name_),
      socket_(DefaultSocket(daemon)) {
  app_.footer(ExitCodeHelp());
  app_.set_version_flag("--version", name_ + " " + Version());
  app_.get_formatter()->column_width(34);
}

CLI::App* Tool::AddCommand(const std::string& name, const std::string& description,
                           const std::string& examples, Action action, CLI::App* group) {
  app_.require_subcommand(1);
  CLI::App* command = (group != nullptr ? group : &app_)->add_subcommand(name, description);
  AddCommonOptions(command, examples, std::move(action));
  return command;
}

CLI::App* Tool::AddGroup(const std::string& name, const std::string& description) {
  CLI::App* group = app_.add_subcommand(name, description);
  group->require_subcommand(1);
  return group;
}

CLI::App* Tool::SetOnlyCommand(const std::string& examples, Action action) {
  AddCommonOptions(&app_, examples, std::move(action));
  return &app_;
}

void Tool::AddCommonOptions(CLI::App* app, const std::string& examples, Action action) {
  app->add_flag("--json", json_, "Print the result as JSON, and no progress");
  app->add_option("--socket", socket_, std::string("Where ") + DaemonName(daemon_) + " listens")
      ->capture_default_str()
      ->type_name("PATH");
  app->footer("Examples:\n" + examples + "\n\n" + ExitCodeHelp());
  commands_.push_back({app, std::move(action), false});
}

void Tool::AllowTrailing(CLI::App* command) {
  for (Command& known : commands_) known.takes_trailing |= known.app == command;
}

Result<std::shared_ptr<grpc::Channel>> Tool::Connect() const {
  return rpc::ConnectLocal(socket_, DaemonName(daemon_));
}

void Tool::Complain(const std::string& message) {
  std::string line = message;
  std::replace(line.begin(), line.end(), '\n', ' ');
  console_.err << name_ << ": " << Printable(line, kLineBytes) << std::endl;
}

bool Tool::IsUnknownCommand(const std::string& word) const {
  const auto is_known = [&](const CLI::App* app) { return app->get_name() == word; };
  return std::none_of(commands_.begin(), commands_.end(),
                      [&](const Command& command) { return command.app == &app_; }) &&
         app_.get_subcommands(is_known).empty();
}

int Tool::Run(int argc, const char* const* argv) {
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  command_line_ = name_;
  for (const std::string& word : words) command_line_ += " " + word;
  // CLI11 would look into "[…]" arguments; a command for a node must arrive as it was typed.
  const auto dashes = std::find(words.begin(), words.end(), "--");
  if (dashes != words.end()) {
    trailing_.assign(std::next(dashes), words.end());
    words.erase(dashes, words.end());
  }
  if (!words.empty() && !words[0].starts_with('-') && IsUnknownCommand(words[0])) {
    Complain("there is no command '" + words[0] + "': see " + name_ + " --help");
    return kExitUsage;
  }
  std::reverse(words.begin(), words.end());  // As CLI11 wants it.
  try {
    app_.parse(words);
    for (const Command& command : commands_) {
      if (command.app == &app_ || command.app->parsed()) return Act(command);
    }
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app_.exit(error, console_.out, console_.err);  // --help
    Complain(std::string(error.what()) + ": see " + name_ + " --help");
    return kExitUsage;
  } catch (const std::exception& error) {
    Complain(std::string("unexpected failure: ") + error.what());
    return kExitFailed;
  }
  return kExitUsage;
}

int Tool::Act(const Command& command) {
  if (!trailing_.empty() && !command.takes_trailing) {
    Complain("nothing may follow '--' here: see " + name_ + " --help");
    return kExitUsage;
  }
  const Result<int> result = command.action();
  if (!result.ok()) {
    Complain(result.error().message());
    return ExitCodeOf(result.error().code());
  }
  console_.out.flush();
  if (!console_.out.good()) {
    Complain("cannot write the result to standard output (is the disk full?)");
    return kExitFailed;
  }
  return *result;
}

}  // namespace strata::tools
