// The registry's answers: error documents (distribution-spec, "Error Codes") and JSON.
#pragma once

#include <string>
#include <string_view>

#include "common/http/server.h"
#include "common/result.h"

namespace strata::imaged {

// `code`: "MANIFEST_UNKNOWN", ….
http::Response ErrorReply(int status, std::string_view code, std::string_view message);
// What became of a request. `unknown` is the code for kNotFound, which also stands for what the
// caller may not know of.
http::Response ErrorReply(const Error& error, std::string_view unknown);
http::Response JsonReply(int status, std::string json);
// 405 and what would do.
http::Response MethodReply(std::string_view allowed);

}  // namespace strata::imaged
