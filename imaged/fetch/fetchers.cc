#include "imaged/fetch/fetchers.h"

#include <sys/stat.h>

#include "imaged/fetch/directory_fetcher.h"
#include "imaged/fetch/peer_fetcher.h"

namespace strata::imaged {
namespace {

constexpr std::string_view kHostPrefix = "host:";

}  // namespace

Result<std::vector<std::unique_ptr<ObjectFetcher>>> OpenFetchers(
    const std::vector<std::string>& names, const HostFetcherFactory& from_host) {
  std::vector<std::unique_ptr<ObjectFetcher>> fetchers;
  for (const std::string& name : names) {
    struct stat st;
    const bool exists = ::stat(name.c_str(), &st) == 0;
    if (from_host && name.starts_with(kHostPrefix)) {
      ASSIGN_OR_RETURN(auto fetcher, from_host(name.substr(kHostPrefix.size())), name);
      fetchers.push_back(std::move(fetcher));
    } else if (exists && S_ISDIR(st.st_mode)) {
      ASSIGN_OR_RETURN(auto fetcher, DirectoryFetcher::Open(name));
      fetchers.push_back(std::move(fetcher));
    } else if (name.ends_with(".sock") || (exists && S_ISSOCK(st.st_mode))) {
      fetchers.push_back(std::make_unique<PeerFetcher>(name));
    } else {
      return Error(Code::kNotFound,
                   name + " is neither a store's directory, nor a socket, nor host:NAME");
    }
  }
  return fetchers;
}

}  // namespace strata::imaged
