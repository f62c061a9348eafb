// Repeats episodes: simulation [--seed N] [--episodes N] [--hosts N] [--masters N] [--nodes N]
// [--faulty SECONDS] [--mistake N] [--trace]. Exit code 1: an episode failed; its seed is printed.
#include <cstdlib>
#include <iostream>
#include <string>

#include "common/log.h"
#include "tests/sim/simulation.h"

int main(int argc, char** argv) {
  using namespace strata::sim;
  strata::InitLog("simulation", strata::LogLevel::kError);
  SimOptions options;
  uint64_t episodes = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--trace") {
      options.trace = true;
      strata::InitLog("simulation", strata::LogLevel::kDebug);
      continue;
    }
    if (i + 1 == argc) {
      std::cerr << flag << " needs a number\n";
      return 2;
    }
    const uint64_t value = std::strtoull(argv[++i], nullptr, 10);
    if (flag == "--seed") {
      options.seed = value;
    } else if (flag == "--episodes") {
      episodes = value;
    } else if (flag == "--hosts") {
      options.hosts = static_cast<unsigned>(value);
    } else if (flag == "--masters") {
      options.masters = static_cast<unsigned>(value);
    } else if (flag == "--nodes") {
      options.first_nodes = static_cast<unsigned>(value);
    } else if (flag == "--faulty") {
      options.faulty = seconds(value);
    } else if (flag == "--mistake") {
      options.mistake = static_cast<Mistake>(value);
    } else {
      std::cerr << "unknown: " << flag << "\n";
      return 2;
    }
  }
  const auto begun = std::chrono::steady_clock::now();
  uint64_t failed = 0;
  for (uint64_t i = 0; i < episodes; ++i) {
    const SimResult result = Simulate(options);
    if (result.failure.has_value()) {
      ++failed;
      std::cout << "--seed " << options.seed << ": " << *result.failure << std::endl;
    } else if (episodes == 1) {
      std::cout << "--seed " << options.seed << ": ok; " << result.operations
                << " operations, of which " << result.failed_operations << " failed, "
                << result.faults << " faults, " << result.takeovers << " leads, " << result.commits
                << " commits, " << result.events << " events; first nodes after " << result.made_s
                << " s, settled after " << result.settled_s << " s; fingerprint "
                << result.fingerprint << "\n";
    }
    ++options.seed;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  std::cout << episodes << " episodes in " << took.count() << " s, " << failed << " failed\n";
  return failed == 0 ? 0 : 1;
}
