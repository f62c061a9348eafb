// The JSON that DCSpark's clusters are configured with (Z. Lei and others, "DCSpark: Virtualizing
// Spark Using Docker Containers", section 4.5: "number of the CPU and memory size of master, driver
// and each worker node, and the number of worker nodes"), as a Definition. The paper prints no
// example; docs/definition.md says what is taken.
#pragma once

#include "vclusterd/definition/definition.h"
#include "vclusterd/definition/field_reader.h"

namespace strata::vcluster::file {

// A master, driver or worker with its CPUs or memory stands at the top.
bool IsDcspark(const Value& root);

// Faults are the reader's.
Definition ReadDcspark(FieldReader& in);

}  // namespace strata::vcluster::file
