// The user's terminal, handed to a program in a node: every key goes there, none is treated here.
#pragma once

#include <termios.h>

#include <cstdint>
#include <memory>

#include "common/result.h"

namespace strata::tools {

struct TerminalSize {
  uint32_t rows = 24;
  uint32_t columns = 80;
};

TerminalSize SizeOfTerminal(int fd);

// Raw mode from Enter() until Restore() or the end of the object. Restore() may be called from any
// thread, also twice.
class RawTerminal {
 public:
  // REQUIRES: `fd` stays open.
  static Result<std::unique_ptr<RawTerminal>> Enter(int fd);
  ~RawTerminal() { Restore(); }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  void Restore();

 private:
  RawTerminal(int fd, const termios& before) : fd_(fd), before_(before) {}
  const int fd_;
  const termios before_;
};

}  // namespace strata::tools
