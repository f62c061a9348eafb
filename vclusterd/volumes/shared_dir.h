// SharedDir: the directory with what nodes share, the same on all hosts of a cluster (docs/
// volumes.md; on disk: docs/formats.md, "Shared directory").
//
//   strata-shared                        its id, by which hosts know that it is the one they mean
//   vclusters/NUMBER-CREATED/NAME.ID/    a volume of a Vcluster
//   homes/UID/                           a user's own directory
//   trash/                               what is being deleted
//
// Hosts make and mount directories, a master deletes them. What lies in them was made by nodes and
// is never trusted: no symbolic link is followed, and nothing in it is looked at but to delete it.
//
// Thread-safe, also between processes and hosts.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "common/cancel.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::vcluster {

// Paths below the directory.
std::string VolumesDirectory(uint32_t number, int64_t created_unix_ms);
std::string VolumeDirectory(const std::string& volumes_directory, std::string_view name,
                            uint32_t id);
std::string HomeDirectory(uint32_t uid);
// Whether VolumeDirectory can have said that.
bool IsVolumeDirectory(std::string_view path);

class SharedDir {
 public:
  // kNotFound: it is not there. kUnsupported: its file system cannot be mounted with other ids.
  static Result<SharedDir> Open(const std::string& path);

  const std::string& path() const { return path_; }

  // For a master: makes what belongs there and answers the id of the directory, a new one where
  // there is none. kFailedPrecondition: `known`, when it is not empty, is another's.
  Result<std::string> Claim(const std::string& known) const;
  // For a host. kFailedPrecondition: it is another directory than the master's.
  Status Check(const std::string& id) const;

  // The directory (VolumeDirectory, HomeDirectory) as a detached mount, made when it is not there:
  // nosuid, nodev, with the ids of nodes of this owner (stored_ids.h).
  Result<UniqueFd> Mount(const std::string& directory, uint32_t owner_uid, uint32_t id_first,
                         bool read_only) const;

  // Takes a directory of `vclusters` away, durably; nothing there is Ok. Its space is free after
  // EmptyTrash. Whoever has it mounted keeps it until then.
  Status Discard(const std::string& directory) const;
  // Deletes what was discarded, by whomever. kCancelled: some of it is left.
  Status EmptyTrash(const CancelToken& cancel) const;

 private:
  explicit SharedDir(std::string path) : path_(std::move(path)) {}
  // A directory below it, without following links.
  Result<UniqueFd> OpenBelow(const std::string& path) const;
  Result<std::string> ReadId() const;
  std::string path_;
};

}  // namespace strata::vcluster
