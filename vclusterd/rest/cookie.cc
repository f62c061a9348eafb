#include "vclusterd/rest/cookie.h"

#include <algorithm>

namespace strata::vcluster::rest {

std::string_view CookieOf(const http::Request& request, std::string_view name) {
  std::string_view cookies = http::Find(request.headers, "Cookie");
  while (!cookies.empty()) {
    const size_t end = std::min(cookies.find(';'), cookies.size());
    std::string_view one = cookies.substr(0, end);
    cookies.remove_prefix(std::min(end + 1, cookies.size()));
    while (!one.empty() && one.front() == ' ') one.remove_prefix(1);
    if (one.size() > name.size() && one.starts_with(name) && one[name.size()] == '=') {
      return one.substr(name.size() + 1);
    }
  }
  return {};
}

}  // namespace strata::vcluster::rest
