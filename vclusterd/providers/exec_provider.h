// ExecProvider: a provider that is a program of the administrator's. Each call runs it once, with
// one JSON object on its standard input and one on its standard output (docs/providers.md), so a
// few lines of script make a provider of any cloud's command line.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "vclusterd/providers/provider.h"

namespace strata::vcluster {

class ExecProvider final : public HostProvider {
 public:
  struct Options {
    std::vector<std::string> command;   // Absolute.
    std::chrono::seconds timeout{300};  // Of a call; then it is killed.
  };
  explicit ExecProvider(Options options) : options_(std::move(options)) {}

  // kUnavailable: the program fails or says so; its own words are in the message.
  Result<std::vector<Offer>> Offers(const CancelToken& cancel) override;
  Result<std::string> Start(const StartOrder& order, const CancelToken& cancel) override;
  Status Stop(const std::string& id, const CancelToken& cancel) override;
  Result<std::vector<Machine>> Machines(const std::string& tag_prefix,
                                        const CancelToken& cancel) override;

 private:
  Result<std::string> Call(const std::string& request, const CancelToken& cancel) const;

  const Options options_;
};

}  // namespace strata::vcluster
