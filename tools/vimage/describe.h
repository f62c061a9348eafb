// Images and what an import brought, as lines for people.
#pragma once

#include <string>

#include "imaged/api/imaged.pb.h"

namespace strata::tools {

// "root/debian:latest"
std::string FullName(const imaged::v1::Image& image);
// Content of all layers.
uint64_t ContentBytes(const imaged::v1::Image& image);
const char* VisibilityName(imaged::v1::Visibility visibility);
// "12,161 entries, 299.0 MiB read, 280.1 MiB new in 9,876 objects, manifest 1.2 MiB"
std::string DescribeIngest(const imaged::v1::IngestSummary& summary);

}  // namespace strata::tools
