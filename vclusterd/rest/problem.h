// Errors as clients see them: application/problem+json (RFC 9457), and the one place where codes
// become statuses of HTTP.
#pragma once

#include "common/http/server.h"
#include "common/result.h"
#include "vclusterd/rest/schema.h"

namespace strata::vcluster::rest {

int StatusOf(Code code);
// `detail` is for people. Has the request's id, which the log has too.
http::Response Problem(int status, std::string_view code, std::string_view detail);
// What is ours to know (kInternal, kCorrupt) goes to the log and is not told.
http::Response Problem(const Error& error, int exhausted_status = 403);
// As above, as a value: of an operation that failed.
Json ProblemJson(const Error& error);
Json ProblemSchema();

}  // namespace strata::vcluster::rest
