// The tables of secrets: every rule has a file that it is for, and there are files next to it that
// must stay.
#include "imaged/save/secret_rules.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "imaged/save/secret_content.h"

namespace strata::imaged {
namespace {

struct PathCase {
  const char* path;
  const char* pattern;  // Of the rule that takes it.
};

const PathCase kSecretPaths[] = {
    {"etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_*_key"},
    {"etc/ssh/ssh_host_rsa_key.pub", "/etc/ssh/ssh_host_*_key.pub"},
    {"etc/dropbear/dropbear_rsa_host_key", "/etc/dropbear/dropbear_*_host_key"},
    {"root/.ssh/id_rsa", ".ssh/id_*"},
    {"home/u/.ssh/id_ed25519_work", ".ssh/id_*"},
    {"data/homes/a/b/.ssh/id_ecdsa.pub", ".ssh/id_*"},
    {"home/u/.gnupg/private-keys-v1.d/AB12.key", ".gnupg/private-keys-v1.d/**"},
    {"home/u/.gnupg/secring.gpg", ".gnupg/secring.gpg"},
    {"etc/ssl/private/ssl-cert-snakeoil.key", "/etc/ssl/private/**"},
    {"etc/ssl/private/a/b/c", "/etc/ssl/private/**"},
    {"srv/app/client.p12", "*.p12"},
    {"srv/app/client.pfx", "*.pfx"},
    {"etc/krb5.keytab", "*.keytab"},
    {"usr/local/etc/http.keytab", "*.keytab"},
    {"root/.netrc", ".netrc"},
    {".netrc", ".netrc"},
    {"root/.git-credentials", ".git-credentials"},
    {"root/.config/git/credentials", ".config/git/credentials"},
    {"root/.config/gh/hosts.yml", ".config/gh/hosts.yml"},
    {"root/.docker/config.json", ".docker/config.json"},
    {"root/.config/containers/auth.json", ".config/containers/auth.json"},
    {"root/.kube/config", ".kube/config"},
    {"root/.aws/credentials", ".aws/credentials"},
    {"root/.aws/sso/cache/1.json", ".aws/sso/cache/**"},
    {"root/.config/gcloud/credentials.db", ".config/gcloud/**"},
    {"root/.config/gcloud/legacy_credentials/u/adc.json", ".config/gcloud/**"},
    {"root/.azure/msal_token_cache.json", ".azure/**"},
    {"root/.s3cfg", ".s3cfg"},
    {"root/.boto", ".boto"},
    {"root/.config/rclone/rclone.conf", ".config/rclone/rclone.conf"},
    {"root/.pypirc", ".pypirc"},
    {"srv/web/.npmrc", ".npmrc"},
    {"srv/web/.yarnrc.yml", ".yarnrc.yml"},
    {"root/.cargo/credentials", ".cargo/credentials"},
    {"root/.cargo/credentials.toml", ".cargo/credentials.toml"},
    {"root/.gem/credentials", ".gem/credentials"},
    {"root/.huggingface/token", ".huggingface/token"},
    {"root/.cache/huggingface/token", ".cache/huggingface/token"},
    {"root/.cache/huggingface/stored_tokens", ".cache/huggingface/stored_tokens"},
    {"root/.kaggle/kaggle.json", "kaggle.json"},
    {"root/.vault-token", ".vault-token"},
    {"root/.terraform.d/credentials.tfrc.json", ".terraform.d/credentials.tfrc.json"},
    {"root/.my.cnf", ".my.cnf"},
    {"root/.mylogin.cnf", ".mylogin.cnf"},
    {"root/.pgpass", ".pgpass"},
    {"root/.subversion/auth/svn.simple/1a2b", ".subversion/auth/**"},
    {"root/.Xauthority", ".Xauthority"},
    {"root/.local/share/jupyter/runtime/jpserver-7.json", ".local/share/jupyter/runtime/**"},
    {"root/.jupyter/jupyter_server_config.json", ".jupyter/jupyter_*_config.json"},
    {"root/.bash_history", ".bash_history"},
    {"root/.zsh_history", ".zsh_history"},
    {"root/.histfile", ".histfile"},
    {"root/.ash_history", ".ash_history"},
    {"root/.sh_history", ".sh_history"},
    {"root/.history", ".history"},
    {"root/.local/share/fish/fish_history", ".local/share/fish/fish_history"},
    {"root/.python_history", ".python_history"},
    {"root/.ipython/profile_default/history.sqlite", ".ipython/*/history.sqlite"},
    {"root/.node_repl_history", ".node_repl_history"},
    {"root/.irb_history", ".irb_history"},
    {"home/u/project/.Rhistory", ".Rhistory"},
    {"root/.julia/logs/repl_history.jl", ".julia/logs/repl_history.jl"},
    {"var/lib/postgresql/.psql_history", ".psql_history"},
    {"root/.mysql_history", ".mysql_history"},
    {"root/.mariadb_history", ".mariadb_history"},
    {"root/.sqlite_history", ".sqlite_history"},
    {"root/.rediscli_history", ".rediscli_history"},
    {"root/.dbshell", ".dbshell"},
    {"root/.lesshst", ".lesshst"},
    {"root/.viminfo", ".viminfo"},
    {"root/.local/state/nvim/shada/main.shada", ".local/state/nvim/shada/**"},
    {"root/.local/share/nano/search_history", ".local/share/nano/search_history"},
    {"root/.wget-hsts", ".wget-hsts"},
    {"etc/machine-id", "/etc/machine-id"},
    {"var/lib/dbus/machine-id", "/var/lib/dbus/machine-id"},
    {"var/lib/systemd/random-seed", "/var/lib/systemd/random-seed"},
    {"var/lib/systemd/credential.secret", "/var/lib/systemd/credential.secret"},
};

const char* const kHarmlessPaths[] = {
    "",
    "etc/ssh/sshd_config",
    "etc/ssh/ssh_host_key",
    "etc/ssh/ssh_host_rsa_key.bak",
    "srv/etc/ssh/ssh_host_rsa_key",
    "root/.ssh/known_hosts",
    "root/.ssh/authorized_keys",
    "root/.ssh/config",
    "root/.ssh/identity/notes",
    "home/u/project/id_rsa",  // Its content tells.
    "home/u/ssh/id_rsa",
    "usr/share/doc/openssh-client/examples/.ssh/id_rsa",
    "usr/lib/python3/dist-packages/x/test/client.p12",
    "usr/share/bash/.bash_history",
    "usr/local/lib/python3.11/dist-packages/x/.netrc",
    "opt/venv/lib/python3.11/site-packages/twisted/test/server.pfx",
    "opt/conda/lib/python3.12/test/.pypirc",
    "srv/web/node_modules/kerberos/test.keytab",
    "root/go/pkg/mod/example.com/x/.docker/config.json",
    "root/.cargo/registry/src/y/client.p12",
    "etc/ssl/certs/ca.pem",
    "etc/ssl/private",
    "srv/etc/machine-id",
    "etc/machine-id.d/x",
    "root/old.bash_history",
    "root/.bash_history.d/x",
    "home/u/aws/credentials",
    "root/.aws/config",
    "root/.docker/config.json/x",
    "root/.ipython/history.sqlite",
    "srv/p12",
    "srv/keytab",
    "home/u/.cargo/config.toml",
    "home/u/.local/share/jupyter/kernels/python3/kernel.json",
};

TEST(SecretPaths, EveryRuleTakesItsFilesAndHasOne) {
  std::set<std::string_view> used;
  for (const PathCase& each : kSecretPaths) {
    const SecretRule* rule = FindSecretPath(each.path);
    ASSERT_NE(rule, nullptr) << each.path;
    EXPECT_EQ(rule->pattern, each.pattern) << each.path;
    used.insert(rule->pattern);
  }
  for (const SecretRule& rule : SecretPathRules()) {
    EXPECT_TRUE(used.contains(rule.pattern)) << rule.pattern << " has no example";
    EXPECT_FALSE(rule.why.empty()) << rule.pattern;
    EXPECT_FALSE(rule.pattern.starts_with("/usr/")) << "FindSecretPath looks at none there";
  }
}

TEST(SecretPaths, FilesNextToThemStay) {
  for (const char* path : kHarmlessPaths) {
    const SecretRule* rule = FindSecretPath(path);
    EXPECT_EQ(rule, nullptr) << path << " is taken by " << rule->pattern;
  }
}

TEST(SecretPaths, OnlyTheMachineIdIsEmptied) {
  for (const SecretRule& rule : SecretPathRules()) {
    EXPECT_EQ(rule.action == SecretAction::kEmpty, rule.pattern == "/etc/machine-id");
  }
}

std::string Characters(std::string_view alphabet, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += alphabet[i % alphabet.size()];
  return text;
}

const std::string kAlnum = "aB3dE6gH9";

// Put together here, so that no file of ours looks like a leak.
std::string Pem(const std::string& label, const std::string& headers = "",
                const std::string& line_end = "\n") {
  return "-----BEGIN " + label + "-----" + line_end + headers + Characters("MIIEvA/+x", 64) +
         line_end + Characters("kZ0", 40) + "==" + line_end + "-----END " + label + "-----" +
         line_end;
}

struct ContentCase {
  std::string content;
  const char* pattern;
};

std::vector<ContentCase> SecretContents() {
  const std::string slack = Characters("1234567890", 12) + "-" + Characters(kAlnum, 24);
  return {
      {Pem("PRIVATE KEY"), "-----BEGIN "},
      {Pem("RSA PRIVATE KEY"), "-----BEGIN "},
      {Pem("EC PRIVATE KEY"), "-----BEGIN "},
      {Pem("OPENSSH PRIVATE KEY"), "-----BEGIN "},
      {Pem("OPENSSH PRIVATE KEY", "", "\r\n"), "-----BEGIN "},
      {Pem("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00FF\n\n"),
       "-----BEGIN "},
      {Pem("PGP PRIVATE KEY BLOCK", "Version: GnuPG v2\n\n"), "-----BEGIN "},
      {Pem("CERTIFICATE") + Pem("PRIVATE KEY"), "-----BEGIN "},
      {R"({"private_key": ")" + Pem("PRIVATE KEY", "", "\\n") + "\"}", "-----BEGIN "},
      {"key: |\n  " + Pem("PRIVATE KEY", "", "\n  "), "-----BEGIN "},
      {"token=ghp_" + Characters(kAlnum, 36) + "\n", "ghp_"},
      {"gho_" + Characters(kAlnum, 36), "gho_"},
      {"ghu_" + Characters(kAlnum, 36), "ghu_"},
      {"'ghs_" + Characters(kAlnum, 36) + "'", "ghs_"},
      {"ghr_" + Characters(kAlnum, 76), "ghr_"},
      {"github_pat_" + Characters(kAlnum, 22) + "_" + Characters(kAlnum, 59), "github_pat_"},
      {"glpat-" + Characters(kAlnum, 20), "glpat-"},
      {"id = AKIA" + Characters("A2B3C4D5", 16), "AKIA"},
      {"id = ASIA" + Characters("A2B3C4D5", 16), "ASIA"},
      {"xoxb-" + slack, "xoxb-"},
      {"xoxp-" + slack, "xoxp-"},
      {"key=AIza" + Characters("aB3-_", 35) + "&x", "AIza"},
      {"sk-" + Characters(kAlnum, 20) + "T3BlbkFJ" + Characters(kAlnum, 20), "sk-"},
      {"sk-proj-" + Characters("aB3-_", 74) + "T3BlbkFJ" + Characters("aB3-_", 74), "sk-"},
      {"sk-ant-api03-" + Characters("aB3-_", 93), "sk-ant-"},
      {"HF_TOKEN=hf_" + Characters("aBcDeF", 34), "hf_"},
      {"//registry/:_authToken=npm_" + Characters(kAlnum, 36), "npm_"},
      {"password = pypi-AgEIcHlwaS5vcmc" + Characters("aB3-_", 130), "pypi-AgEIcHlwaS5vcmc"},
  };
}

TEST(SecretContents, EveryRuleFindsItsTokensAndHasOne) {
  std::set<std::string_view> used;
  for (const ContentCase& each : SecretContents()) {
    for (const std::string& before : {std::string(), std::string("# text in front\n"),
                                      std::string(100'000, 'a') + "\n", std::string("x ")}) {
      const SecretRule* rule = FindSecretContent(before + each.content);
      ASSERT_NE(rule, nullptr) << each.content;
      EXPECT_EQ(rule->pattern, each.pattern) << each.content;
      used.insert(rule->pattern);
    }
  }
  for (const SecretRule& rule : SecretContentRules()) {
    EXPECT_TRUE(used.contains(rule.pattern)) << rule.pattern << " has no example";
  }
}

TEST(SecretContents, TextAboutThemIsNone) {
  const std::string fine = Characters(kAlnum, 36);
  const std::vector<std::string> harmless = {
      "",
      "a",
      "no secrets here",
      Pem("CERTIFICATE"),
      Pem("PUBLIC KEY"),
      Pem("PGP PUBLIC KEY BLOCK"),
      "-----BEGIN PRIVATE KEY-----",
      "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
      "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n",
      "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN\n-----END PRIVATE KEY-----\n",
      "if (line == \"-----BEGIN PRIVATE KEY-----\") return ReadKey(in, &key, password);",
      "grep -r -- '-----BEGIN RSA PRIVATE KEY-----' /home | mail somebody",
      "x" + Pem("PRIVATE KEY"),
      "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED",
      "the prefixes ghp_, gho_, github_pat_ and xoxb- are documented",
      "ghp_" + Characters(kAlnum, 35),
      "ghp_" + Characters(kAlnum, 37),
      "xghp_" + fine,
      "my_ghp_" + fine,
      "github_pat_" + Characters(kAlnum, 40),
      "AKIAIOSFODNN7EXAMPLE",
      "AKIA" + Characters("A1", 16),  // 1 is no base32 digit.
      "BAKIA" + Characters("A2B3C4D5", 16),
      "AKIA" + Characters("A2B3C4D5", 17),
      "xoxb-your-token-here-your-token-here",
      "xoxb-12345",
      "AIza" + Characters(kAlnum, 30),
      "T3BlbkFJ" + fine,
      "sk-" + Characters(kAlnum, 48),
      "sk-ant-" + Characters(kAlnum, 20),
      "buf_" + Characters("aBcDeF", 34),
      "shf_" + Characters("aBcDeF", 34),
      "hf_hub_download(repo_id, filename)",
      "hf_" + Characters("abcdef", 33) + "7",
      "npm_config_user_agent_and_some_more_words_here",
      "pypi-AgEIcHlwaS5vcmc",
      std::string(1000, '-'),
      std::string("\0", 1) + Pem("PRIVATE KEY"),
      Pem("PRIVATE KEY") + std::string("\0", 1),
  };
  for (const std::string& each : harmless) {
    const SecretRule* rule = FindSecretContent(each);
    EXPECT_EQ(rule, nullptr) << each << " is taken by " << rule->pattern;
  }
}

// Whatever lies before it, the window of the search must not step over a beginning.
TEST(SecretContents, ASecretIsFoundAtEveryOffset) {
  const std::string token = "ghp_" + Characters(kAlnum, 36);
  for (size_t offset = 0; offset < 40; ++offset) {
    const std::string content = Characters(" g-h_p AK", offset) + " " + token + " end";
    EXPECT_NE(FindSecretContent(content), nullptr) << content;
    EXPECT_NE(FindSecretContent(content.substr(0, content.size() - 4)), nullptr) << content;
  }
}

}  // namespace
}  // namespace strata::imaged
