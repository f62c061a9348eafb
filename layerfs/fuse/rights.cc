#include "layerfs/fuse/rights.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"

namespace strata::layerfs {
namespace {

struct Capabilities {
  __user_cap_data_struct words[_LINUX_CAPABILITY_U32S_3];
};

bool Get(Capabilities* capabilities) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  return ::syscall(SYS_capget, &header, capabilities->words) == 0;
}

bool Set(const Capabilities& capabilities) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  return ::syscall(SYS_capset, &header, capabilities.words) == 0;
}

constexpr uint32_t Bit(int capability) { return 1u << (capability % 32); }
static_assert(CAP_FSETID < 32 && CAP_SYS_RESOURCE < 32);

}  // namespace

Status LowerRights() {
  Capabilities capabilities;
  if (!Get(&capabilities)) return Errno("capget");
  capabilities.words[0].effective &= ~(Bit(CAP_FSETID) | Bit(CAP_SYS_RESOURCE));
  if (!Set(capabilities)) return Errno("capset");
  return Ok();
}

FsetidScope::FsetidScope() {
  Capabilities capabilities;
  if (!Get(&capabilities)) return;
  const bool permitted = (capabilities.words[0].permitted & Bit(CAP_FSETID)) != 0;
  if (!permitted || (capabilities.words[0].effective & Bit(CAP_FSETID)) != 0) return;
  capabilities.words[0].effective |= Bit(CAP_FSETID);
  raised_ = Set(capabilities);
}

FsetidScope::~FsetidScope() {
  if (!raised_) return;
  Capabilities capabilities;
  CHECK(Get(&capabilities));
  capabilities.words[0].effective &= ~Bit(CAP_FSETID);
  CHECK(Set(capabilities));
}

}  // namespace strata::layerfs
