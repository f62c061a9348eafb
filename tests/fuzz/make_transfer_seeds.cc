// Writes the seed corpus of fuzz_transfer_receive into the directory given: what a sender answers,
// whole, each piece alone, and with the delta in parts. "make_transfer_seeds DIRECTORY"
#include <iostream>

#include "common/file_io.h"
#include "common/log.h"
#include "imaged/transfer/chunk_plan.h"
#include "imaged/transfer/sender.h"
#include "tests/fuzz/transfer_samples.h"

namespace strata::imaged::transfer {
namespace {

// The pieces that answer all wants of the samples, by a receiver that wants chunks and groups or
// not.
Result<std::vector<v1::Piece>> Answer(bool grouped, bool chunked) {
  ASSIGN_OR_RETURN(const auto directory, TemporaryDirectory::Create("/dev/shm", "strata-seeds."));
  ASSIGN_OR_RETURN(const auto store, ObjectStore::Open(directory.path() + "/store"));
  ASSIGN_OR_RETURN(const auto lists, ChunkLists::Open(*store));
  ASSIGN_OR_RETURN(const auto ingest, store->StartIngest());
  for (const std::string& content : testing::SampleContents()) {
    RETURN_IF_ERROR(ingest->Add(content));
  }
  RETURN_IF_ERROR(ingest->Add(testing::SampleBase()));
  RETURN_IF_ERROR(ingest->Add(testing::SampleHeld()));
  RETURN_IF_ERROR(ingest->Commit());
  const CancelToken cancel;
  ChunkIndex index(*store, *lists,
                   {{Hasher::Of(testing::SampleHeld()), testing::SampleHeld().size()}});
  RETURN_IF_ERROR(index.Load(1 << 30, cancel, [] {}));
  std::vector<v1::Piece> pieces;
  SendOptions options;
  options.chunk_lists = lists.get();
  PieceEncoder encoder([&](const Digest& digest) { return store->OpenObject(digest); }, options,
                       [&](const v1::Piece& piece) -> Status {
                         pieces.push_back(piece);
                         return Ok();
                       },
                       cancel);
  uint64_t number = 0;
  for (const WantedObject& want : testing::SampleWants()) {
    PieceEncoder::Wanted wanted{number++, want.digest, want.size_bytes};
    wanted.base = want.base.value_or(Digest());
    wanted.grouped = grouped && want.size_bytes >= kGroupedBytesMin;
    wanted.chunked = chunked && !want.base && want.size_bytes >= kChunkedBytesMin;
    RETURN_IF_ERROR(encoder.Encode(wanted));
    if (!wanted.chunked) continue;
    ChunkPlan plan(index, want.size_bytes);
    RETURN_IF_ERROR(plan.Take(pieces.back().chunk_list()));
    RETURN_IF_ERROR(encoder.EncodeRanges(plan.Missing(wanted.number)));
  }
  RETURN_IF_ERROR(encoder.Flush());
  pieces.emplace_back().set_end(true);
  return pieces;
}

// The same with every delta cut after its first bytes.
std::vector<v1::Piece> InParts(const std::vector<v1::Piece>& pieces) {
  std::vector<v1::Piece> parts;
  for (v1::Piece piece : pieces) {
    v1::Piece rest;
    if (piece.has_delta()) {
      const std::string data = piece.delta().data();
      piece.mutable_delta()->set_data(data.substr(0, 20));
      rest.mutable_delta_part()->set_data(data.substr(20));
    }
    parts.push_back(piece);
    if (rest.has_delta_part()) parts.push_back(rest);
  }
  return parts;
}

Status WriteSeeds(const std::string& directory) {
  RETURN_IF_ERROR(MakeDirectories(directory));
  size_t count = 0;
  for (int how = 0; how < 4; ++how) {
    ASSIGN_OR_RETURN(const std::vector<v1::Piece> pieces, Answer(how & 1, how & 2));
    const auto write = [&](const std::vector<v1::Piece>& some) {
      std::string input(1, static_cast<char>(how));
      for (const v1::Piece& piece : some) testing::AppendPiece(piece, &input);
      return WriteFileAtomically(directory + "/seed" + std::to_string(count++), input);
    };
    RETURN_IF_ERROR(write(pieces));
    RETURN_IF_ERROR(write(InParts(pieces)));
    for (const v1::Piece& piece : pieces) RETURN_IF_ERROR(write({piece}));
    v1::Piece refused;
    refused.mutable_refused()->set_want(3);
    refused.mutable_refused()->set_reason(v1::Refused::NOT_FOUND);
    RETURN_IF_ERROR(write({refused, pieces.front()}));
  }
  return Ok();
}

}  // namespace
}  // namespace strata::imaged::transfer

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: make_transfer_seeds DIRECTORY\n";
    return 2;
  }
  const strata::Status written = strata::imaged::transfer::WriteSeeds(argv[1]);
  if (written.ok()) return 0;
  std::cerr << "make_transfer_seeds: " << written.error().message() << "\n";
  return 1;
}
