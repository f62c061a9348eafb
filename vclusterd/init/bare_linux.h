// What vinit and strata-in-node need of a C library: the entry point and direct system calls
// (x86-64). glibc's static start-up alone would keep 60 KiB of private pages and 650 KiB of text
// per host in memory; this keeps three pages. Errors come back as the kernel gives them: -errno.
//
// Included once by each of them.
#pragma once

#include <asm/signal.h>
#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/poll.h>
#include <linux/time_types.h>
#include <stddef.h>
#include <stdint.h>

#include <initializer_list>

extern "C" {
// The compiler may call these two on its own.
inline __attribute__((used)) void* memset(void* to, int byte, size_t size) {
  asm volatile("rep stosb"
               : "+D"(*reinterpret_cast<void**>(&to)), "+c"(size)
               : "a"(byte)
               : "memory");
  return to;
}
inline __attribute__((used)) void* memcpy(void* to, const void* from, size_t size) {
  void* at = to;
  asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
  return to;
}

int BareMain(char** argv);

// The kernel leaves argc, then argv, on the stack.
__attribute__((naked, noreturn, used)) inline void _start() {
  asm volatile(
      "lea 8(%rsp), %rdi\n"
      "and $-16, %rsp\n"
      "call BareMain\n"
      "mov %eax, %edi\n"
      "mov $231, %eax\n"  // exit_group
      "syscall\n");
}

// Where a signal handler returns to.
__attribute__((naked, used)) inline void SignalRestorer() {
  asm volatile("mov $15, %eax\n syscall\n");  // rt_sigreturn
}
}

namespace bare {

inline long Call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
               : "rcx", "r11", "memory");
  return result;
}
template <typename T>
long Pointer(T* pointer) {
  return reinterpret_cast<long>(pointer);
}

struct SignalAction {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)();
  uint64_t mask;
};
using SignalMask = uint64_t;
inline constexpr unsigned long kRestorerFlag = 0x04000000;  // SA_RESTORER

inline void Handle(int number, void (*handler)(int)) {
  const SignalAction action = {handler, kRestorerFlag, SignalRestorer, 0};
  Call(__NR_rt_sigaction, number, Pointer(&action), 0, sizeof(SignalMask));
}
inline void SetMask(SignalMask mask) {
  Call(__NR_rt_sigprocmask, SIG_SETMASK, Pointer(&mask), 0, sizeof(mask));
}
// Waits with `mask` in force; `timeout` null is for ever.
inline long Poll(pollfd* fds, long count, const __kernel_timespec* timeout, SignalMask mask) {
  __kernel_timespec copy;  // The kernel writes back what was left.
  if (timeout != nullptr) copy = *timeout;
  return Call(__NR_ppoll, Pointer(fds), count, timeout != nullptr ? Pointer(&copy) : 0,
              Pointer(&mask), sizeof(mask));
}
[[noreturn]] inline void Exit(int code) {
  while (true) Call(__NR_exit_group, code);
}

inline size_t Length(const char* text) {
  size_t n = 0;
  while (text[n] != '\0') ++n;
  return n;
}
inline bool Equal(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) ++a, ++b;
  return *a == *b;
}
// A decimal number up to `max`, or -1.
inline long ParseNumber(const char* text, long max) {
  long value = 0;
  if (*text == '\0') return -1;
  for (; *text != '\0'; ++text) {
    if (*text < '0' || *text > '9') return -1;
    value = value * 10 + (*text - '0');
    if (value > max) return -1;
  }
  return value;
}

}  // namespace bare
