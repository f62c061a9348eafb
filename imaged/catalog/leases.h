// Leases: containers and operations that use an image. What a lease holds is a copy of the image's
// record, so the name may move or go while its layers stay.
//
// Thread-safe. Changes are durable when they return.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "imaged/api/imaged.pb.h"
#include "imaged/catalog/record_store.h"

namespace strata::imaged {

class Leases {
 public:
  explicit Leases(RecordStore& records) : records_(records) {}

  Result<std::optional<v1::Image>> Find(const std::string& name) const;
  // kInvalidArgument for a name that is none; kAlreadyExists when it holds another image.
  Status Take(const std::string& name, const v1::Image& image);
  // Ok when there is none.
  Status Release(const std::string& name);

  using Visitor = std::function<Status(const std::string& name, const v1::Image& image)>;
  Status ForEach(const Visitor& visit) const;
  // The names of those that hold the image.
  Result<std::vector<std::string>> Of(const std::string& image_digest) const;

 private:
  RecordStore& records_;
};

}  // namespace strata::imaged
