#include "layerfs/volume/project_quota.h"

#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "common/file_io.h"

namespace strata::layerfs {
namespace {

constexpr uint64_t kQuotaBlockBytes =
    1024;  // QIF_DQBLKSIZE, whatever the file system's blocks are.

long Quota(int fd, int command, uint32_t project, void* argument) {
  return ::syscall(SYS_quotactl_fd, fd, QCMD(command, PRJQUOTA), project, argument);
}

Result<UniqueFd> OpenDirectory(const std::string& path) {
  return Open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

}  // namespace

Status CheckProjectQuota(const std::string& directory) {
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(directory, O_RDONLY | O_DIRECTORY));
  fsxattr attributes = {};
  if (::ioctl(fd.get(), FS_IOC_FSGETXATTR, &attributes) != 0) return Errno("project ids");
  fs_quota_stat state = {};
  if (Quota(fd.get(), Q_XGETQSTAT, 0, &state) != 0) return Errno("state of project quota");
  if ((state.qs_flags & FS_QUOTA_PDQ_ENFD) == 0) {
    return Error(Code::kUnsupported, "project quota is not enforced (mount with prjquota)");
  }
  return Ok();
}

Result<uint32_t> ProjectOf(const std::string& directory) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenDirectory(directory));
  fsxattr attributes = {};
  if (::ioctl(fd.get(), FS_IOC_FSGETXATTR, &attributes) != 0) {
    return Errno("project of " + directory);
  }
  return attributes.fsx_projid;
}

Status SetProject(const std::string& directory, uint32_t project) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenDirectory(directory));
  fsxattr attributes = {};
  if (::ioctl(fd.get(), FS_IOC_FSGETXATTR, &attributes) != 0) {
    return Errno("project of " + directory);
  }
  attributes.fsx_projid = project;
  attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  if (::ioctl(fd.get(), FS_IOC_FSSETXATTR, &attributes) != 0) {
    return Errno("set the project of " + directory);
  }
  return Ok();
}

Status SetProjectLimit(const std::string& directory, uint32_t project, uint64_t limit_bytes) {
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(directory, O_RDONLY | O_DIRECTORY));
  if_dqblk quota = {};
  quota.dqb_bhardlimit = limit_bytes / kQuotaBlockBytes;
  quota.dqb_valid = QIF_BLIMITS;
  if (Quota(fd.get(), Q_SETQUOTA, project, &quota) != 0) {
    return Errno("limit project " + std::to_string(project) + " at " + directory);
  }
  return Ok();
}

Result<VolumeUsage> ProjectUsage(const std::string& directory, uint32_t project) {
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(directory, O_RDONLY | O_DIRECTORY));
  if_dqblk quota = {};
  if (Quota(fd.get(), Q_GETQUOTA, project, &quota) != 0) {
    if (errno == ENOENT) return VolumeUsage{};  // xfs: nothing was ever counted.
    return Errno("usage of project " + std::to_string(project) + " at " + directory);
  }
  return VolumeUsage{.used_bytes = quota.dqb_curspace,
                     .limit_bytes = quota.dqb_bhardlimit * kQuotaBlockBytes,
                     .used_inodes = quota.dqb_curinodes,
                     .limit_inodes = quota.dqb_ihardlimit};
}

}  // namespace strata::layerfs
