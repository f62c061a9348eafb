// What fuzz_transfer_receive asks for, and how its input holds pieces: for each, its length in four
// bytes (little endian) and the serialised message.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "imaged/api/transfer.pb.h"
#include "imaged/transfer/receiver.h"

namespace strata::imaged::transfer::testing {

// Compressible, so that whole transfers are small inputs.
inline std::string Sample(char seed, size_t size) {
  std::string bytes(size, seed);
  for (size_t i = 0; i < size; i += 1 + static_cast<size_t>(seed) % 7 * 800) {
    bytes[i] = static_cast<char>(i * 31);
  }
  return bytes;
}

inline std::string SampleBase() { return Sample('b', 100'000); }

// Held by the receiver, for objects in chunks.
inline std::string SampleHeld() { return Sample('h', 5u << 20); }

// Two small ones (one with a base), one with a base, one of two frames, one for a partial file, one
// that is partly held.
inline std::vector<std::string> SampleContents() {
  return {Sample('s', 700),           SampleBase().substr(0, 40'000) + "small",
          SampleBase() + "medium",    Sample('f', (1u << 20) + 5000),
          std::string(4u << 20, 'p'), Sample('x', 300'000) + SampleHeld().substr(1u << 20) + "end"};
}

inline std::vector<WantedObject> SampleWants() {
  std::vector<WantedObject> wants;
  for (const std::string& content : SampleContents()) {
    wants.push_back({Hasher::Of(content), content.size(), std::nullopt});
  }
  wants[1].base = wants[2].base = Hasher::Of(SampleBase());
  return wants;
}

inline void AppendPiece(const v1::Piece& piece, std::string* input) {
  const std::string bytes = piece.SerializeAsString();
  for (int shift = 0; shift < 32; shift += 8) *input += static_cast<char>(bytes.size() >> shift);
  *input += bytes;
}

// False: nothing is left. What is no message becomes an empty one.
inline bool NextPiece(std::string_view* input, v1::Piece* piece) {
  if (input->size() < 4) return false;
  size_t size = 0;
  for (int i = 3; i >= 0; --i) size = size << 8 | static_cast<uint8_t>((*input)[i]);
  input->remove_prefix(4);
  const std::string_view bytes = input->substr(0, size);
  input->remove_prefix(bytes.size());
  if (!piece->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) piece->Clear();
  return true;
}

}  // namespace strata::imaged::transfer::testing
