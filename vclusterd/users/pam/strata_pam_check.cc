// strata-pam-check [--config-directory DIR] SERVICE: asks the host's PAM about one password
// (protocol.h). A program of its own, because PAM's modules may do what they like with a process.
#include <security/pam_appl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "vclusterd/users/pam/protocol.h"

namespace strata::vcluster::pam {
namespace {

struct Answers {
  std::string name;
  std::vector<std::string> hidden;
  size_t given = 0;
};

void FreeAll(pam_response* responses, int count) {
  for (int i = 0; i < count; ++i) std::free(responses[i].resp);
  std::free(responses);
}

// The answer to a question, for PAM to free; null: there is none.
char* AnswerTo(const pam_message& message, Answers* answers) {
  if (message.msg_style == PAM_PROMPT_ECHO_ON) return ::strdup(answers->name.c_str());
  if (answers->given == answers->hidden.size()) return nullptr;
  return ::strdup(answers->hidden[answers->given++].c_str());
}

int Converse(int count, const pam_message** messages, pam_response** responses, void* data) {
  auto* answers = static_cast<Answers*>(data);
  if (count <= 0 || count > PAM_MAX_NUM_MSG) return PAM_CONV_ERR;
  auto* made =
      static_cast<pam_response*>(std::calloc(static_cast<size_t>(count), sizeof(**responses)));
  if (made == nullptr) return PAM_BUF_ERR;
  for (int i = 0; i < count; ++i) {
    const int style = messages[i]->msg_style;
    if (style == PAM_TEXT_INFO || style == PAM_ERROR_MSG) continue;
    const bool is_question = style == PAM_PROMPT_ECHO_OFF || style == PAM_PROMPT_ECHO_ON;
    made[i].resp = is_question ? AnswerTo(*messages[i], answers) : nullptr;
    if (made[i].resp == nullptr) {
      FreeAll(made, count);
      return PAM_CONV_ERR;
    }
  }
  *responses = made;
  return PAM_SUCCESS;
}

// All of standard input; false when it is too much, or cannot be read.
bool ReadInput(std::string* input) {
  char buffer[1024];
  while (true) {
    const ssize_t size = ::read(STDIN_FILENO, buffer, sizeof(buffer));
    if (size == 0) return true;
    if (size < 0 || input->size() + static_cast<size_t>(size) > kInputBytesMax) return false;
    input->append(buffer, static_cast<size_t>(size));
  }
}

std::vector<std::string> Fields(const std::string& input) {
  std::vector<std::string> fields;
  for (size_t begin = 0; begin < input.size();) {
    const size_t end = std::min(input.find('\0', begin), input.size());
    fields.push_back(input.substr(begin, end - begin));
    begin = end + 1;
  }
  return fields;
}

int Broken(pam_handle_t* handle, const char* what, int code) {
  std::fprintf(stderr, "%s: %s\n", what, ::pam_strerror(handle, code));
  return kBroken;
}

// What an answer of pam_authenticate means.
int Judge(pam_handle_t* handle, int code) {
  switch (code) {
    case PAM_SUCCESS:
      return kTaken;
    case PAM_AUTH_ERR:
    case PAM_USER_UNKNOWN:
    case PAM_MAXTRIES:
    case PAM_PERM_DENIED:
    case PAM_CRED_INSUFFICIENT:
    case PAM_ACCT_EXPIRED:
    case PAM_CONV_ERR:  // It asks for more than a password.
      return kWrong;
    default:
      return Broken(handle, "pam_authenticate", code);
  }
}

int Check(pam_handle_t* handle, const Answers& answers, const std::string& source) {
  if (!source.empty()) {
    const int code = ::pam_set_item(handle, PAM_RHOST, source.c_str());
    if (code != PAM_SUCCESS) return Broken(handle, "pam_set_item", code);
  }
  const int flags = PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK;
  const int verdict = Judge(handle, ::pam_authenticate(handle, flags));
  if (verdict != kTaken) return verdict;
  // A module may take him for somebody else, as an alias; here he is who he says, or nobody.
  const void* user = nullptr;
  if (::pam_get_item(handle, PAM_USER, &user) != PAM_SUCCESS || user == nullptr ||
      answers.name != static_cast<const char*>(user)) {
    return kWrong;
  }
  const int allowed = ::pam_acct_mgmt(handle, flags);
  if (allowed == PAM_SUCCESS) return kTaken;
  if (allowed == PAM_NEW_AUTHTOK_REQD) {
    std::puts("the password on the host has expired: change it there");
  } else {
    std::printf("the host does not let you in: %s\n", ::pam_strerror(handle, allowed));
  }
  return kDenied;
}

int Main(int argc, char** argv) {
  // The password is in its memory.
  ::prctl(PR_SET_DUMPABLE, 0);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  const char* directory = nullptr;
  if (argc == 4 && std::strcmp(argv[1], "--config-directory") == 0) directory = argv[2];
  if (argc != 2 && directory == nullptr) {
    std::fprintf(stderr, "usage: strata-pam-check [--config-directory DIR] SERVICE\n");
    return kBroken;
  }
  std::string input;
  if (!ReadInput(&input)) return kBroken;
  const std::vector<std::string> fields = Fields(input);
  if (fields.size() < 3 || fields[0].empty()) return kBroken;
  Answers answers;
  answers.name = fields[0];
  answers.hidden.assign(fields.begin() + 2, fields.end());
  const pam_conv conversation{Converse, &answers};
  pam_handle_t* handle = nullptr;
  const int code = directory == nullptr
                       ? ::pam_start(argv[argc - 1], answers.name.c_str(), &conversation, &handle)
                       : ::pam_start_confdir(argv[argc - 1], answers.name.c_str(), &conversation,
                                             directory, &handle);
  if (code != PAM_SUCCESS) return Broken(handle, "pam_start", code);
  const int verdict = Check(handle, answers, fields[1]);
  ::pam_end(handle, verdict == kTaken ? PAM_SUCCESS : PAM_AUTH_ERR);
  return verdict;
}

}  // namespace
}  // namespace strata::vcluster::pam

int main(int argc, char** argv) { return strata::vcluster::pam::Main(argc, argv); }
