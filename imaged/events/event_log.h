// EventLog: who did what with which image (docs/observability.md), in <state>/events.
#pragma once

#include "common/events/event_log.h"
#include "imaged/api/events.pb.h"

namespace strata::imaged {

using EventLog = strata::EventLog<v1::Event>;

}  // namespace strata::imaged
