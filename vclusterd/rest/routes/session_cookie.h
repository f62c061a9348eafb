// The cookie of a browser's session: sent over HTTPS alone, to this host alone, not readable by
// pages, and not along with what other sites ask for.
#pragma once

#include <string>

#include "common/http/message.h"

namespace strata::vcluster::rest {

http::Field SessionCookie(const std::string& token);
http::Field NoSessionCookie();

}  // namespace strata::vcluster::rest
