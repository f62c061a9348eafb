// layerfs_property: random operations on a driver, held to a model of a POSIX tree. Prints its
// seed; a failure is shrunk to the fewest operations, which --replay carries out again.
#include <getopt.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "common/file_io.h"
#include "tests/property/crowd.h"
#include "tests/property/episode.h"
#include "tests/property/generator.h"
#include "tests/property/shrink.h"

namespace strata::property {
namespace {

constexpr char kUsage[] =
    "usage: layerfs_property [--driver plain|overlay|kernel|fuse|switching] [--seed N] [--ops N]\n"
    "                        [--episode N] [--check-every N] [--dir DIR] [--threads N]\n"
    "                        [--replay FILE]\n";

// Set by SIGINT and SIGTERM: the sequence ends there, and what was mounted is unmounted.
std::atomic<bool> stop_asked{false};

struct Options {
  EpisodeOptions episode;
  uint64_t seed = std::random_device()();
  uint64_t operations = 4000;
  uint64_t episode_operations = 2000;
  unsigned threads = 0;  // 0: one sequence, which can be shrunk.
  std::string replay;
};

Result<Options> ParseOptions(int argc, char** argv) {
  const option long_options[] = {{"driver", required_argument, nullptr, 'd'},
                                 {"seed", required_argument, nullptr, 's'},
                                 {"ops", required_argument, nullptr, 'o'},
                                 {"episode", required_argument, nullptr, 'e'},
                                 {"check-every", required_argument, nullptr, 'c'},
                                 {"dir", required_argument, nullptr, 'p'},
                                 {"replay", required_argument, nullptr, 'r'},
                                 {"threads", required_argument, nullptr, 't'},
                                 {nullptr, 0, nullptr, 0}};
  Options options;
  int letter;
  while ((letter = ::getopt_long(argc, argv, "", long_options, nullptr)) != -1) {
    const uint64_t number = optarg == nullptr ? 0 : std::strtoull(optarg, nullptr, 10);
    switch (letter) {
      case 'd': {
        ASSIGN_OR_RETURN(options.episode.target, ParseTarget(optarg));
        break;
      }
      case 's':
        options.seed = number;
        break;
      case 'o':
        options.operations = number;
        break;
      case 'e':
        options.episode_operations = std::max<uint64_t>(number, 1);
        break;
      case 'c':
        options.episode.check_every = std::max<size_t>(number, 1);
        break;
      case 'p':
        options.episode.directory = optarg;
        break;
      case 't':
        options.threads = static_cast<unsigned>(std::min<uint64_t>(number, 64));
        break;
      case 'r':
        options.replay = optarg;
        break;
      default:
        return Error(Code::kInvalidArgument, kUsage);
    }
  }
  if (optind != argc) return Error(Code::kInvalidArgument, kUsage);
  return options;
}

void Report(const Failure& failure, const std::vector<Operation>& operations) {
  std::printf("at operation %zu, %s: %s\n", failure.index,
              operations.empty() ? "none" : operations[failure.index].Text().c_str(),
              failure.text.c_str());
  std::fflush(stdout);
}

// The fewest operations that still fail, checked after each; or, where that hides the failure
// (checking fills the kernel's caches), as seldom as before.
Status ShrinkAndReport(EpisodeOptions options, std::vector<Operation> operations) {
  const size_t check_every = options.check_every;
  options.check_every = 1;
  std::optional<Failure> last;
  std::optional<Error> error;
  const auto fails = [&](const std::vector<Operation>& fewer) {
    if (stop_asked) return false;  // The fewest so far.
    Result<EpisodeResult> result = Replay(options, fewer);
    if (!result.ok()) {
      error = result.error();
      return false;
    }
    if (result->failure) last = result->failure;
    return result->failure.has_value();
  };
  bool again = fails(operations);
  if (!again) {
    options.check_every = check_every;
    again = fails(operations);
  }
  if (!again) {
    std::printf("it does not fail again: it depends on time, or on what is not in the sequence\n");
    return error ? Status(*error) : Ok();
  }
  operations.resize(last->index + 1);
  const std::vector<Operation> fewest = Shrink(std::move(operations), fails);
  if (!stop_asked && !fails(fewest)) {
    return Error(Code::kInternal, "the shrunk sequence does not fail");
  }
  std::printf("the fewest operations that fail (--replay FILE --check-every %zu):\n%s",
              options.check_every, OperationsText(fewest).c_str());
  Report(*last, fewest);
  return Ok();
}

Result<bool> RunReplay(const Options& options) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(options.replay));
  ASSIGN_OR_RETURN(const std::vector<Operation> operations, ParseOperations(text));
  ASSIGN_OR_RETURN(const EpisodeResult result, Replay(options.episode, operations));
  if (result.failure) Report(*result.failure, operations);
  return !result.failure.has_value();
}

