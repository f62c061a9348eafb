// What templates and their images are called. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"
#include "vclusterd/api/classes.pb.h"
#include "vclusterd/master/vcluster.h"

namespace strata::vcluster {

inline constexpr char kDefaultTag[] = "latest";

struct TemplateName {
  std::string owner;  // Empty: the caller's.
  std::string name;
  std::string tag = kDefaultTag;
};
// "[OWNER/]NAME[:TAG]"; kInvalidArgument for anything else.
Result<TemplateName> ParseTemplateName(std::string_view text);

// "UID/NAME:TAG", "UID/NAME" and "UID/NAME/USER", the uid with ten digits.
std::string TemplateKey(uint32_t uid, const std::string& name, const std::string& tag);
std::string StudentKey(const std::string& class_key, const std::string& user);

// Of the image of one node. `mark` differs for every save, so that no name is ever used twice and
// what a crash left can be told apart from everything else.
std::string NodeImageName(const std::string& front, const master::v1::Node& node,
                          const std::string& tag, const std::string& mark);
// Eight hexadecimal digits.
Result<std::string> NewMark();

// The Vcluster as a definition whose nodes start from these images, one for each of its nodes that
// stay, in any order. Nodes get the ordinals 0, 1, … of their role.
Result<Definition> DefinitionOfSaved(
    const Vcluster& saved,
    const google::protobuf::RepeatedPtrField<master::v1::TemplateImage>& images);
// "OWNER/NAME@DIGEST" of "OWNER/NAME:TAG".
std::string ByDigest(const std::string& reference, const std::string& digest);

}  // namespace strata::vcluster
