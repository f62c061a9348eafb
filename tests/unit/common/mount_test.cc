#include "common/mount.h"

#include <gtest/gtest.h>

#include "common/parallel.h"

namespace strata {
namespace {

TEST(Mounts, IdsAreShiftedByManyThreadsAtOnce) {
  const Status all = ParallelFor(
      400,
      [](size_t i) -> Status {
        const auto first_id = static_cast<uint32_t>(100'000 + i % 7 * 65'536);
        RETURN_IF_ERROR(CloneMountIdShifted("/var/tmp", first_id, 65'536));
        return Ok();
      },
      16);
  EXPECT_TRUE(all.ok()) << all.error().message();
}

}  // namespace
}  // namespace strata
