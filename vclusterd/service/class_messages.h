// Templates and classes as messages of vclusterd/api/class_service.proto.
#pragma once

#include "vclusterd/api/class_service.pb.h"
#include "vclusterd/classes/classes.h"

namespace strata::vcluster {

// `with_definition`: also its Vcluster file.
void ToProto(const Users& users, const master::v1::Template& record, bool with_definition,
             v1::TemplateInfo* out);
// `with_students`: also each of them.
void ToProto(const Users& users, const ClassView& view, bool with_students, v1::ClassInfo* out);
Result<CreateClassParameters> FromProto(const v1::CreateClassRequest& request);

}  // namespace strata::vcluster
