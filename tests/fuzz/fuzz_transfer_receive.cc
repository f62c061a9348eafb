// Any bytes as the pieces of a transfer: an error or the objects that were asked for, never an
// object of other bytes, a crash, or an endless loop.
//   build/fuzz/bin/make_transfer_seeds CORPUS && build/fuzz/bin/fuzz_transfer_receive CORPUS
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>

#include "common/file_io.h"
#include "common/log.h"
#include "tests/fuzz/transfer_samples.h"

namespace strata::imaged::transfer {
namespace {

struct Place {
  TemporaryDirectory directory = std::move(*TemporaryDirectory::Create("/dev/shm", "strata-fuzz."));
  std::unique_ptr<ObjectStore> store = std::move(*ObjectStore::Open(directory.path() + "/store"));
  std::unique_ptr<PartialFiles> partial_files = std::move(*PartialFiles::Open(store->root()));
  std::unique_ptr<ChunkLists> chunk_lists = std::move(*ChunkLists::Open(*store));

  Place() {
    const auto ingest = std::move(*store->StartIngest());
    CHECK(ingest->Add(testing::SampleBase()).ok());
    CHECK(ingest->Add(testing::SampleHeld()).ok());
    CHECK(ingest->Commit().ok());
  }
};

Place& ThePlace() {
  static auto* const place = new Place();
  [[maybe_unused]] static const bool at_exit = [] {
    std::atexit([] { delete place; });
    return true;
  }();
  return *place;
}

void ReceiveOnce(std::string_view input) {
  static const auto* const wants = new std::vector<WantedObject>(testing::SampleWants());
  Place& place = ThePlace();
  const ReceiverChannel channel = {
      [](const v1::TransferRequest&) { return Ok(); },
      [&](v1::Piece* piece) -> Result<bool> { return testing::NextPiece(&input, piece); }, [] {}};
  const CancelToken cancel;
  // Both ways of receiving, by the first byte.
  Arrivals arrivals(*place.store);
  static const ChunkIndex::Held held_object{Hasher::Of(testing::SampleHeld()),
                                            testing::SampleHeld().size()};
  ChunkIndex index(*place.store, *place.chunk_lists, {held_object});
  ReceiveOptions options;
  const uint8_t how = input.empty() ? 0 : static_cast<uint8_t>(input.front());
  input.remove_prefix(std::min<size_t>(1, input.size()));
  if (how & 1) options.arrivals = &arrivals;
  if (how & 2) options.chunks = &index;
  ReceiveReport report;
  const Status received =
      ReceiveObjects(*place.store, *place.partial_files, *wants, channel, options, cancel, &report);
  size_t held = 0;
  for (const WantedObject& want : *wants) {
    ::unlink((place.store->root() + "/partial/" + want.digest.Hex()).c_str());
    if (!place.store->Has(want.digest)) continue;
    ++held;
    CHECK(place.store->Verify(want.digest).ok());
    CHECK(::unlink(place.store->PathOf(want.digest).c_str()) == 0);
  }
  CHECK(held == report.objects);
  CHECK(!received.ok() || held + report.refused.size() == wants->size());
}

}  // namespace
}  // namespace strata::imaged::transfer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  strata::imaged::transfer::ReceiveOnce({reinterpret_cast<const char*>(data), size});
  return 0;
}
