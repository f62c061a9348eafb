// Throughput and round trips between hosts and nodes, the paper's Table 2, of all ways to join
// them:
//
//   network_bench [--rounds N] [--milliseconds N] [--pair NAME] [--json]
//
// In every round all candidates take their turn, each measurement for so many milliseconds. Shown
// are medians, and ratios that are medians of the rounds' own ratios: what slows a round down slows
// all of its candidates. "filtered": bridged frames pass the host's rules (br_netfilter). Needs
// root; all that it makes are network namespaces, which end with it.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/bench/network/worlds.h"

namespace strata::net {
namespace {

struct Measure {
  const char* name;
  const char* unit;
  double (*run)(const Way&, std::chrono::milliseconds);
  double scale;
};
constexpr Measure kMeasures[] = {
    {"TCP", "Gbit/s", &TcpBytesPerSecond, 8e-9},
    {"TCP round trip", "us", &TcpRoundTripUs, 1},
    {"UDP round trip, one thread", "us", &UdpRoundTripUs, 1},
};
constexpr const char* kPairs[] = {kSelf,     kHostToHost, kHostToNode, kNodeToSelf,
                                  kSameHost, kCrossHost,  kCrossHost2};

// What a cell is compared with: the candidate and its pair.
struct Reference {
  const char* name;
  const char* candidate;
  const char* pair;  // Null: the same.
};
constexpr Reference kReferences[] = {
    {"hosts", kFlat, kHostToHost},
    {"plain bridge", kPlainBridge, kSameHost},
    {"filtered bridge", kFilteredBridge, kSameHost},
    {"static VXLAN", kStaticVxlan, nullptr},
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

using Key = std::pair<std::string, std::string>;  // Candidate, pair.
using Samples = std::map<Key, std::vector<double>>;

Samples Run(const Measure& measure, const std::vector<Candidate>& candidates, int rounds,
            std::chrono::milliseconds time) {
  Samples samples;
  for (int round = 0; round < rounds; ++round) {
    for (const char* pair : kPairs) {
      for (const Candidate& candidate : candidates) {
        const auto way = candidate.world->ways.find(pair);
        if (way == candidate.world->ways.end()) continue;
        samples[{candidate.name, pair}].push_back(measure.run(way->second, time) * measure.scale);
      }
    }
  }
  return samples;
}

// Of `key`, against each reference that makes sense for its pair; others are absent.
std::map<std::string, double> Ratios(const Samples& samples, const Key& key) {
  std::map<std::string, double> ratios;
  for (const Reference& reference : kReferences) {
    const bool across = key.second == kCrossHost || key.second == kCrossHost2;
    const bool of_bridge = reference.pair == kSameHost;
    if (of_bridge ? key.second != kSameHost : !across) continue;
    const auto found =
        samples.find({reference.candidate, reference.pair ? reference.pair : key.second});
    if (found == samples.end()) continue;
    const std::vector<double>& own = samples.at(key);
    std::vector<double> each;
    for (size_t i = 0; i < own.size(); ++i) each.push_back(own[i] / found->second[i]);
    ratios[reference.name] = Median(std::move(each));
  }
  return ratios;
}

void Print(const Measure& measure, const Samples& samples,
           const std::vector<Candidate>& candidates) {
  std::printf("| %s | | %s |", measure.name, measure.unit);
  for (const Reference& reference : kReferences) std::printf(" : %s |", reference.name);
  std::printf("\n|---|---|---|");
  for (size_t i = 0; i < std::size(kReferences); ++i) std::printf("---|");
  std::printf("\n");
  for (const char* pair : kPairs) {
    for (const Candidate& candidate : candidates) {
      const auto found = samples.find({candidate.name, pair});
      if (found == samples.end()) continue;
      std::printf("| %s | %s | %.2f |", pair, candidate.name.c_str(), Median(found->second));
      const auto ratios = Ratios(samples, found->first);
      for (const Reference& reference : kReferences) {
        const auto ratio = ratios.find(reference.name);
        if (ratio == ratios.end()) {
          std::printf(" |");
        } else {
          std::printf(" %.2f |", ratio->second);
        }
      }
      std::printf("\n");
    }
  }
  std::printf("\n");
}

void AddJson(const Measure& measure, const Samples& samples, nlohmann::json* rows) {
  for (const auto& [key, values] : samples) {
    rows->push_back({{"measure", measure.name},
                     {"unit", measure.unit},
                     {"candidate", key.first},
                     {"pair", key.second},
                     {"median", Median(values)},
                     {"samples", values},
                     {"ratios", Ratios(samples, key)}});
  }
}

int Main(int argc, char** argv) {
  int rounds = 7;
  int milliseconds = 300;
  std::string only;
  bool json = false;
  for (int i = 1; i < argc; ++i) {
    const bool has_value = i + 1 < argc;
    if (std::strcmp(argv[i], "--json") == 0) {
      json = true;
    } else if (std::strcmp(argv[i], "--rounds") == 0 && has_value) {
      rounds = std::atoi(argv[++i]);
    } else if (std::strcmp(argv[i], "--milliseconds") == 0 && has_value) {
      milliseconds = std::atoi(argv[++i]);
    } else if (std::strcmp(argv[i], "--pair") == 0 && has_value) {
      only = argv[++i];
    } else {
      rounds = 0;
    }
  }
  if (rounds < 1 || milliseconds < 1) {
    std::fprintf(stderr,
                 "usage: network_bench [--rounds N] [--milliseconds N] [--pair NAME] [--json]\n");
    return 2;
  }
  const std::vector<Candidate> candidates = MakeCandidates();
  for (const Candidate& candidate : candidates) {
    // What cells are compared with is always measured.
    std::erase_if(candidate.world->ways, [&](const auto& way) {
      return !only.empty() && way.first != only && way.first != kHostToHost;
    });
  }
  nlohmann::json rows = nlohmann::json::array();
  for (const Measure& measure : kMeasures) {
    const Samples samples =
        Run(measure, candidates, rounds, std::chrono::milliseconds(milliseconds));
    if (json) {
      AddJson(measure, samples, &rows);
    } else {
      Print(measure, samples, candidates);
    }
    std::fflush(stdout);
  }
  if (json) std::printf("%s\n", rows.dump(2).c_str());
  return 0;
}

}  // namespace
}  // namespace strata::net

int main(int argc, char** argv) { return strata::net::Main(argc, argv); }
