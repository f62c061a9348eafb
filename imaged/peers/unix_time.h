// Times as messages and files carry them: milliseconds since 1970.
#pragma once

#include <chrono>
#include <cstdint>

#include "common/pki/certificate.h"

namespace strata::imaged {

inline int64_t UnixMs(pki::Time time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

}  // namespace strata::imaged
