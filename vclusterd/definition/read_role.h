// The keys of one role: docs/definition.md, "Roles". Faults are the reader's.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "vclusterd/definition/definition.h"
#include "vclusterd/definition/field_reader.h"

namespace strata::vcluster::file {

// A command: a text is for the shell, a list is run as it is.
void ReadCommand(FieldReader& in, const Field& field, std::vector<std::string>* argv);
void ReadEnv(FieldReader& in, const Field& field, std::map<std::string, std::string>* env);

// Keys that may also stand at the top of a file, for all of its roles.
std::vector<Key> DefaultKeys(FieldReader& in, Role* role);
// Keys that stand at the top only when the file is one role.
std::vector<Key> OwnKeys(FieldReader& in, Role* role);

// "data:/srv/data", "data:/srv/data:ro", {volume: data, path: /srv/data, read-only: true}. Where
// `path_too` is false the name alone will do. False and a fault: it is none of these.
bool ReadMount(FieldReader& in, const Field& field, std::string_view name_key, bool path_too,
               VolumeMount* mount);

// `role`: what the defaults are.
void ReadRole(FieldReader& in, const Field& field, Role* role);

}  // namespace strata::vcluster::file
