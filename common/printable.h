// Foreign bytes for people: names from archives and file systems in messages, logs and protobuf
// strings (which must be UTF-8). Thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace strata {

// `bytes` with control characters, and everything that is not valid UTF-8, as \xNN; cut after
// `size_max` bytes with "…".
std::string Printable(std::string_view bytes, size_t size_max = 300);

// The same for text of several lines, which stay as they are.
std::string PrintableText(std::string_view bytes);

// How many bytes at the start of `bytes` are valid UTF-8 without control characters other than
// those in `allowed` ("\n\t").
size_t PrintablePrefix(std::string_view bytes, std::string_view allowed = "");

}  // namespace strata
