// Seeds for fuzz_registry_text: one good text of each kind.
#include "common/file_io.h"
#include "common/log.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string corpus = argv[1];
  CHECK(strata::MakeDirectories(corpus).ok());
  const char* const seeds[] = {
      "/v2/alice/spark/manifests/v1",
      "/v2/alice/spark/blobs/uploads/0123456789abcdef",
      "repository:alice/spark:pull,push",
      "Bearer realm=\"https://h/v2/token\",service=\"h\",scope=\"repository:a/b:pull\"",
      ("docker://host:5000/library/debian@sha256:"
       "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      "{\"auths\":{\"host:5000/a\":{\"auth\":\"dXNlcjpwYXNz\"}},\"credHelpers\":{\"x\":\"y\"}}",
      "n=10&last=v%201&x",
      "dXNlcjpwYXNz",
  };
  int number = 0;
  for (const char* seed : seeds) {
    CHECK(strata::WriteFileAtomically(corpus + "/" + std::to_string(number++), seed).ok());
  }
  return 0;
}
