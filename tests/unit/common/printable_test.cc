#include "common/printable.h"

#include <gtest/gtest.h>

namespace strata {
namespace {

TEST(PrintableTest, ControlCharactersAndBrokenSequencesAreEscaped) {
  EXPECT_EQ(Printable("größe\n"), "größe\\x0a");
  EXPECT_EQ(Printable("a\xc2\x9b"
                      "b\xff\xe4\xbd"),
            "a\\xc2\\x9bb\\xff\\xe4\\xbd");
  EXPECT_EQ(Printable("abcdef", 3), "abc…");
}

TEST(PrintableTest, ThePrefixEndsBeforeTheFirstByteThatCannotBeShown) {
  EXPECT_EQ(PrintablePrefix("größe"), std::string_view("größe").size());
  EXPECT_EQ(PrintablePrefix("ab\ncd\x1b", "\n"), 5u);
  EXPECT_EQ(PrintablePrefix("ab\ncd"), 2u);
  EXPECT_EQ(PrintablePrefix(std::string_view("a\0b", 3), "\n"), 1u);
  EXPECT_EQ(PrintablePrefix("a\xc2\x85"), 1u);
  EXPECT_EQ(PrintablePrefix("a\xc3"), 1u);
  EXPECT_EQ(PrintablePrefix(""), 0u);
}

}  // namespace
}  // namespace strata
