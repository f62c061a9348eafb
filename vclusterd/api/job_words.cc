#include "vclusterd/api/job_words.h"

namespace strata::jobs::v1 {

const char* StateWord(const Job& job) {
  switch (job.phase()) {
    case PREPARING:
      return "preparing";
    case RUNNING:
      return "running";
    case STOPPING:
      return "stopping";
    case CLEARING:
      return "clearing";
    default:
      break;
  }
  switch (job.outcome()) {
    case SUCCEEDED:
      return "succeeded";
    case CANCELLED:
      return "cancelled";
    case TIMED_OUT:
      return "timed out";
    default:
      return "failed";
  }
}

const char* WordOf(TaskPhase phase) {
  switch (phase) {
    case TASK_WAITING:
      return "waits";
    case TASK_RUNNING:
      return "runs";
    case TASK_SUCCEEDED:
      return "succeeded";
    case TASK_FAILED:
      return "failed";
    case TASK_SKIPPED:
      return "skipped";
    case TASK_CANCELLED:
      return "cancelled";
    default:
      return "?";
  }
}

const char* WordOf(RunPhase phase) {
  switch (phase) {
    case RUN_WAITING:
      return "waits";
    case RUN_RUNNING:
      return "runs";
    case RUN_SUCCEEDED:
      return "succeeded";
    case RUN_FAILED:
      return "failed";
    case RUN_CANCELLED:
      return "cancelled";
    default:
      return "?";
  }
}

}  // namespace strata::jobs::v1
