// `layerfs serve`: the server process of one fuse root. Started by layerfs/fuse_launch.cc, which
// gives it its descriptors (see fuse_launch.h).
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace strata::layerfs {

struct ServeArguments {
  int fuse_fd = -1;
  int ready_fd = -1;  // -1: stay in the foreground and tell nobody (debugging).
  int state_fd = -1;  // Of an earlier version of this program, whose server we replace.
  std::string tree;
  std::string objects;
  std::string upper;
  std::string work;
  std::string id_shift;
  std::string object_mount;  // Empty: none.
  std::string imaged;
  std::string objects_binary;
  unsigned threads = 4;
  bool no_passthrough = false;
  bool debug = false;
};

void AddServe(CLI::App& app, ServeArguments* arguments);

// The exit code of the process. With a readiness pipe the caller's child ends once the server is
// ready, and the server goes on as a process of its own, with a keeper (keeper.h).
int RunServe(const ServeArguments& arguments);

}  // namespace strata::layerfs
