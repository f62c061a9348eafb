// The tables of the desired state (docs/formats.md, "Desired state").
#pragma once

#include <vector>

#include "common/records/record_store.h"
#include "vclusterd/users/tables.h"

namespace strata::vcluster {

inline constexpr records::Table kVclustersTable{"vclusters"};  // By number, ten digits.
inline constexpr records::Table kHostsTable{"hosts"};          // By name.
inline constexpr records::Table kLeaderTable{"leader"};
// docs/classes.md. Keys are "UID/…", the uid with ten digits.
inline constexpr records::Table kTemplatesTable{"templates"};  // UID/NAME:TAG
inline constexpr records::Table kClassesTable{"classes"};      // UID/NAME
inline constexpr records::Table kStudentsTable{"students"};    // UID/NAME/USER
inline constexpr records::Table kJobsTable{"jobs"};            // By number, ten digits.
// What runs of jobs wrote, by "JOB/TASK/NODE": ten, three and three digits.
inline constexpr records::Table kJobOutputsTable{"job_outputs"};
inline constexpr records::Table kMachinesTable{"machines"};          // That are rented, by tag.
inline constexpr records::Table kReservationsTable{"reservations"};  // By name.

// Records of the leader's table.
inline constexpr char kLeaderKey[] = "leader";      // Leader
inline constexpr char kBeatKey[] = "beat";          // Moved on as long as he leads.
inline constexpr char kCountersKey[] = "counters";  // Counters
inline constexpr char kCreditMeterKey[] = "credit-meter";
inline constexpr char kJobCounterKey[] = "jobs";  // Counters, of jobs.
inline constexpr char kSharedKey[] = "shared";    // Shared

// With those of the users (vclusterd/users/tables.h), which share its store.
inline std::vector<records::Table> DesiredTables() {
  std::vector<records::Table> tables = {
      kVclustersTable, kHostsTable, kLeaderTable,     kTemplatesTable, kClassesTable,
      kStudentsTable,  kJobsTable,  kJobOutputsTable, kMachinesTable,  kReservationsTable};
  for (const records::Table table : UserTables()) tables.push_back(table);
  return tables;
}

}  // namespace strata::vcluster
