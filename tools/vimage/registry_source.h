// An image of a registry as a tar of an OCI image layout, downloaded while it is read.
#pragma once

#include <memory>

#include "common/result.h"
#include "imaged/registry_client/session.h"
#include "tools/vimage/tar_source.h"

namespace strata::tools {

// `known_layers`: so many of the lowest layers are left out, because imaged has them. `session` and
// the token that it was made with must outlive the source; nobody else uses the session meanwhile.
Result<std::unique_ptr<TarSource>> StartRegistrySource(imaged::RegistrySession* session,
                                                       imaged::RegistrySession::Image image,
                                                       size_t known_layers, CancelToken* cancel);

}  // namespace strata::tools
