// What an attack says: one line per try, and whether any of them got through. The program is a
// static one inside of a hostile node (tests/integration/isolation.sh), so it knows nothing of
// Strata and uses nothing but system calls.
#pragma once

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

namespace attack {

class Report {
 public:
  // The try failed as it should. `error` 0: by what it found, not by an errno.
  void Refused(const std::string& what, int error) {
    std::printf("refused   %s%s%s\n", what.c_str(), error != 0 ? ": " : "",
                error != 0 ? std::strerror(error) : "");
    std::fflush(stdout);
  }
  // It went on until something stopped it.
  void Bounded(const std::string& what, uint64_t amount) {
    std::printf("bounded   %s: %llu\n", what.c_str(), static_cast<unsigned long long>(amount));
    std::fflush(stdout);
  }
  void Breach(const std::string& what) {
    std::printf("BREACH    %s\n", what.c_str());
    std::fflush(stdout);
    ++breaches_;
  }
  // A try whose result is -1 with errno, as system calls have it: success is the breach.
  void Expect(const std::string& what, long result) {
    const int error = errno;
    result < 0 ? Refused(what, error) : Breach(what);
  }
  int ExitCode() const { return breaches_ == 0 ? 0 : 1; }

 private:
  int breaches_ = 0;
};

struct Arguments {
  int count = 0;
  char** values = nullptr;
  const char* Text(int index, const char* otherwise = "") const {
    return index < count ? values[index] : otherwise;
  }
  uint64_t Number(int index, uint64_t otherwise = 0) const {
    return index < count ? std::strtoull(values[index], nullptr, 10) : otherwise;
  }
};

// Floods: until they are stopped, or reach the amount that shows that nothing stops them.
void Forks(const Arguments& arguments, Report* report);
void Memory(const Arguments& arguments, Report* report);
void Disk(const Arguments& arguments, Report* report);
void Inodes(const Arguments& arguments, Report* report);
void Output(const Arguments& arguments, Report* report);
void Inotify(const Arguments& arguments, Report* report);
void Timers(const Arguments& arguments, Report* report);
void Namespaces(const Arguments& arguments, Report* report);

// Ways out.
void Mounts(const Arguments& arguments, Report* report);
void Binds(const Arguments& arguments, Report* report);
void Proc(const Arguments& arguments, Report* report);
void Sys(const Arguments& arguments, Report* report);
void Devices(const Arguments& arguments, Report* report);
void Calls(const Arguments& arguments, Report* report);
void Keys(const Arguments& arguments, Report* report);
void Handles(const Arguments& arguments, Report* report);
void Processes(const Arguments& arguments, Report* report);
void Namespace(const Arguments& arguments, Report* report);
void Cgroups(const Arguments& arguments, Report* report);
void Logs(const Arguments& arguments, Report* report);

// Over the network.
void Sockets(const Arguments& arguments, Report* report);
void Spoof(const Arguments& arguments, Report* report);

}  // namespace attack
