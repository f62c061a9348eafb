// Questions that a TLS handshake answers. Both take at most `bound`. Thread-safe.
#pragma once

#include <chrono>
#include <string>

#include "common/pki/certificate.h"
#include "common/result.h"
#include "common/rpc/tls_connection.h"

namespace strata::rpc {

// Ok: whoever listens at `address` is `host_name` of the cluster of `identity`, and takes our
// certificate. The error says what is wrong and what to do.
Status ProbeTls(const std::string& address, const std::string& host_name,
                const TlsIdentity& identity, std::chrono::milliseconds bound);

// The authority with this SHA-256 fingerprint (32 bytes), as the listener at `address` shows it.
// The listener has proved that it is `host_name` of that authority's cluster. For a host that knows
// nothing but the fingerprint. kPermissionDenied when it is another cluster's.
Result<pki::Certificate> FindAuthority(const std::string& address, const std::string& host_name,
                                       const std::string& fingerprint,
                                       std::chrono::milliseconds bound);

}  // namespace strata::rpc
