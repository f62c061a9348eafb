// How many tokens of requests one thread can check in a second, of many that there are:
//   build/release/bin/token_bench [TOKENS]
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>

#include "vclusterd/users/tables.h"
#include "vclusterd/users/token_book.h"

namespace strata::vcluster {
namespace {

constexpr int kChecks = 5'000'000;

int Run(size_t tokens) {
  const auto store = records::MakeMemoryRecordStore(UserTables());
  TokenBook book(*store, HostUnixMs);
  if (!store->Follow([&](const auto& changes) { book.Apply(changes); }).ok()) return 1;
  std::vector<std::string> texts;
  for (size_t i = 0; i < tokens; ++i) {
    NewToken wanted;
    wanted.uid = static_cast<uint32_t>(i);
    auto made = book.Make(wanted);
    if (!made.ok()) return 1;
    texts.push_back(std::move(made->text));
  }
  int refused = 0;
  const std::clock_t start = std::clock();  // Of this process: others may use the cores too.
  for (int i = 0; i < kChecks; ++i) {
    // As far from the last one as memory allows.
    const size_t at = static_cast<size_t>(i) * 7919 % tokens;
    refused += book.Check(texts[at]).ok() ? 0 : 1;
  }
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  std::printf("%zu tokens: %.2f million checks per second, %d refused\n", tokens,
              kChecks / seconds / 1e6, refused);
  return refused == 0 ? 0 : 1;
}

}  // namespace
}  // namespace strata::vcluster

int main(int argc, char** argv) {
  const size_t tokens = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 10'000;
  return tokens == 0 ? 2 : strata::vcluster::Run(tokens);
}
