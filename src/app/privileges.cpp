// The order matters: groups while still root, the user last, then a check that the way back is
// closed.
#include "app/privileges.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "core/assert.h"

namespace shunt::app {
namespace {

struct Identity {
  uid_t user;
  gid_t group;
};

Result<Identity> look_up(const std::string& name) {
  constexpr size_t kBufferFirst = 4096;
  constexpr size_t kBufferMax = 1 << 20;
  for (size_t size = kBufferFirst; size <= kBufferMax; size *= 2) {
    std::vector<char> buffer(size);
    passwd entry{};
    passwd* found = nullptr;
    const int error = ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (error == ERANGE) continue;
    if (found != nullptr) return Identity{.user = entry.pw_uid, .group = entry.pw_gid};
    if (error != 0)
      return fail(fmt::format("global.user \"{}\": {}", name, std::strerror(error)), error);
    break;
  }
  return fail(fmt::format("global.user: there is no user \"{}\"", name));
}

}  // namespace

Result<void> drop_privileges(const std::string& user) {
  if (user.empty()) return {};
  const Result<Identity> identity = look_up(user);
  if (!identity) return std::unexpected(identity.error());
  if (::geteuid() == identity->user) return {};

  const auto failed = [&user](const char* step) {
    const int error = errno;
    return fail(fmt::format("global.user \"{}\": {}: {} (start Shunt as root, or leave `user` out)",
                            user, step, std::strerror(error)),
                error);
  };
  if (::initgroups(user.c_str(), identity->group) != 0) return failed("initgroups");
  if (::setresgid(identity->group, identity->group, identity->group) != 0)
    return failed("setresgid");
  if (::setresuid(identity->user, identity->user, identity->user) != 0) return failed("setresuid");
  // A program with the set-user-ID bit would be a way back; Shunt starts none.
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (identity->user != 0) SHUNT_ASSERT(::setresuid(0, 0, 0) != 0);
  return {};
}

}  // namespace shunt::app
