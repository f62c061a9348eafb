// Times an update: transfer_bench WORK_DIR OLD_TREE NEW_TREE [LEVEL [RATE]].
// Imports OLD_TREE into a receiver's store and both into a sender's (WORK_DIR must not exist), and
// moves what is missing from one to the other, through messages in memory; RATE, in bytes per
// second, shapes them. Prints JSON.
#include <fcntl.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <thread>

#include "common/file_io.h"
#include "imaged/archive/directory_import.h"
#include "imaged/manifest/erofs_writer.h"
#include "imaged/transfer/base_choice.h"
#include "imaged/transfer/frame_codec.h"
#include "tests/unit/transfer/memory_stream.h"

namespace strata::imaged::transfer {
namespace {

using SteadyClock = std::chrono::steady_clock;

double Seconds(SteadyClock::time_point since) {
  return std::chrono::duration<double>(SteadyClock::now() - since).count();
}

Result<Tree> Import(ObjectStore& store, const std::string& directory) {
  ASSIGN_OR_RETURN(const auto ingest, store.StartIngest());
  DirectoryImportOptions options;
  options.caller_is_root = true;
  ASSIGN_OR_RETURN(ImportedLayer layer, ImportDirectory(directory, *ingest, options));
  RETURN_IF_ERROR(ingest->Commit());
  return std::move(layer.tree);
}

Result<std::string> Manifest(const Tree& tree, const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(path, O_RDWR | O_CREAT | O_EXCL, 0600));
  RETURN_IF_ERROR(WriteErofs(tree, fd.get()));
  return ReadFile(path, 1u << 30);
}

struct Arguments {
  std::string work, old_tree, new_tree;
  int level = 1;
  uint64_t rate = 0;
};

Status Measure(const Arguments& arguments) {
  RETURN_IF_ERROR(MakeDirectories(arguments.work));
  ASSIGN_OR_RETURN(const auto source, ObjectStore::Open(arguments.work + "/sender"));
  ASSIGN_OR_RETURN(const auto target, ObjectStore::Open(arguments.work + "/receiver"));
  RETURN_IF_ERROR(Import(*source, arguments.old_tree));
  ASSIGN_OR_RETURN(const Tree new_tree, Import(*source, arguments.new_tree));
  ASSIGN_OR_RETURN(const Tree old_tree, Import(*target, arguments.old_tree));
  ASSIGN_OR_RETURN(const auto partial_files, PartialFiles::Open(target->root()));
  ASSIGN_OR_RETURN(const auto source_lists, ChunkLists::Open(*source));
  ASSIGN_OR_RETURN(const auto target_lists, ChunkLists::Open(*target));
  // Manifests go by another call; what theirs would take is told apart.
  ASSIGN_OR_RETURN(const auto new_manifest, Manifest(new_tree, arguments.work + "/new"));
  ASSIGN_OR_RETURN(const auto old_manifest, Manifest(old_tree, arguments.work + "/old"));
  FrameEncoder encoder(arguments.level);
  ASSIGN_OR_RETURN(const std::string manifest_delta,
                   encoder.Encode(new_manifest, old_manifest, new_manifest.size()));

  const auto start = SteadyClock::now();
  const std::clock_t cpu_start = std::clock();
  const Tree* const wanted[] = {&new_tree};
  const Tree* const held[] = {&old_tree};
  auto objects =
      ChooseBases(wanted, held, [&](const Digest& digest) { return target->Has(digest); });
  const double chosen = Seconds(start);
  uint64_t plain = 0;
  size_t with_base = 0;
  for (const WantedObject& object : objects) {
    plain += object.size_bytes;
    with_base += object.base.has_value();
  }
  const size_t count = objects.size();
  std::vector<ChunkIndex::Held> large;
  for (const WantedObject& object : ChooseBases(held, {}, [](const Digest&) { return false; })) {
    if (object.size_bytes >= 1 << 20) large.push_back({object.digest, object.size_bytes});
  }
  ChunkIndex chunks(*target, *target_lists, large);
  ReceiveOptions receive_options;
  receive_options.chunks = &chunks;
  testing::MemoryStream stream(8);
  RateLimiter limiter(std::max<uint64_t>(arguments.rate, 1), 1u << 20);
  const CancelToken cancel;
  SendReport sent;
  Status sending = Ok();
  std::thread sender([&] {
    SendOptions options;
    options.level = arguments.level;
    options.chunk_lists = source_lists.get();
    if (arguments.rate > 0) options.limiter = &limiter;
    sending = SendObjects([&](const Digest& digest) { return source->OpenObject(digest); },
                          stream.ForSender(), options, cancel, &sent);
    if (!sending.ok()) stream.Close();
  });
  ReceiveReport report;
  const Status received = ReceiveObjects(*target, *partial_files, std::move(objects),
                                         stream.ForReceiver(), receive_options, cancel, &report);
  sender.join();
  RETURN_IF_ERROR(sending);
  RETURN_IF_ERROR(received);
  const double cpu = static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC;
  std::printf(
      "{\"objects\": %zu, \"with_base\": %zu, \"plain_bytes\": %llu, \"choose_seconds\": %.3f, "
      "\"seconds\": %.3f, \"cpu_seconds\": %.3f, \"received_bytes\": %llu, \"sent_bytes\": %llu, "
      "\"manifest_bytes\": %zu, \"pieces\": %llu, \"refused\": %zu}\n",
      count, with_base, static_cast<unsigned long long>(plain), chosen, Seconds(start), cpu,
      static_cast<unsigned long long>(report.wire_bytes_received),
      static_cast<unsigned long long>(report.wire_bytes_sent), manifest_delta.size(),
      static_cast<unsigned long long>(report.pieces), report.refused.size());
  return Ok();
}

}  // namespace
}  // namespace strata::imaged::transfer

int main(int argc, char** argv) {
  if (argc < 4 || argc > 6) {
    std::fprintf(stderr, "usage: transfer_bench WORK_DIR OLD_TREE NEW_TREE [LEVEL [RATE]]\n");
    return 2;
  }
  strata::imaged::transfer::Arguments arguments{argv[1], argv[2], argv[3]};
  if (argc > 4) arguments.level = std::atoi(argv[4]);
  if (argc > 5) arguments.rate = std::strtoull(argv[5], nullptr, 10);
  const strata::Status measured = strata::imaged::transfer::Measure(arguments);
  if (measured.ok()) return 0;
  std::fprintf(stderr, "transfer_bench: %s\n", measured.error().message().c_str());
  return 1;
}
