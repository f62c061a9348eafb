#include "vclusterd/jobs/run_id.h"

#include <gtest/gtest.h>

namespace strata::vcluster {
namespace {

TEST(RunIdTest, IsReadAsItWasWritten) {
  const RunId id{17, 0, 3, 1};
  EXPECT_EQ(id.ToString(), "17.0.3.1");
  EXPECT_EQ(id.CommandKey(), "17.0");
  EXPECT_EQ(RunId::Parse("17.0.3.1"), id);
  EXPECT_EQ(RunId::Parse("4294967295.0.0.0")->job, 4294967295u);
}

TEST(RunIdTest, NothingElseIsOne) {
  for (const char* text : {"", "17", "17.0.3", "17.0.3.", "17.0.3.1.", "17.0.3.1.2", ".17.0.3.1",
                           "17..3.1", "a.0.3.1", "17.0.3.1 ", " 17.0.3.1", "017.0.3.1", "-1.0.3.1",
                           "+17.0.3.1", "4294967296.0.0.0", "17/0/3/1", "../../x"}) {
    EXPECT_FALSE(RunId::Parse(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace strata::vcluster
