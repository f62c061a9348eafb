#include "layerfs/acl_shift.h"

#include <gtest/gtest.h>

namespace strata::layerfs {
namespace {

// Version 2; user::rw-, user:<id>:r--, mask::r--.
Xattr Acl(char id) {
  const char bytes[] = {2, 0, 0,  0, 1, 0, 6,  0, -1, -1, -1, -1, 2,  0,
                        4, 0, id, 0, 0, 0, 16, 0, 4,  0,  -1, -1, -1, -1};
  return {"system.posix_acl_access", std::string(bytes, sizeof(bytes))};
}

constexpr IdShift kShift{.first_id = 0x010000, .count = 100};

TEST(ShiftAclIds, MovesNamedIdsAndNothingElse) {
  Xattr acl = Acl(7);
  ASSERT_TRUE(ShiftAclIds(kShift, &acl).ok());
  EXPECT_EQ(acl.value.substr(16, 4), std::string("\x07\x00\x01\x00", 4));
  acl.value[18] = 0;
  EXPECT_EQ(acl.value, Acl(7).value);
}

TEST(ShiftAclIds, RefusesIdsOutsideTheRangeAndMalformedLists) {
  Xattr outside = Acl(100);
  EXPECT_EQ(ShiftAclIds(kShift, &outside).error().code(), Code::kInvalidArgument);
  Xattr torn = Acl(7);
  torn.value.pop_back();
  EXPECT_EQ(ShiftAclIds(kShift, &torn).error().code(), Code::kCorrupt);
  Xattr other{"user.system", "x"};
  EXPECT_TRUE(ShiftAclIds(kShift, &other).ok());
}

}  // namespace
}  // namespace strata::layerfs
