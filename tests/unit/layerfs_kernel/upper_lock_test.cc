#include "layerfs/upper_lock.h"

#include <thread>

#include "tests/unit/layerfs_kernel/root_fixture.h"

namespace strata::layerfs {
namespace {

using std::chrono::milliseconds;

TEST_F(RootTest, AHeldUpperIsRefusedWhenTheWaitIsOver) {
  const auto lock = TakeUpperLock(base());
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(TakeUpperLock(base(), milliseconds(30)).error().code(), Code::kFailedPrecondition);
  EXPECT_FALSE(WaitUntilUpperFree(base(), milliseconds(0)).ok());
}

TEST_F(RootTest, AWaitEndsWhenTheHolderCloses) {
  auto lock = TakeUpperLock(base());
  ASSERT_TRUE(lock.ok());
  Status waited = Error(Code::kInternal, "not run");
  std::jthread waiter([&] { waited = WaitUntilUpperFree(base(), milliseconds(20000)); });
  lock->reset();
  waiter.join();
  EXPECT_TRUE(waited.ok());
}

TEST_F(RootTest, AServedUpperIsNotMountedByTheKernelDriver) {
  const RootSpec spec = PreparedSpec();
  const auto lock = TakeUpperLock(spec.upper_dir);
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(MountRoot(Driver::kKernel, spec).error().code(), Code::kFailedPrecondition);
}

}  // namespace
}  // namespace strata::layerfs
