// Lets scripts see what the C++ sees (agreement_test.py):
//   definition_tool schema                  prints the schema that is built in
//   definition_tool parse FILE…             a line per file: "ok", or "bad" and the first fault
//   definition_tool canonical FILE          the file as `vcluster export` would write it
//   definition_tool random SEED COUNT       random definitions, a line of JSON each
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "common/file_io.h"
#include "tests/unit/vclusterd/definition/random_definition.h"
#include "vclusterd/definition/format_file.h"
#include "vclusterd/definition/job.h"
#include "vclusterd/definition/parse_file.h"
#include "vclusterd/definition/schema.h"

namespace strata::vcluster {
namespace {

Result<Definition> ParseAt(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return ParseDefinition(text, path.substr(path.rfind('/') + 1));
}

Result<JobDefinition> ParseJobAt(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return ParseJob(text, path.substr(path.rfind('/') + 1),
                  [](const std::string&) { return std::string("name: lab\nimage: debian\n"); });
}

template <typename ParseOne>
int Parse(const std::vector<std::string>& paths, ParseOne parse) {
  for (const std::string& path : paths) {
    const auto parsed = parse(path);
    if (parsed.ok()) {
      std::cout << "ok\n";
    } else {
      const std::string& message = parsed.error().message();
      std::cout << "bad " << message.substr(0, message.find('\n')) << "\n";
    }
  }
  return 0;
}

int Canonical(const std::string& path) {
  const auto parsed = ParseAt(path);
  if (!parsed.ok()) {
    std::cerr << parsed.error().message() << "\n";
    return 1;
  }
  std::cout << FormatDefinition(*parsed);
  return 0;
}

int Random(uint64_t seed, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    std::cout << FormatDefinitionJson(RandomDefinition(seed + i)) << "\n";
  }
  return 0;
}

int Run(const std::vector<std::string>& arguments) {
  if (arguments.size() == 1 && arguments[0] == "schema") {
    std::cout << VclusterSchema();
    return 0;
  }
  if (arguments.size() >= 2 && arguments[0] == "parse") {
    return Parse({arguments.begin() + 1, arguments.end()}, ParseAt);
  }
  if (arguments.size() == 1 && arguments[0] == "job-schema") {
    std::cout << JobSchema();
    return 0;
  }
  if (arguments.size() >= 2 && arguments[0] == "parse-job") {
    return Parse({arguments.begin() + 1, arguments.end()}, ParseJobAt);
  }
  if (arguments.size() == 2 && arguments[0] == "canonical") return Canonical(arguments[1]);
  if (arguments.size() == 3 && arguments[0] == "random") {
    return Random(std::stoull(arguments[1]), std::stoull(arguments[2]));
  }
  std::cerr << "usage: definition_tool schema | parse FILE… | canonical FILE | random SEED COUNT\n"
               "       definition_tool job-schema | parse-job FILE…\n";
  return 2;
}

}  // namespace
}  // namespace strata::vcluster

int main(int argc, char** argv) { return strata::vcluster::Run({argv + 1, argv + argc}); }
