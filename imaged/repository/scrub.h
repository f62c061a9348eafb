// What a scrub found, as clients see it.
#pragma once

#include <string_view>
#include <vector>

#include "imaged/api/imaged.pb.h"
#include "imaged/save/secret_scrub.h"

namespace strata::imaged {

// Whoever imports an archive knows what is in it; a container's layer holds what was left there.
bool IsImported(const v1::Layer& layer);

// Whether a clean layer on top of it makes a clean image.
bool IsCleanBase(const v1::Image& base);

v1::ScrubbedSecret DescribeFinding(const ScrubFinding& finding);

// The first 1000 and the count, for a message that has `scrubbed` and `scrubbed_count`.
template <typename Message>
void DescribeFindings(const std::vector<ScrubFinding>& findings, Message* message) {
  constexpr size_t kListedMax = 1000;
  message->set_scrubbed_count(findings.size());
  for (const ScrubFinding& finding : findings) {
    if (static_cast<size_t>(message->scrubbed_size()) == kListedMax) return;
    *message->add_scrubbed() = DescribeFinding(finding);
  }
}

}  // namespace strata::imaged
