// The file of providers (docs/providers.md): who lends machines, through which program, and how
// much of it may be spent for whom. It names programs that run as root, so only root may write it.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "vclusterd/providers/exec_provider.h"
#include "vclusterd/providers/rental_plan.h"

namespace strata::vcluster {

struct ProviderConfig {
  ProviderRules rules;
  ExecProvider::Options exec;
  std::chrono::seconds idle{600};      // A machine without nodes is given back after this.
  std::chrono::seconds join{900};      // One that has not joined after this is stopped.
  std::chrono::seconds cool_down{60};  // Between two starts.
};

inline constexpr size_t kProvidersMax = 32;

struct ProviderFile {
  std::string masters;  // That workers are started with; empty: the one that reads this.
  std::vector<ProviderConfig> providers;
};

// kInvalidArgument names the place of what is wrong.
Result<ProviderFile> ParseProviderFile(std::string_view json);
// kPermissionDenied: somebody else than root could have written it, or could change it.
Result<ProviderFile> ReadProviderFile(const std::string& path);

}  // namespace strata::vcluster
