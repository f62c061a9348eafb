// A command that is one question to imaged (tools/cli/unary_call.h).
#pragma once

#include "imaged/api/imaged.grpc.pb.h"
#include "tools/cli/unary_call.h"
