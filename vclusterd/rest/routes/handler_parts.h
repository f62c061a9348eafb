// What handlers of several resources need.
#pragma once

#include <string>

#include "vclusterd/rest/services.h"

namespace strata::vcluster::rest {

// The name of the Vcluster in the address, as Clusters takes it: "hpc", or of "alice:hpc"
// "alice/hpc".
std::string VclusterIn(const Exchange& exchange);
// Of "alice:hpc" "alice/hpc"; what has no colon as it is.
std::string WithSlash(std::string name);
// With its node, if the address names one: "alice/hpc/0".
std::string NamedIn(const Exchange& exchange);

// "wait": how long the answer may take when that shows the end.
QueryParameter WaitParameter();
Result<std::chrono::milliseconds> WaitOf(const Exchange& exchange);
// As it says it, and no longer than the most that there is; empty: `otherwise`.
inline constexpr std::chrono::seconds kWaitMax(60);
Result<std::chrono::milliseconds> ParseWait(const std::string& text,
                                            std::chrono::milliseconds otherwise);
// Begins it and answers with the operation: 202; when it has succeeded within the wait, 200; when
// it has failed within it, its error.
Result<Reply> BeginOperation(Exchange& exchange, Result<OperationBook::Order> order);
// What a route that begins one answers with.
std::map<int, std::string> OperationAnswers();

// What the same route does to the Vcluster or the node in its address.
Result<Reply> StartNamed(Exchange& exchange);
Result<Reply> StopNamed(Exchange& exchange);
Result<Reply> ResizeNamed(Exchange& exchange);

// The user that a word of an address means: a name, or a number. kNotFound also for who the caller
// may not know of: neither list nor do `operation` to.
Result<uint32_t> UserIn(const Exchange& exchange, const std::string& word, Operation operation);
// The one of "{user}" in the address.
Result<uint32_t> NamedUser(const Exchange& exchange, Operation operation);
Target UserTarget(const Exchange& exchange, uint32_t uid);

// "revision": that a change rests on.
Json RevisionSchema();

Reply NoContent();
Reply Answer(Json body, int status = 200);

}  // namespace strata::vcluster::rest
