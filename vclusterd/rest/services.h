// What the handlers of the API work with.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "vclusterd/classes/classes.h"
#include "vclusterd/master/clusters.h"
#include "vclusterd/rest/event_feed.h"
#include "vclusterd/rest/operation_book.h"
#include "vclusterd/rest/route.h"
#include "vclusterd/users/open_id.h"
#include "vclusterd/users/users.h"

namespace strata::vcluster::rest {

// What a call works with; an error that names the leader where this process has no master that
// leads.
template <typename T>
using Source = std::function<Result<std::shared_ptr<T>>()>;
using ClustersSource = Source<Clusters>;
using ClassesSource = Source<Classes>;

struct RestOptions {
  bool registration = false;  // Strangers may ask for accounts.
  bool tls = true;            // Cookies are given out.
};

// All must outlive the API.
struct Services {
  Users& users;
  ClustersSource clusters;
  ClassesSource classes;
  OperationBook& operations;
  EventFeed& events;
  OpenIdProvider* open_id = nullptr;  // Null: no issuer.
  RestOptions options;
  const RouteTable& table;
};

}  // namespace strata::vcluster::rest
