// What on this host keeps the networks of Vclusters from working, or may: settings of the kernel,
// other programs' packet filters, the network of the hosts. Looks, and changes nothing.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/desired.h"
#include "net/nft.h"
#include "net/plan.h"

namespace strata::net {

struct Finding {
  enum class Level { kOk, kWarning, kProblem };
  Level level = Level::kOk;
  std::string what;
  std::string remedy;  // Of what is not kOk.
};

// In the network namespace of the calling thread. Asks the other hosts, which takes up to twice
// `patience` where one does not answer.
std::vector<Finding> Examine(const DesiredNetwork& desired, const std::vector<ObservedLink>& links,
                             Nft& nft, std::chrono::milliseconds patience);

// Of a host whose gateways are to answer questions for names; `problem`: why some do not.
std::vector<Finding> ExamineNames(const DesiredNetwork& desired,
                                  const std::optional<Error>& problem);

// The parts of it that only think.
std::vector<Finding> ExamineUnderlay(const DesiredNetwork& desired,
                                     const std::vector<ObservedLink>& links);
// Addresses of the host's in the pool of IPv6.
std::vector<Finding> ExaminePool6(const DesiredNetwork& desired,
                                  const std::vector<ObservedLink>& links);
// `chains`: what `nft list chains` prints. Chains of others that drop what they do not know.
std::vector<std::string> ChainsThatDrop(std::string_view chains);

}  // namespace strata::net
