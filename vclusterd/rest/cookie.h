// Cookies of a request (RFC 6265, section 5.4). Pure.
#pragma once

#include <string_view>

#include "common/http/server.h"

namespace strata::vcluster::rest {

// The value of the cookie of exactly this name; empty: there is none.
std::string_view CookieOf(const http::Request& request, std::string_view name);

}  // namespace strata::vcluster::rest