// The same on many sequences at once. True: everything held.
Result<bool> RunCrowds(const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  std::printf("driver %s, seed %llu, %u sequences of %llu operations at once\n",
              std::string(TargetName(options.episode.target)).c_str(),
              static_cast<unsigned long long>(options.seed), options.threads,
              static_cast<unsigned long long>(options.operations));
  std::fflush(stdout);
  for (uint64_t done = 0; done < options.operations && !stop_asked;
       done += options.episode_operations) {
    const uint64_t count = std::min(options.episode_operations, options.operations - done);
    ASSIGN_OR_RETURN(const std::string text, RunCrowd(options.episode, options.seed + done,
                                                      options.threads, count, stop_asked));
    if (text.empty()) continue;
    std::printf("FAILED with seed %llu: %s\n", static_cast<unsigned long long>(options.seed + done),
                text.c_str());
    return false;
  }
  if (stop_asked) return Error(Code::kCancelled, "stopped by a signal");
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("held, in %.1f s\n", seconds.count());
  return true;
}

// True: everything held.
Result<bool> RunRandom(const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  std::printf("driver %s, seed %llu, %llu operations\n",
              std::string(TargetName(options.episode.target)).c_str(),
              static_cast<unsigned long long>(options.seed),
              static_cast<unsigned long long>(options.operations));
  std::fflush(stdout);
  uint64_t left = options.operations, succeeded = 0;
  for (uint64_t round = 0; left > 0 && !stop_asked; ++round) {
    const uint64_t seed = options.seed + round;  // So that an episode can be run alone.
    uint64_t budget = std::min(left, options.episode_operations);
    left -= budget;
    Generator generator(seed);
    std::vector<Operation> done;
    ASSIGN_OR_RETURN(const EpisodeResult result,
                     RunEpisode(
                         options.episode,
                         [&](const Model& model) -> std::optional<Operation> {
                           if (budget-- == 0 || stop_asked) return std::nullopt;
                           return generator.Next(model);
                         },
                         &done));
    succeeded += result.succeeded;
    if (!result.failure) continue;
    std::printf("FAILED in the episode of seed %llu\n", static_cast<unsigned long long>(seed));
    Report(*result.failure, done);
    RETURN_IF_ERROR(ShrinkAndReport(options.episode, std::move(done)));
    return false;
  }
  if (stop_asked) return Error(Code::kCancelled, "stopped by a signal");
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("held, in %.1f s; %llu of the operations succeeded\n", seconds.count(),
              static_cast<unsigned long long>(succeeded));
  return true;
}

Result<bool> Main(int argc, char** argv) {
  ASSIGN_OR_RETURN(const Options options, ParseOptions(argc, argv));
  for (const int signal : {SIGINT, SIGTERM}) ::signal(signal, [](int) { stop_asked = true; });
  if (options.threads > 0) return RunCrowds(options);
  return options.replay.empty() ? RunRandom(options) : RunReplay(options);
}

}  // namespace
}  // namespace strata::property

int main(int argc, char** argv) {
  const strata::Result<bool> held = strata::property::Main(argc, argv);
  if (!held.ok()) std::fprintf(stderr, "layerfs_property: %s\n", held.error().message().c_str());
  return held.ok() && *held ? 0 : 1;
}
