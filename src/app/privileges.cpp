// The order matters: groups while still root, the user last, then a check that the way back is
// closed.
#include "app/privileges.h"

#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "core/assert.h"

namespace shunt::app {
namespace {

std::vector<gid_t> ascending(std::vector<gid_t> groups) {
  std::ranges::sort(groups);
  const auto [first, last] = std::ranges::unique(groups);
  groups.erase(first, last);
  return groups;
}

std::vector<gid_t> groups_of(const passwd& user) {
  int count = 64;
  std::vector<gid_t> groups(static_cast<size_t>(count));
  while (::getgrouplist(user.pw_name, user.pw_gid, groups.data(), &count) < 0)
    groups.resize(std::max(groups.size() * 2, static_cast<size_t>(count)));
  groups.resize(static_cast<size_t>(count));
  return ascending(std::move(groups));
}

// The supplementary groups of this process.
std::vector<gid_t> own_groups() {
  std::vector<gid_t> groups(static_cast<size_t>(std::max(::getgroups(0, nullptr), 0)));
  const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
  groups.resize(static_cast<size_t>(std::max(count, 0)));
  return ascending(std::move(groups));
}

bool is_already(const Identity& identity) {
  uid_t user[3];
  gid_t group[3];
  SHUNT_ASSERT(::getresuid(&user[0], &user[1], &user[2]) == 0);
  SHUNT_ASSERT(::getresgid(&group[0], &group[1], &group[2]) == 0);
  return std::ranges::all_of(user, [&](uid_t id) { return id == identity.user; }) &&
         std::ranges::all_of(group, [&](gid_t id) { return id == identity.group; }) &&
         own_groups() == identity.groups;
}

// `read_write_search`: the bits of one class of users, as in a mode.
bool may(const struct stat& file, const Identity& identity, mode_t bits) {
  if (identity.user == 0) return true;
  const auto in_group = std::ranges::binary_search(identity.groups, file.st_gid);
  const int shift = file.st_uid == identity.user ? 6 : in_group ? 3 : 0;
  return (file.st_mode >> shift & bits) == bits;
}

constexpr uint32_t kNetwork = 1u << CAP_NET_RAW | 1u << CAP_NET_ADMIN;

// Of what root may do, nothing else. 0 or an errno.
int keep_capabilities(uint32_t kept) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
      {.effective = kept, .permitted = kept, .inheritable = 0}, {}};
  return ::syscall(SYS_capset, &header, data) == 0 ? 0 : errno;
}

}  // namespace

Result<Identity> look_up_user(const std::string& name, const std::string& setting) {
  constexpr size_t kBufferFirst = 4096;
  constexpr size_t kBufferMax = 1 << 20;
  for (size_t size = kBufferFirst; size <= kBufferMax; size *= 2) {
    std::vector<char> buffer(size);
    passwd entry{};
    passwd* found = nullptr;
    const int error = ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (error == ERANGE) continue;
    if (found != nullptr) {
      return Identity{.name = name,
                      .user = entry.pw_uid,
                      .group = entry.pw_gid,
                      .groups = groups_of(entry),
                      .setting = setting};
    }
    if (error != 0)
      return fail(fmt::format("{} \"{}\": {}", setting, name, std::strerror(error)), error);
    break;
  }
  return fail(fmt::format("{}: there is no user \"{}\"", setting, name));
}

Result<void> drop_privileges(const Identity& identity, bool keep_network) {
  if (is_already(identity)) return {};
  const auto failed = [&identity](const char* step) {
    const int error = errno;
    return fail(fmt::format("{} \"{}\": {}: {} (start Shunt as root, or leave `user` out)",
                            identity.setting, identity.name, step, std::strerror(error)),
                error);
  };
  // Root that waits in the real or the saved id is what it takes to give up the rest.
  if (::geteuid() != 0) [[maybe_unused]]
    const int ignored = ::seteuid(0);
  if (keep_network && ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return failed("PR_SET_KEEPCAPS");
  if (::setgroups(identity.groups.size(), identity.groups.data()) != 0) return failed("setgroups");
  if (::setresgid(identity.group, identity.group, identity.group) != 0) return failed("setresgid");
  if (::setresuid(identity.user, identity.user, identity.user) != 0) return failed("setresuid");
  if (keep_network && keep_capabilities(kNetwork) != 0) return failed("capset");
  // A program with the set-user-ID bit would be a way back; Shunt starts none.
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  // Cleared by the change of user; a failed assertion shall leave a core.
  ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  if (identity.user != 0) SHUNT_ASSERT(::setresuid(0, 0, 0) != 0);
  SHUNT_ASSERT(is_already(identity));
  return {};
}

Result<void> drop_capabilities() {
  if (const int error = keep_capabilities(0); error != 0)
    return fail(fmt::format("capset: {}", std::strerror(error)), error);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return {};
}

uint64_t effective_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return 0;
  return uint64_t{data[1].effective} << 32 | data[0].effective;
}

bool may_create_in(const std::filesystem::path& directory, const Identity& identity) {
  constexpr mode_t kWrite = 2;
  constexpr mode_t kSearch = 1;
  std::error_code error;
  std::filesystem::path at = std::filesystem::canonical(directory, error);
  if (error) return true;
  for (mode_t bits = kWrite | kSearch;; bits = kSearch, at = at.parent_path()) {
    struct stat status{};
    if (::stat(at.c_str(), &status) != 0) return true;
    if (!may(status, identity, bits)) return false;
    if (at == at.root_path()) return true;
  }
}

}  // namespace shunt::app
