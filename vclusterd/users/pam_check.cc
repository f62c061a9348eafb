#include "vclusterd/users/pam_check.h"

#include <vector>

#include "common/printable.h"
#include "common/subprocess.h"
#include "vclusterd/users/pam/protocol.h"

namespace strata::vcluster {
namespace {

constexpr size_t kOutputBytesMax = 4096;

std::string FirstLine(const std::string& text) {
  return Printable(text.substr(0, text.find('\n')));
}

}  // namespace

Result<bool> HostPasswords::Takes(const std::string& name, const std::string& password,
                                  const std::string& source) {
  std::string input;
  for (const std::string& field : {name, source, password}) {
    if (field.find('\0') != std::string::npos) return false;
    input += field + std::string(1, '\0');
  }
  if (input.size() > pam::kInputBytesMax) return false;
  if (!free_.try_acquire_for(options_.timeout)) {
    return Error(Code::kResourceExhausted, "too many sign in at once: try again");
  }
  std::vector<std::string> argv = {options_.program};
  if (!options_.config_directory.empty()) {
    argv.insert(argv.end(), {"--config-directory", options_.config_directory});
  }
  argv.push_back(options_.service);
  const auto output = Run(argv, input, options_.timeout, kOutputBytesMax);
  free_.release();
  if (!output.ok()) {
    return Error(Code::kUnavailable, "the host's PAM cannot be asked: " + output.error().message());
  }
  switch (output->exit_code) {
    case pam::kTaken:
      return true;
    case pam::kWrong:
      return false;
    case pam::kDenied:
      return Error(Code::kPermissionDenied, FirstLine(output->out));
    default:
      return Error(Code::kUnavailable, "the host's PAM cannot be asked: exit code " +
                                           std::to_string(output->exit_code) + ": " +
                                           FirstLine(output->err));
  }
}

}  // namespace strata::vcluster
