// Seeds for fuzz_provider_answers: one good text of each kind.
#include "common/file_io.h"
#include "common/log.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string corpus = argv[1];
  CHECK(strata::MakeDirectories(corpus).ok());
  const char* const seeds[] = {
      R"({"offers":[{"name":"small","cpus":2,"memory_bytes":4e9,"disk_bytes":1e11,)"
      R"("price_per_hour":0.5,"labels":["gpu"]}]})",
      R"({"id":"i-1"})",
      R"({"machines":[{"id":"i-1","tag":"strata-3f2a91c0-7"}]})",
      R"({"error":"no credit"})",
      R"({"masters":"a=10.0.0.1:7445","providers":[{"name":"a","command":["/b","c"],)"
      R"("timeout_s":9,"machines_max":4,"price_per_hour_max":2.5,"owners":["alice"],)"
      R"("idle_s":60,"join_s":60,"cool_down_s":5}]})",
  };
  int number = 0;
  for (const char* seed : seeds) {
    CHECK(strata::WriteFileAtomically(corpus + "/" + std::to_string(number++), seed).ok());
  }
  return 0;
}
