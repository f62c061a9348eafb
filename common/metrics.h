// What this process tells Prometheus: one registry, which the parts of the program add their
// families to where they count (prometheus-cpp), and its text (exposition format 0.0.4).
//
// Names: strata_<part>_<what>_<unit>[_total]; units are seconds and bytes. Labels have few values,
// all of them ours: never a user, an image or a digest.
//
// Thread-safe.
#pragma once

#include <prometheus/registry.h>

#include <string>

namespace strata {

// Lives as long as the process.
prometheus::Registry& Metrics();
std::string MetricsText();

}  // namespace strata
