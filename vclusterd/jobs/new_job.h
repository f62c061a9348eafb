// From a job file to the record of a job that nobody has begun. Pure, thread-safe.
#pragma once

#include <string>

#include "vclusterd/api/jobs.pb.h"
#include "vclusterd/definition/job.h"

namespace strata::vcluster {

// Without number, Vcluster and owner.
jobs::v1::Job NewJob(const JobDefinition& definition, int64_t now_unix_ms);

// What a Vcluster that is made for a job is called when nobody says so: the job's name, cut where
// that is too long, and its number, which no other job has.
std::string CreatedName(const std::string& job_name, uint32_t number);

}  // namespace strata::vcluster
