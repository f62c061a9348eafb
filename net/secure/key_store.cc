#include "net/secure/key_store.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "common/file_io.h"
#include "common/pki/private_key.h"

namespace strata::net {
namespace {

constexpr size_t kFileBytesMax = 128;

std::string CurrentPath(const std::string& state_dir) { return state_dir + "/fabric.key"; }
std::string NextPath(const std::string& state_dir) { return state_dir + "/fabric.key.next"; }

Result<SecretKey> ReadKey(const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(path, O_RDONLY | O_NOFOLLOW));
  struct stat status;
  if (::fstat(fd.get(), &status) != 0) return Errno("stat " + path);
  if ((status.st_mode & 077) != 0) {
    return Error(Code::kFailedPrecondition,
                 path +
                     " may be read by others: make a new key (remove it), or, if nobody did, "
                     "chmod 600 it");
  }
  ASSIGN_OR_RETURN(std::string text, ReadAll(fd.get(), kFileBytesMax), path);
  const size_t size = text.ends_with('\n') ? text.size() - 1 : text.size();
  auto key = SecretKey::Parse(std::string_view(text).substr(0, size));
  OPENSSL_cleanse(text.data(), text.size());
  if (!key.ok()) {
    return key.error().Wrap(path + ": put it back from a copy, or remove it for a new one");
  }
  return key;
}

// The key at `path`, which is made if there is none: linked into place, so that of several makers
// the first one wins.
Result<SecretKey> ReadOrMakeKey(const std::string& state_dir, const std::string& path) {
  if (PathExists(path)) return ReadKey(path);
  ASSIGN_OR_RETURN(const SecretKey key, SecretKey::GeneratePrivate());
  ASSIGN_OR_RETURN(const TemporaryDirectory own, TemporaryDirectory::Create(state_dir, "fabric."));
  const std::string made = own.path() + "/key";
  std::string text = key.ToString() + "\n";
  const Status saved = pki::SaveSecret(made, text);
  OPENSSL_cleanse(text.data(), text.size());
  RETURN_IF_ERROR(saved);
  if (::link(made.c_str(), path.c_str()) != 0 && errno != EEXIST) return Errno("link " + path);
  RETURN_IF_ERROR(FsyncDirectory(state_dir));
  return ReadKey(path);
}

}  // namespace

Result<HostKeys> LoadOrMakeHostKeys(const std::string& state_dir) {
  RETURN_IF_ERROR(MakeDirectories(state_dir, 0700));
  HostKeys keys;
  ASSIGN_OR_RETURN(keys.current, ReadOrMakeKey(state_dir, CurrentPath(state_dir)));
  if (PathExists(NextPath(state_dir))) {
    ASSIGN_OR_RETURN(keys.next, ReadKey(NextPath(state_dir)));
  }
  return keys;
}

Result<SecretKey> PrepareNextKey(const std::string& state_dir) {
  RETURN_IF_ERROR(LoadOrMakeHostKeys(state_dir));
  return ReadOrMakeKey(state_dir, NextPath(state_dir));
}

Result<HostKeys> PromoteNextKey(const std::string& state_dir) {
  const std::string next = NextPath(state_dir);
  if (!PathExists(next)) {
    return Error(Code::kFailedPrecondition,
                 "no next key is prepared in " + state_dir + ": the others must know it first");
  }
  RETURN_IF_ERROR(ReadKey(next));
  if (::rename(next.c_str(), CurrentPath(state_dir).c_str()) != 0) return Errno("rename " + next);
  RETURN_IF_ERROR(FsyncDirectory(state_dir));
  return LoadOrMakeHostKeys(state_dir);
}

}  // namespace strata::net
