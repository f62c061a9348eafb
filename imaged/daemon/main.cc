// imaged: the image repository of one host. Parses, wires, runs.
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <iostream>
#include <mutex>
#include <stop_token>
#include <thread>

#include "common/file_io.h"
#include "common/log.h"
#include "common/paths.h"
#include "common/rpc/local_server.h"
#include "imaged/fetch/fetchers.h"
#include "imaged/repository/repository.h"
#include "imaged/service/image_service.h"

namespace strata::imaged {
namespace {

constexpr auto kCollectionInterval = std::chrono::hours(1);

// What operations that failed or were killed left behind.
void CollectNowAndThen(Repository* repository, const std::stop_token& stop) {
  std::mutex mutex;  // For the wait alone.
  std::condition_variable_any wake;
  while (!stop.stop_requested()) {
    const auto collected = repository->collector().Collect();
    if (collected.ok() && collected->objects > 0) {
      LOG_INFO("collected " + std::to_string(collected->objects) + " objects, " +
               std::to_string(collected->bytes >> 20) + " MiB");
    } else if (!collected.ok() && collected.error().code() != Code::kFailedPrecondition) {
      LOG_ERROR("collection: " + collected.error().message());
    }
    std::unique_lock lock(mutex);
    wake.wait_for(lock, stop, kCollectionInterval, [] { return false; });
  }
}

Status Serve(const std::string& state_dir, const std::string& run_dir,
             const std::vector<std::string>& sources, const CatalogOptions& options) {
  RETURN_IF_ERROR(MakeDirectories(run_dir));
  RETURN_IF_ERROR(MakeDirectories(state_dir));
  ASSIGN_OR_RETURN(auto fetchers, OpenFetchers(sources));
  ASSIGN_OR_RETURN(const auto repository,
                   Repository::Open(state_dir + "/imaged", std::move(fetchers), options));
  const std::string socket = ImagedSocket(run_dir);
  ASSIGN_OR_RETURN(const auto server,
                   rpc::LocalServer::Start(socket, [&](const rpc::Caller& caller) {
                     return MakeServices(repository.get(), caller);
                   }));
  const std::jthread housekeeping([&](const std::stop_token& stop) {
    CollectNowAndThen(repository.get(), stop);
  });
  LOG_INFO("serves at " + socket + ", state in " + state_dir);
  rpc::WaitForStopSignal();
  LOG_INFO("stops");
  server->Shutdown(std::chrono::seconds(5));
  return Ok();
}

int Main(int argc, char** argv) {
  CLI::App app{"imaged: stores, shares and saves the images of this host."};
  std::string state_dir = DefaultStateDir();
  std::string run_dir = DefaultRunDir();
  std::vector<std::string> sources;
  CatalogOptions options;
  bool verbose = false;
  app.add_option("--state-dir", state_dir, "Durable state (STRATA_STATE_DIR)")
      ->capture_default_str();
  app.add_option("--run-dir", run_dir, "Sockets (STRATA_RUN_DIR)")->capture_default_str();
  app.add_option("--fetch-from", sources,
                 "Where missing or damaged objects are fetched from: another imaged's socket, or a "
                 "directory that holds objects/ (repeatable, asked in this order)");
  app.add_option("--keep-versions", options.versions_kept,
                 "How many earlier versions of a name can be had by digest after its tag moved on")
      ->capture_default_str();
  app.add_flag("-v,--verbose", verbose, "Log more");
  app.footer(
      "Ends cleanly on SIGTERM; may be killed at any time. Exit: 0 ended, 1 failed, 2 usage.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  InitLog("imaged", verbose ? LogLevel::kDebug : LogLevel::kInfo);
  ::umask(0022);
  rpc::BlockStopSignals();
  if (Status status = Serve(state_dir, run_dir, sources, options); !status.ok()) {
    LOG_ERROR(status.error().message());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace strata::imaged

int main(int argc, char** argv) {
  try {
    return strata::imaged::Main(argc, argv);
  } catch (const std::exception& e) {
    std::cerr << "imaged: " << e.what() << "\n";
    return 1;
  }
}
