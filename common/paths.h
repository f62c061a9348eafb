// Where Strata keeps things on a host. Every daemon and tool takes these from its flags or from the
// environment, so that several Stratas can live on one machine (tests do).
#pragma once

#include <cstdlib>
#include <string>

namespace strata {

inline std::string EnvironmentOr(const char* name, const char* fallback) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : fallback;
}

// Durable state: store, catalog, Vclusters, volumes.
inline std::string DefaultStateDir() {
  return EnvironmentOr("STRATA_STATE_DIR", "/var/lib/strata");
}
// Sockets, pid files and whatever a reboot may forget.
inline std::string DefaultRunDir() { return EnvironmentOr("STRATA_RUN_DIR", "/run/strata"); }

inline std::string ImagedSocket(const std::string& run_dir) { return run_dir + "/imaged.sock"; }
inline std::string VnetdSocket(const std::string& run_dir) { return run_dir + "/vnetd.sock"; }
inline std::string VclusterdSocket(const std::string& run_dir) {
  return run_dir + "/vclusterd.sock";
}

}  // namespace strata
