#include "imaged/save/secret_rules.h"

#include <algorithm>
#include <array>

namespace strata::imaged {
namespace {

using enum SecretCategory;
using enum SecretAction;

constexpr std::string_view kHostKeyWhy =
    "who has it can pass for this host; made anew by ssh-keygen -A";
constexpr std::string_view kIdentityWhy = "logs in as the user";
constexpr std::string_view kKeyStoreWhy = "a store of private keys";
constexpr std::string_view kCloudWhy = "access to a cloud account";
constexpr std::string_view kRegistryWhy = "may publish packages or images as the user";
constexpr std::string_view kPasswordWhy = "holds passwords";
constexpr std::string_view kTokenWhy = "holds an access token";
constexpr std::string_view kHistoryWhy = "what was typed, passwords included";
constexpr std::string_view kSeedWhy = "clones would share it; made anew at boot";

constexpr SecretRule kRules[] = {
    {kHostKey, "/etc/ssh/ssh_host_*_key", kRemove, kHostKeyWhy},
    {kHostKey, "/etc/ssh/ssh_host_*_key.pub", kRemove, "goes with its private key"},
    {kHostKey, "/etc/dropbear/dropbear_*_host_key", kRemove, kHostKeyWhy},

    {kPrivateKey, ".ssh/id_*", kRemove, kIdentityWhy},
    {kPrivateKey, ".gnupg/private-keys-v1.d/**", kRemove, "signs and decrypts as the user"},
    {kPrivateKey, ".gnupg/secring.gpg", kRemove, "signs and decrypts as the user"},
    {kPrivateKey, "/etc/ssl/private/**", kRemove, "the private key of a certificate"},
    {kPrivateKey, "*.p12", kRemove, kKeyStoreWhy},
    {kPrivateKey, "*.pfx", kRemove, kKeyStoreWhy},
    {kPrivateKey, "*.keytab", kRemove, "Kerberos keys: stands for a password"},

    {kCredential, ".netrc", kRemove, kPasswordWhy},
    {kCredential, ".git-credentials", kRemove, kPasswordWhy},
    {kCredential, ".config/git/credentials", kRemove, kPasswordWhy},
    {kCredential, ".config/gh/hosts.yml", kRemove, kTokenWhy},
    {kCredential, ".docker/config.json", kRemove, kRegistryWhy},
    {kCredential, ".config/containers/auth.json", kRemove, kRegistryWhy},
    {kCredential, ".kube/config", kRemove, "access to Kubernetes clusters"},
    {kCredential, ".aws/credentials", kRemove, kCloudWhy},
    {kCredential, ".aws/sso/cache/**", kRemove, kCloudWhy},
    {kCredential, ".config/gcloud/**", kRemove, kCloudWhy},
    {kCredential, ".azure/**", kRemove, kCloudWhy},
    {kCredential, ".s3cfg", kRemove, kCloudWhy},
    {kCredential, ".boto", kRemove, kCloudWhy},
    {kCredential, ".config/rclone/rclone.conf", kRemove, kCloudWhy},
    {kCredential, ".pypirc", kRemove, kRegistryWhy},
    {kCredential, ".npmrc", kRemove, kRegistryWhy, "_auth"},
    {kCredential, ".yarnrc.yml", kRemove, kRegistryWhy, "npmAuth"},
    {kCredential, ".cargo/credentials", kRemove, kRegistryWhy},
    {kCredential, ".cargo/credentials.toml", kRemove, kRegistryWhy},
    {kCredential, ".gem/credentials", kRemove, kRegistryWhy},
    {kCredential, ".huggingface/token", kRemove, kTokenWhy},
    {kCredential, ".cache/huggingface/token", kRemove, kTokenWhy},
    {kCredential, ".cache/huggingface/stored_tokens", kRemove, kTokenWhy},
    {kCredential, "kaggle.json", kRemove, kTokenWhy, "\"key\""},
    {kCredential, ".vault-token", kRemove, kTokenWhy},
    {kCredential, ".terraform.d/credentials.tfrc.json", kRemove, kTokenWhy},
    {kCredential, ".my.cnf", kRemove, kPasswordWhy, "password"},
    {kCredential, ".mylogin.cnf", kRemove, kPasswordWhy},
    {kCredential, ".pgpass", kRemove, kPasswordWhy},
    {kCredential, ".subversion/auth/**", kRemove, kPasswordWhy},
    {kCredential, ".Xauthority", kRemove, "opens the user's display"},
    {kCredential, ".local/share/jupyter/runtime/**", kRemove, "tokens of notebook servers"},
    {kCredential, ".jupyter/jupyter_*_config.json", kRemove, "a notebook server's password",
     "password"},

    {kHistory, ".bash_history", kRemove, kHistoryWhy},
    {kHistory, ".zsh_history", kRemove, kHistoryWhy},
    {kHistory, ".histfile", kRemove, kHistoryWhy},
    {kHistory, ".ash_history", kRemove, kHistoryWhy},
    {kHistory, ".sh_history", kRemove, kHistoryWhy},
    {kHistory, ".history", kRemove, kHistoryWhy},
    {kHistory, ".local/share/fish/fish_history", kRemove, kHistoryWhy},
    {kHistory, ".python_history", kRemove, kHistoryWhy},
    {kHistory, ".ipython/*/history.sqlite", kRemove, kHistoryWhy},
    {kHistory, ".node_repl_history", kRemove, kHistoryWhy},
    {kHistory, ".irb_history", kRemove, kHistoryWhy},
    {kHistory, ".Rhistory", kRemove, kHistoryWhy},
    {kHistory, ".julia/logs/repl_history.jl", kRemove, kHistoryWhy},
    {kHistory, ".psql_history", kRemove, kHistoryWhy},
    {kHistory, ".mysql_history", kRemove, kHistoryWhy},
    {kHistory, ".mariadb_history", kRemove, kHistoryWhy},
    {kHistory, ".sqlite_history", kRemove, kHistoryWhy},
    {kHistory, ".rediscli_history", kRemove, kHistoryWhy},
    {kHistory, ".dbshell", kRemove, kHistoryWhy},
    {kHistory, ".lesshst", kRemove, "what was searched for"},
    {kHistory, ".viminfo", kRemove, "registers, and what was searched for"},
    {kHistory, ".local/state/nvim/shada/**", kRemove, "registers, and what was searched for"},
    {kHistory, ".local/share/nano/search_history", kRemove, "what was searched for"},
    {kHistory, ".wget-hsts", kRemove, "which hosts were visited"},

    {kMachineIdentity, "/etc/machine-id", kEmpty, kSeedWhy},
    {kMachineIdentity, "/var/lib/dbus/machine-id", kRemove, kSeedWhy},
    {kMachineIdentity, "/var/lib/systemd/random-seed", kRemove, kSeedWhy},
    {kMachineIdentity, "/var/lib/systemd/credential.secret", kRemove,
     "decrypts the credentials of this machine's services"},
};

constexpr std::string_view kShipped[] = {
    "site-packages/**", "dist-packages/**", "node_modules/**",
    "lib/python3*/**",  "go/pkg/mod/**",    ".cargo/registry/**",
};

// Takes the last component off `path`.
std::string_view TakeLast(std::string_view* path) {
  const size_t slash = path->rfind('/');
  std::string_view last = path->substr(slash == std::string_view::npos ? 0 : slash + 1);
  *path = slash == std::string_view::npos ? std::string_view() : path->substr(0, slash);
  return last;
}

bool MatchesComponent(std::string_view pattern, std::string_view name) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == name;
  const std::string_view tail = pattern.substr(star + 1);
  return name.size() >= pattern.size() - 1 && name.starts_with(pattern.substr(0, star)) &&
         name.ends_with(tail);
}

// Component by component from the end, where paths differ soonest.
bool MatchesEnd(std::string_view pattern, std::string_view path) {
  const bool from_root = pattern.starts_with('/');
  if (from_root) pattern.remove_prefix(1);
  while (!pattern.empty()) {
    if (path.empty() || !MatchesComponent(TakeLast(&pattern), TakeLast(&path))) return false;
  }
  return !from_root || path.empty();
}

bool Matches(std::string_view pattern, std::string_view path) {
  if (!pattern.ends_with("/**")) return MatchesEnd(pattern, path);
  pattern.remove_suffix(3);
  // Nearly every path ends here, and without a look at each directory on its way.
  const std::string_view last = pattern.substr(pattern.rfind('/') + 1);
  if (path.find(last.substr(0, last.find('*'))) == std::string_view::npos) return false;
  for (size_t slash = path.rfind('/'); slash != std::string_view::npos && slash > 0;
       slash = path.rfind('/', slash - 1)) {
    if (MatchesEnd(pattern, path.substr(0, slash))) return true;
  }
  return false;
}

bool IsOfDistribution(std::string_view path) {
  return path.starts_with("usr/") && !path.starts_with("usr/local/");
}

}  // namespace

std::string_view CategoryName(SecretCategory category) {
  switch (category) {
    case kHostKey:
      return "host key";
    case kPrivateKey:
      return "private key";
    case kCredential:
      return "credential";
    case kHistory:
      return "history";
    case kMachineIdentity:
      return "machine identity";
  }
  return "secret";
}

std::span<const SecretRule> SecretPathRules() { return kRules; }

bool IsShipped(std::string_view path) {
  return IsOfDistribution(path) ||
         std::any_of(std::begin(kShipped), std::end(kShipped),
                     [&](std::string_view pattern) { return Matches(pattern, path); });
}

const SecretRule* FindSecretPath(std::string_view path) {
  if (IsOfDistribution(path)) return nullptr;  // Most files, and no rule of a fixed path is there.
  for (const SecretRule& rule : kRules) {
    if (!Matches(rule.pattern, path)) continue;
    if (rule.pattern.starts_with('/') || !IsShipped(path)) return &rule;
  }
  return nullptr;
}

}  // namespace strata::imaged
