// BodyCheck: whether JSON from a client is what a schema asks for. A schema is read once; valijson
// does the work. Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "common/result.h"
#include "vclusterd/rest/schema.h"

namespace valijson {
class Schema;
}

namespace strata::vcluster::rest {

class BodyCheck {
 public:
  // `named`: what references in it lead to. kInternal for what is no schema.
  static Result<BodyCheck> Of(const Json& schema, const std::map<std::string, Json>& named);
  BodyCheck(BodyCheck&&) noexcept;
  ~BodyCheck();

  // kInvalidArgument names the first faults: "limits.memory_bytes: …".
  Status operator()(const Json& body) const;

 private:
  BodyCheck();
  std::unique_ptr<valijson::Schema> schema_;
};

}  // namespace strata::vcluster::rest
