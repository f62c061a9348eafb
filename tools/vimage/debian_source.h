// A Debian suite as a tar stream, made by mmdebstrap.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "tools/vimage/tar_source.h"

namespace strata::tools {

// Starts mmdebstrap; its archive is streamed, not stored. Its messages are part of Finish()'s
// error. kUnsupported when mmdebstrap is not installed.
Result<std::unique_ptr<TarSource>> StartDebianSource(const std::string& suite,
                                                     const SourceArguments& arguments);

// "deb URI SUITE COMPONENT…" lines for `suite` from what
// `apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(RELEASE) $(COMPONENT) $(CREATED_BY)'`
// prints: the suite itself, its updates and its security fixes. Empty when this machine's apt knows
// the suite not; mmdebstrap then uses its default mirror.
std::vector<std::string> MirrorLines(std::string_view index_targets, const std::string& suite);

}  // namespace strata::tools
