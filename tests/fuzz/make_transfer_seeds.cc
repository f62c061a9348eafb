// Writes the seed corpus of fuzz_transfer_receive into the directory given: what a sender answers,
// whole, each piece alone, and with the delta in parts. "make_transfer_seeds DIRECTORY"
#include <iostream>

#include "common/file_io.h"
#include "common/log.h"
#include "imaged/transfer/sender.h"
#include "tests/fuzz/transfer_samples.h"

namespace strata::imaged::transfer {
namespace {

// The pieces that answer all wants of the samples.
Result<std::vector<v1::Piece>> Answer() {
  ASSIGN_OR_RETURN(const auto directory, TemporaryDirectory::Create("/dev/shm", "strata-seeds."));
  ASSIGN_OR_RETURN(const auto store, ObjectStore::Open(directory.path() + "/store"));
  ASSIGN_OR_RETURN(const auto ingest, store->StartIngest());
  for (const std::string& content : testing::SampleContents()) {
    RETURN_IF_ERROR(ingest->Add(content));
  }
  RETURN_IF_ERROR(ingest->Add(testing::SampleBase()));
  RETURN_IF_ERROR(ingest->Commit());
  std::vector<v1::Piece> pieces;
  PieceEncoder encoder([&](const Digest& digest) { return store->OpenObject(digest); }, 1,
                       [&](const v1::Piece& piece) -> Status {
                         pieces.push_back(piece);
                         return Ok();
                       });
  uint64_t number = 0;
  for (const WantedObject& want : testing::SampleWants()) {
    RETURN_IF_ERROR(
        encoder.Encode({number++, want.digest, want.size_bytes, want.base.value_or(Digest()), 0}));
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
  ASSIGN_OR_RETURN(const std::vector<v1::Piece> pieces, Answer());
  size_t count = 0;
  const auto write = [&](const std::vector<v1::Piece>& some) {
    std::string input;
    for (const v1::Piece& piece : some) testing::AppendPiece(piece, &input);
    return WriteFileAtomically(directory + "/seed" + std::to_string(count++), input);
  };
  RETURN_IF_ERROR(write(pieces));
  RETURN_IF_ERROR(write(InParts(pieces)));
  for (const v1::Piece& piece : pieces) RETURN_IF_ERROR(write({piece}));
  v1::Piece refused;
  refused.mutable_refused()->set_want(3);
  refused.mutable_refused()->set_reason(v1::Refused::NOT_FOUND);
  return write({refused, pieces.front()});
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
