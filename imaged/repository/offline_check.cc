#include "imaged/repository/offline_check.h"

#include <set>

#include "common/records/record_recovery.h"
#include "imaged/catalog/own_records.h"
#include "imaged/catalog/records.pb.h"
#include "imaged/catalog/tables.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {
namespace {

using ProblemSink = std::function<void(const std::string&)>;

// Every record can be read; tags without their versions were found when the catalog was opened.
Status CheckRecords(Catalog& catalog, const ProblemSink& problem) {
  for (const std::string& text : catalog.mended()) problem(text);
  RETURN_IF_ERROR(catalog.records().Scan(
      kTags, "", [&](const std::string& key, const std::string& text) -> Status {
        catalog::TagRecord tag;
        const auto reference = ParseKey(key);
        const auto digest =
            tag.ParseFromString(text) ? Digest::Parse(tag.digest()) : Result<Digest>(Digest());
        if (!reference || !digest.ok()) {
          problem("catalog: the tag " + key + " is damaged");
        }
        return Ok();
      }));
  return catalog.leases().ForEach([](const std::string&, const v1::Image&) { return Ok(); });
}

// Layers that only leases hold: their names are gone, so the check of images does not see them.
Status CheckLeased(Repository& repository, CheckedState* state, const ProblemSink& problem) {
  std::set<Digest> named;
  RETURN_IF_ERROR(
      repository.images().ForEachStack([&](const std::string&, const LayerStack& stack) {
        named.insert(stack.begin(), stack.end());
      }));
  ASSIGN_OR_RETURN(const Liveness::Roots roots, repository.liveness().Mark());
  for (const Digest& layer : roots.layers) {
    if (named.contains(layer)) continue;
    Status verified = repository.layers().VerifyManifest(layer);
    if (!verified.ok()) {
      problem(verified.error().message());
      continue;
    }
    ASSIGN_OR_RETURN(const auto objects, repository.layers().Objects(layer));
    for (const ObjectEntry& entry : objects->entries()) {
      ++state->objects;
      state->bytes += entry.size_bytes;
      verified = repository.objects().Verify(entry.digest);
      if (!verified.ok()) problem(verified.error().message());
    }
  }
  return Ok();
}

}  // namespace

Result<CheckedState> CheckState(const std::string& state_dir,
                                std::vector<std::unique_ptr<ObjectFetcher>> fetchers,
                                const ProblemSink& sink) {
  CheckedState state;
  const ProblemSink problem = [&](const std::string& text) {
    ++state.problems;
    sink(text);
  };
  if (!PathExists(state_dir)) {
    return Error(Code::kNotFound, "there is no state of imaged in " + state_dir);
  }
  {
    ASSIGN_OR_RETURN(const auto repository, Repository::Open(state_dir, std::move(fetchers)));
    RETURN_IF_ERROR(CheckRecords(repository->catalog(), problem));
    const CancelToken cancel;
    ASSIGN_OR_RETURN(const v1::FsckResult result, repository->Fsck(0, "", cancel, {}, problem));
    state.images = result.images();
    state.objects = result.objects();
    state.bytes = result.bytes();
    RETURN_IF_ERROR(CheckLeased(*repository, &state, problem));
  }
  // RocksDB is opened by one at a time, but the store stays ours.
  ASSIGN_OR_RETURN(const auto lock, ObjectStore::Open(state_dir + "/store"));
  RETURN_IF_ERROR(records::CompareRecords(state_dir, OwnRecords(), problem));
  return state;
}

}  // namespace strata::imaged
