// Leases: containers and operations that use an image. What a lease holds is a copy of the image's
// record, so the name may move or go while its layers stay.
//
// In a catalog that several hosts share every host has leases of its own, "<host>/<name>", and sees
// those of all.
//
// Thread-safe. Changes are durable when they return.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/records/record_store.h"
#include "common/result.h"
#include "imaged/api/imaged.pb.h"

namespace strata::imaged {

class Leases {
 public:
  // `host`: this one's name in a shared catalog, otherwise empty.
  Leases(records::RecordStore& records, std::string host)
      : records_(records), host_(std::move(host)) {}

  // Of this host.
  Result<std::optional<v1::Image>> Find(const std::string& name) const;
  // All or none. kInvalidArgument for a name that is none; kAlreadyExists when one holds another
  // image.
  Status Take(const std::vector<std::string>& names, const v1::Image& image);
  // Ok when there is none.
  Status Release(const std::string& name);

  // All, of all hosts, by their keys.
  using Visitor = std::function<Status(const std::string& name, const v1::Image& image)>;
  Status ForEach(const Visitor& visit) const;
  // Those that hold the image, of all hosts: "name", or "name on host h".
  Result<std::vector<std::string>> Of(const std::string& image_digest) const;

 private:
  std::string KeyOf(const std::string& name) const {
    return host_.empty() ? name : host_ + "/" + name;
  }

  // Of `names`, those that nobody holds. kAlreadyExists: one holds another image.
  Result<std::set<std::string>> FreeOf(const std::vector<std::string>& names,
                                       const v1::Image& image) const;

  records::RecordStore& records_;
  const std::string host_;
};

}  // namespace strata::imaged
