// Accounts and tokens as the API shows them. Pure.
#pragma once

#include "vclusterd/rest/services.h"

namespace strata::vcluster::rest {

// `in_full`: as its user and admins see it; otherwise who he is, and no more.
Json ToJson(const users::v1::Account& account, bool in_full);
Json AccountSchema();
Json ToJson(const Token& token);
Json TokenSchema();
// A token that was just made; its text is seen this once.
Json ToJson(const MadeToken& made);
Json MadeTokenSchema();

}  // namespace strata::vcluster::rest
