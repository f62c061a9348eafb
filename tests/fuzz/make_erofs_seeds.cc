// Writes the seed corpus of fuzz_erofs_reader into the directory given: small manifests that hold
// every kind of file. "make_erofs_seeds DIRECTORY"
#include <iostream>

#include "tests/unit/manifest/sample_trees.h"

int main(int argc, char** argv) {
  using namespace strata::imaged::testing;  // NOLINT
  if (argc != 2) {
    std::cerr << "usage: make_erofs_seeds DIRECTORY\n";
    return 2;
  }
  const std::string directory = argv[1];
  Must(strata::MakeDirectories(directory));
  for (uint64_t seed = 0; seed < 24; ++seed) {
    Must(strata::WriteFileAtomically(directory + "/seed" + std::to_string(seed),
                                     ImageOf(RandomTree(seed, seed * 4))));
  }
  return 0;
}
