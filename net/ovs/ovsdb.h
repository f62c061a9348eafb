// A client of ovsdb-server: transactions by the OVSDB Management Protocol (RFC 7047, JSON-RPC), and
// what values of columns are there (its 5.1). One thread at a time.
//
// The server is another program: what it says is parsed within limits, and every call ends in time.
#pragma once

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/result.h"
#include "net/ovs/json_stream.h"
#include "net/ovs/unix_stream.h"

namespace strata::net {

using Json = nlohmann::json;

inline constexpr size_t kOvsdbMessageBytesMax = 64u << 20;
inline constexpr size_t kOvsdbDepthMax = 16;

class OvsdbClient {
 public:
  // Connected already; `patience` is for each call.
  OvsdbClient(UnixStream stream, std::chrono::milliseconds patience)
      : stream_(std::move(stream)), patience_(patience), incoming_(kOvsdbMessageBytesMax) {}

  // The results of `operations`, one each, all of them carried out. kFailedPrecondition when the
  // server refuses one (none is carried out then), with its words; kDeadlineExceeded also when a
  // "wait" ran out; kCorrupt for an answer that is none.
  Result<std::vector<Json>> Transact(const std::vector<Json>& operations);

 private:
  Result<Json> Call(const std::string& method, Json params);
  Result<Json> NextMessage(UnixStream::Clock::time_point until);

  UnixStream stream_;
  const std::chrono::milliseconds patience_;
  JsonStream incoming_;
  uint64_t last_id_ = 0;
};

inline constexpr char kOvsDatabase[] = "Open_vSwitch";

// The results in an answer to "transact" with so many operations; Transact's errors. Pure.
Result<std::vector<Json>> ParseTransactReply(const Json& message, size_t operations);

// Values, from plain ones and to them. What has another form than its column is kCorrupt.
using OvsdbStrings = std::map<std::string, std::string>;
Json OvsdbUuid(const std::string& uuid);         // Of a row that is there.
Json OvsdbNewRow(const std::string& uuid_name);  // Of one that the same transaction inserts.
Json OvsdbSet(std::vector<Json> elements);
Json OvsdbMap(const OvsdbStrings& map);
Result<std::string> TakeUuid(const Json& value);
Result<std::vector<std::string>> TakeUuids(const Json& value);  // Of a set, or of one alone.
Result<OvsdbStrings> TakeMap(const Json& value);
// Of a set that is empty or has one element: "" or 0 when empty.
Result<std::string> TakeString(const Json& value);
Result<int64_t> TakeInteger(const Json& value);

}  // namespace strata::net
