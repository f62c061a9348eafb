// Images and what an import brought, as lines for people.
#pragma once

#include <string>

#include "imaged/api/imaged.pb.h"

namespace strata::tools {

// "root/debian:latest"
std::string FullName(const imaged::v1::Image& image);
// Content of all layers.
uint64_t ContentBytes(const imaged::v1::Image& image);
// Who may use it: "everybody", "you", "bob, group students until 2026-12-24 00:00", or for somebody
// else's image why you may: "shared with class alice/os".
std::string SeenBy(const imaged::v1::Image& image);
// "bob", "group students", "class alice/os".
std::string GranteeName(const imaged::v1::Grant& grant);
// "1a2b3c4d5e6f"
std::string ShortDigest(const std::string& digest);
// "12,161 entries, 299.0 MiB read, 280.1 MiB new in 9,876 objects, manifest 1.2 MiB"
std::string DescribeIngest(const imaged::v1::IngestSummary& summary);

}  // namespace strata::tools
