// The one list of cases. Each runs in a fresh directory with the content described below; on a
// union all of it is in the lower. Written to POSIX and Linux's manual pages, first made to pass on
// ext4.
#pragma once

#include <span>
#include <vector>

#include "tests/conformance/env.h"
#include "tests/conformance/test_image.h"

namespace strata::conformance {

struct Case {
  const char* name;
  void (*run)(Env& e);
};

std::span<const Case> OpenCases();
std::span<const Case> DataCases();
std::span<const Case> RenameCases();
std::span<const Case> RemoveCases();
std::span<const Case> LinkCases();
std::span<const Case> AttributeCases();
std::span<const Case> XattrCases();
std::span<const Case> DirectoryCases();
std::span<const Case> SpecialCases();
std::span<const Case> LockCases();
std::span<const Case> RemountCases();
std::span<const Case> DescriptorCases();

std::vector<Case> AllCases();

// The content of every case's directory, described below `directory` of the image:
//   file (0644, "lower file\n")  private (0600)  user_file (1000:1000)  empty  small  run (0755)
//   suid (06755, 1000:1000)  big (1 MiB + 1)  sparse-able big2 (200,000 bytes)
//   l1 l2 sub/l3: one file with three names ("linked\n")
//   dir/{a,b,sub/x}  empty_dir  deep/d1/d2/f  many/000…119  sticky (01777)/{of1000,of1001}
//   sgid_dir (02775, gid 1000)  user_dir (1000:1000)/inner
//   to_file to_dir dangling: symbolic links   fifo sock null (1:3) blk (7:200)
//   attrs: user.k=v, trusted.t=v, security.s=v   acl: user 1000 may write   acl_dir: default ACL
void DescribeLowerContent(const std::string& directory, testing::TestImage* image);

inline constexpr int kMany = 120;
inline constexpr const char* kLowerFile = "lower file\n";
inline constexpr const char* kLinked = "linked\n";
inline constexpr off_t kBigSize = (1 << 20) + 1;
std::string BigContent();

}  // namespace strata::conformance
