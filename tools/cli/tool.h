// The frame of a command-line tool: parse (CLI11), run the chosen action, print one error line,
// answer with an exit code. Every command has --json and --socket.
//
//   Tool tool("vimage", "…", Daemon::kImaged, console);
//   CLI::App* show = tool.AddCommand("show", "…", "vimage show debian", [&] { return Show(…); });
//   show->add_option(…);
//   return tool.Run(argc, argv);
//
// Used by one thread.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/result.h"
#include "tools/cli/console.h"

namespace grpc {
class Channel;
class Status;
}  // namespace grpc

namespace strata::tools {

enum class Daemon { kImaged, kVclusterd, kVnetd };
// Where it listens unless --socket says otherwise.
std::string DefaultSocket(Daemon daemon);

class Tool {
 public:
  // Ok(exit code), or the error whose code decides it.
  using Action = std::function<Result<int>()>;

  // REQUIRES: `console` outlives this.
  Tool(std::string name, std::string description, Daemon daemon, Console& console);

  // A subcommand, of `group` if one is given; `examples` are whole command lines, one per line.
  // Owned by this.
  CLI::App* AddCommand(const std::string& name, const std::string& description,
                       const std::string& examples, Action action, CLI::App* group = nullptr);
  // A word that subcommands stand behind, as "host" of "vimage host list". Owned by this.
  CLI::App* AddGroup(const std::string& name, const std::string& description);
  // For a tool without subcommands.
  CLI::App* SetOnlyCommand(const std::string& examples, Action action);

  // Words after the first "--" are not parsed but kept in trailing(); only such a command takes
  // them.
  void AllowTrailing(CLI::App* command);

  // Parses and acts.
  int Run(int argc, const char* const* argv);

  Console& console() { return console_; }
  bool json() const { return json_; }
  const std::vector<std::string>& trailing() const { return trailing_; }
  // The whole command line, for an image's lineage.
  const std::string& command_line() const { return command_line_; }
  Result<std::shared_ptr<grpc::Channel>> Connect() const;

  // A line on the error stream, "<tool>: <message>".
  void Complain(const std::string& message);

 private:
  struct Command {
    CLI::App* app;
    Action action;
    bool takes_trailing = false;
  };
  void AddCommonOptions(CLI::App* app, const std::string& examples, Action action);
  bool IsUnknownCommand(const std::string& word) const;
  int Act(const Command& command);

  const std::string name_;
  const Daemon daemon_;
  Console& console_;
  CLI::App app_;
  std::vector<Command> commands_;
  bool json_ = false;
  std::string socket_;
  std::vector<std::string> trailing_;
  std::string command_line_;
};

// What a broken-off or refused call means to the user. REQUIRES: !status.ok().
Error CallError(const grpc::Status& status, Daemon daemon);

}  // namespace strata::tools
