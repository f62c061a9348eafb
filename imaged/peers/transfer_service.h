// TransferService: images from and to other hosts, for users of this host, on imaged's Unix socket.
#pragma once

#include <grpcpp/impl/codegen/service_type.h>

#include <memory>

#include "common/rpc/local_server.h"
#include "imaged/peers/image_puller.h"
#include "imaged/peers/prestage_schedule.h"

namespace strata::imaged {

// Both must outlive the service.
std::unique_ptr<grpc::Service> MakeTransferService(ImagePuller* puller, PrestageSchedule* schedule,
                                                   const rpc::Caller& caller);

}  // namespace strata::imaged
