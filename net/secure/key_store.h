// The key pair of a host, and the one that follows it, in its state directory:
//   fabric.key       in use; made once, and kept
//   fabric.key.next  made, and told to the others, but not in use yet
// Each is one line, as wg(8) writes keys, and readable by its owner alone (0600).
//
// Rotation: PrepareNextKey; tell every other host (FabricPeer::next_key); when all know, or have
// had time to, PromoteNextKey, and put the fabric anew. What a crash leaves is either from before a
// step or from after it, and each step may be repeated.
//
// Durable when Ok. Thread-safe; several processes agree on one key.
#pragma once

#include <optional>
#include <string>

#include "common/result.h"
#include "net/secure/keys.h"

namespace strata::net {

struct HostKeys {
  SecretKey current;
  std::optional<SecretKey> next;
};

// Makes the key if there is none. kFailedPrecondition: others than its owner may read it; kCorrupt:
// it is no key. Neither is repaired, because others know the key: the message says what to do.
Result<HostKeys> LoadOrMakeHostKeys(const std::string& state_dir);
// The next key: the one that is prepared already, or a new one.
Result<SecretKey> PrepareNextKey(const std::string& state_dir);
// The next key is the current one from now on. kFailedPrecondition when none is prepared.
Result<HostKeys> PromoteNextKey(const std::string& state_dir);

}  // namespace strata::net
