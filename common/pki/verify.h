// Whether a certificate is a host's of our cluster, now; and what to do about it if not.
// Thread-safe.
#pragma once

#include <string>

#include "common/pki/certificate.h"
#include "common/result.h"

namespace strata::pki {

// Ok: `certificate` is signed by `authority`, both are valid at `now`, and it is a host's.
// kPermissionDenied says what is wrong, and the remedy.
Status VerifyHost(const Certificate& certificate, const Certificate& authority, Time now);

// An OpenSSL verification result (X509_V_ERR_…) in words. `whose`: "host-b's certificate".
// REQUIRES: it is not X509_V_OK.
Error ExplainVerification(int x509_error, const std::string& whose);

}  // namespace strata::pki
