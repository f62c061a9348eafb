// How far jobs, their tasks and runs are, as words, for tables and JSON. Pure.
#pragma once

#include "vclusterd/api/jobs.pb.h"

namespace strata::jobs::v1 {

// "preparing", "running", "stopping", "clearing"; of one that is done its outcome: "succeeded",
// "failed", "cancelled", "timed out".
const char* StateWord(const Job& job);
const char* WordOf(TaskPhase phase);  // "waits", "runs", "succeeded", "failed", …
const char* WordOf(RunPhase phase);

}  // namespace strata::jobs::v1
