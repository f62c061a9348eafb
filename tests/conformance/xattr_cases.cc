#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/conformance/cases.h"

namespace strata::conformance {
namespace {

constexpr const char* kAccess = "system.posix_acl_access";
constexpr const char* kDefault = "system.posix_acl_default";

bool Lists(Env& e, const char* path, std::string_view name) {
  char names[8192];
  const ssize_t n = ::llistxattr(path, names, sizeof(names));
  e.Ok(n, "listxattr", __LINE__);
  const std::string all = "\0" + std::string(names, n < 0 ? 0 : static_cast<size_t>(n));
  return (std::string(1, '\0') + all).find(std::string(1, '\0') + std::string(name) + '\0') !=
         std::string::npos;
}

int Set(const char* path, const char* name, std::string_view value, int flags = 0) {
  return ::lsetxattr(path, name, value.data(), value.size(), flags);
}

const Case kCases[] = {
    {"LowerAttributesRead",
     [](Env& e) {
       SAME(XATTR("attrs", "user.k"), std::string("v"));
       SAME(XATTR("attrs", "trusted.t"), std::string("v"));
       SAME(XATTR("attrs", "security.s"), std::string("v"));
       HOLDS(Lists(e, e.p("attrs"), "user.k"));
       HOLDS(Lists(e, e.p("attrs"), "trusted.t"));
     }},
    {"TheUnionsOwnAttributesAreHidden",
     [](Env& e) {
       OK(::chmod(e.p("big"), 0600));
       OK(::rename(e.p("dir"), e.p("moved")));
       HOLDS(!Lists(e, e.p("big"), "trusted.overlay.metacopy"));
       HOLDS(!Lists(e, e.p("big"), "trusted.overlay.origin"));
       HOLDS(!Lists(e, e.p("moved"), "trusted.overlay.redirect"));
       char value[8];
       HOLDS(::lgetxattr(e.p("big"), "trusted.overlay.metacopy", value, 8) < 0);
     }},
    {"SetReplaceAndRemoveOnALowerFile",
     [](Env& e) {
       OK(Set(e.p("attrs"), "user.k", "new", XATTR_REPLACE));
       SAME(XATTR("attrs", "user.k"), std::string("new"));
       FAILS(EEXIST, Set(e.p("attrs"), "user.k", "x", XATTR_CREATE));
       FAILS(ENODATA, Set(e.p("attrs"), "user.none", "x", XATTR_REPLACE));
       OK(::lremovexattr(e.p("attrs"), "user.k"));
       FAILS(ENODATA, ::lremovexattr(e.p("attrs"), "user.k"));
       HOLDS(!Lists(e, e.p("attrs"), "user.k"));
     }},
    {"AttributesSurviveCopyUp",
     [](Env& e) {
       WRITE("attrs", "new");
       SAME(XATTR("attrs", "user.k"), std::string("v"));
       SAME(XATTR("attrs", "trusted.t"), std::string("v"));
       SAME(XATTR("attrs", "security.s"), std::string("v"));
     }},
    {"AttributesOfALowerDirectory",
     [](Env& e) {
       OK(Set(e.p("dir"), "user.d", "1"));
       SAME(XATTR("dir", "user.d"), std::string("1"));
       SAME(LIST("dir").size(), 3u);
     }},
    {"UserAttributesOfSymbolicLinksAreRefused",
     [](Env& e) {
       FAILS(EPERM, Set(e.p("to_file"), "user.x", "1"));
       OK(Set(e.p("to_file"), "trusted.x", "1"));
     }},
    {"ALargeValue",
     [](Env& e) {
       const std::string value(2000, 'v');
       OK(Set(e.p("file"), "user.large", value));
       SAME(XATTR("file", "user.large"), value);
     }},
    {"AnEmptyValueIsThere",
     [](Env& e) {
       OK(Set(e.p("file"), "user.empty", ""));
       SAME(XATTR("file", "user.empty"), std::string());
       HOLDS(Lists(e, e.p("file"), "user.empty"));
     }},
    {"ATooSmallBufferIsRefused",
     [](Env& e) {
       OK(Set(e.p("file"), "user.x", "12345"));
       char value[2];
       FAILS(ERANGE, ::lgetxattr(e.p("file"), "user.x", value, 2));
       SAME(::lgetxattr(e.p("file"), "user.x", nullptr, 0), 5);
     }},
    {"TrustedAttributesAreForRoot",
     [](Env& e) {
       const char* path = e.p("attrs");
       SAME(e.As(1000,
                 [&] {
                   char value[8];
                   return ErrnoOf(::lgetxattr(path, "trusted.t", value, sizeof(value)));
                 }),
            ENODATA);
       const char* own = e.p("user_file");
       SAME(e.As(1000, [&] { return ErrnoOf(Set(own, "trusted.t", "x")); }), EPERM);
       SAME(e.As(1000, [&] { return ErrnoOf(Set(own, "user.t", "x")); }), 0);
     }},
    {"AttributesThroughADescriptor",
     [](Env& e) {
       UniqueFd fd = OPEN("file", O_RDONLY);
       OK(::fsetxattr(fd.get(), "user.fd", "1", 1, 0));
       SAME(XATTR("file", "user.fd"), std::string("1"));
       OK(::fremovexattr(fd.get(), "user.fd"));
     }},
    {"SettingAnAttributeSetsCtime",
     [](Env& e) {
       const struct stat before = STAT("file");
       OK(Set(e.p("file"), "user.c", "1"));
       const struct stat after = STAT("file");
       HOLDS(after.st_ctim.tv_sec > before.st_ctim.tv_sec ||
             after.st_ctim.tv_nsec > before.st_ctim.tv_nsec);
       SAME(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
     }},
    {"ALowerAclIsObeyed",
     [](Env& e) {
       const char* path = e.p("acl");
       SAME(e.As(1000, [&] { return ErrnoOf(::open(path, O_WRONLY)); }), 0);
       SAME(e.As(1001, [&] { return ErrnoOf(::open(path, O_WRONLY)); }), EACCES);
       SAME(e.As(1001, [&] { return ErrnoOf(::open(path, O_RDONLY)); }), 0);
     }},
    {"AnAclSurvivesCopyUp",
     [](Env& e) {
       const std::string before = XATTR("acl", kAccess);
       WRITE("acl", "new");
       SAME(XATTR("acl", kAccess), before);
       const char* path = e.p("acl");
       SAME(e.As(1000, [&] { return ErrnoOf(::open(path, O_WRONLY)); }), 0);
     }},
    {"ChmodChangesTheMaskOfAnAcl",
     [](Env& e) {
       OK(::chmod(e.p("acl"), 0644));
       const char* path = e.p("acl");
       SAME(e.As(1000, [&] { return ErrnoOf(::open(path, O_WRONLY)); }), EACCES);
       SAME(e.As(1000, [&] { return ErrnoOf(::open(path, O_RDONLY)); }), 0);
     }},
    {"ADefaultAclIsInherited",
     [](Env& e) {
       OK(::mkdir(e.p("acl_dir/d"), 0777));
       UniqueFd fd = e.Open(e.p("acl_dir/f"), O_CREAT | O_WRONLY, 0666, __LINE__);
       SAME(XATTR("acl_dir/d", kDefault), XATTR("acl_dir", kDefault));
       HOLDS(Lists(e, e.p("acl_dir/f"), kAccess));
       const char* file = e.p("acl_dir/f");
       SAME(e.As(1000, [&] { return ErrnoOf(::open(file, O_WRONLY)); }), 0);
       SAME(e.As(1001, [&] { return ErrnoOf(::open(file, O_RDONLY)); }), EACCES);
     }},
    {"ADefaultAclReplacesTheUmask",
     [](Env& e) {
       const mode_t before = ::umask(077);
       UniqueFd fd(::open(e.p("acl_dir/f"), O_CREAT | O_WRONLY, 0666));
       OK(fd.get());
       OK(::mkdir(e.p("acl_dir/d"), 0777));
       ::umask(before);
       SAME(STAT("acl_dir/f").st_mode & 07777, 0660u);
       SAME(STAT("acl_dir/d").st_mode & 07777, 0770u);
     }},
    {"RemovingAnAclLeavesTheMode",
     [](Env& e) {
       OK(::lremovexattr(e.p("acl"), kAccess));
       const char* path = e.p("acl");
       SAME(e.As(1000, [&] { return ErrnoOf(::open(path, O_WRONLY)); }), EACCES);
       HOLDS(!Lists(e, e.p("acl"), kAccess));
     }},
    {"AnAclCanBeSetOnALowerFile",
     [](Env& e) {
       OK(Set(e.p("private"), kAccess, XATTR("acl", kAccess)));
       SAME(STAT("private").st_mode & 07777, 0664u);
       const char* path = e.p("private");
       SAME(e.As(1000, [&] { return ErrnoOf(::open(path, O_WRONLY)); }), 0);
     }},
    {"AMalformedAclIsRefused",
     [](Env& e) {
       const std::string_view bad_tag("\x02\0\0\0\x77\x77\x06\0\xff\xff\xff\xff", 12);
       FAILS(EINVAL, Set(e.p("file"), kAccess, bad_tag));
       FAILS(EOPNOTSUPP, Set(e.p("file"), kAccess, "of another version"));
     }},
    {"ADefaultAclOnAFileIsRefused",
     [](Env& e) { FAILS(EACCES, Set(e.p("file"), kDefault, XATTR("acl", kAccess))); }},
    {"CapabilitiesAreDroppedByAWrite",
     [](Env& e) {
       const std::string capability(
           "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00"
           "\x00\x00\x00\x00\x00\x00\x00\x00",
           20);
       OK(Set(e.p("run"), "security.capability", capability));
       SAME(XATTR("run", "security.capability").size(), 20u);
       WRITE("run", "#!/bin/sh\n");
       HOLDS(!Lists(e, e.p("run"), "security.capability"));
     }},
};

}  // namespace

std::span<const Case> XattrCases() { return kCases; }

}  // namespace strata::conformance
