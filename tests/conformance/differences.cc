#include "tests/conformance/differences.h"

namespace strata::conformance {
namespace {

using enum BackendKind;

constexpr std::string_view kNoHandles =
    "overlayfs refuses nfs_export together with metacopy: no handles that can be opened";

const Difference kDifferences[] = {
    {"AReaderOpenBeforeCopyUpSeesTheWrite",
     {kFuse},
     "a passthrough descriptor opened before copy-up keeps the lower file"},
    {"ARemovedDirectoryThatIsOpenIsEmptyAndTakesNothing",
     {kOverlay, kKernel},
     "overlayfs: an open directory that was removed still tells a link count of 2"},
    {"ListedInodeNumbersAreThoseOfStat",
     {kKernel},
     "overlayfs without xino, layers on two file systems: d_ino of a changed entry is the upper's; "
     "xino=auto has other numbers than the fuse driver and lists merged directories 10 times "
     "slower"},
    {"RemovingAnAclLeavesTheMode",
     {kKernel},
     "overlayfs asks the lower for set_acl, which EROFS has not: EOPNOTSUPP until a copy-up"},
    {"AnAclCanBeSetOnALowerFile",
     {kKernel},
     "overlayfs asks the lower for set_acl, which EROFS has not: EOPNOTSUPP until a copy-up"},
    {"AWriteByRootKeepsSetuid",
     {kFuse},
     "KILLPRIV_V2: a passthrough write clears setuid whoever writes"},
    {"OpeningForWritingAfterAChmodKeepsMtime",
     {kOverlay, kKernel},
     "overlayfs copies the data of a metadata-only copy without restoring its times"},
    {"AnUnlinkedOpenLowerFileHasNoLinks",
     {kOverlay, kKernel},
     "overlayfs asks the lower file, which still has its name"},
    {"AnUnlinkedOpenLowerFileIsChangedWhenItsNameIsTaken",
     {kOverlay, kKernel, kFuse},
     "overlayfs: no copy-up of an unlinked file whose name is taken; fuse: as the next one"},
    {"AReaderReopensItsFileForWriting",
     {kFuse},
     "the kernel allows one backing file per node: the reader's node keeps the lower one (ESTALE)"},
    {"RemovingAnAbsentAclSucceeds",
     {kOverlay, kKernel},
     "overlayfs looks for the ACL in the lower before it copies up"},
    {"AFileHandleOpensALowerFile", {kOverlay, kKernel}, kNoHandles},
    {"AFileHandleFollowsARenameAndACopyUp", {kOverlay, kKernel}, kNoHandles},
    {"AFileHandleOfADirectoryFollowsARename", {kOverlay, kKernel}, kNoHandles},
    {"AFileHandleOfARemovedFileIsStale", {kOverlay, kKernel}, kNoHandles},
    {"CopyFileRangeFromATinyLowerFile",
     {kKernel},
     "overlayfs gives EXDEV when the data below is on another file system (here in the tree)"},
    {"RenameWhiteoutLeavesAWhiteout",
     {kOverlay, kKernel, kFuse},
     "a whiteout in the upper hides a name; overlayfs has no other form for one that shows"},
};

}  // namespace

std::span<const Difference> AllDifferences() { return kDifferences; }

std::optional<std::string_view> KnownDifference(BackendKind kind, std::string_view case_name) {
  for (const Difference& difference : kDifferences) {
    if (difference.case_name != case_name) continue;
    for (const BackendKind one : difference.kinds) {
      if (one == kind) return difference.reason;
    }
  }
  return std::nullopt;
}

}  // namespace strata::conformance
