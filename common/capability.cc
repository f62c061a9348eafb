#include "common/capability.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"

namespace strata {
namespace {

struct Capabilities {
  __user_cap_data_struct words[_LINUX_CAPABILITY_U32S_3];
};

bool Get(Capabilities* capabilities) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  return ::syscall(SYS_capget, &header, capabilities->words) == 0;
}

uint32_t Bit(int capability) { return 1u << (capability % 32); }

}  // namespace

bool HasCapability(int capability) {
  Capabilities capabilities = {};
  return Get(&capabilities) &&
         (capabilities.words[capability / 32].effective & Bit(capability)) != 0;
}

Status SetCapability(int capability, bool effective) {
  Capabilities capabilities = {};
  if (!Get(&capabilities)) return Errno("capget");
  uint32_t& word = capabilities.words[capability / 32].effective;
  word = effective ? word | Bit(capability) : word & ~Bit(capability);
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  if (::syscall(SYS_capset, &header, capabilities.words) != 0) return Errno("capset");
  return Ok();
}

LoweredCapability::LoweredCapability(int capability)
    : capability_(capability),
      lowered_(HasCapability(capability) && SetCapability(capability, false).ok()) {}

LoweredCapability::~LoweredCapability() {
  if (lowered_) CHECK(SetCapability(capability_, true).ok());
}

}  // namespace strata
