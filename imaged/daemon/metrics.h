// The page of imaged's metrics (docs/observability.md): what its parts count, and how the
// repository stands when it is asked.
#pragma once

#include <memory>
#include <string>

#include "common/http/metrics_page.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {

// `repository` must outlive the result. Errors are http::Server's.
Result<std::unique_ptr<http::MetricsPage>> StartMetricsPage(const std::string& address,
                                                            Repository* repository);

}  // namespace strata::imaged
