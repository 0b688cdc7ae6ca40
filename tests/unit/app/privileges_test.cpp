// Who the process is after its privileges are dropped, wherever it kept some; in children, because
// there is no way back. Needs root, and is skipped without.
#include "app/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "app/log_rotation.h"
#include "app_fixture.h"

namespace shunt::app {
namespace {

constexpr const char* kUser = "nobody";

boost::test_tools::assertion_result is_root(boost::unit_test::test_unit_id) {
  return ::geteuid() == 0;
}

// The exit code of a child that does `body`; in it nothing of Boost may be used.
template <class Body>
int in_child(Body body) {
  const pid_t child = ::fork();
  BOOST_REQUIRE(child >= 0);
  if (child == 0) ::_exit(body());
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

// 0 if this process is `identity` and nothing else; otherwise the number of what it is not.
int difference(const Identity& identity) {
  uid_t user[3];
  gid_t group[3];
  if (::getresuid(&user[0], &user[1], &user[2]) != 0) return 1;
  if (::getresgid(&group[0], &group[1], &group[2]) != 0) return 1;
  for (const uid_t id : user)
    if (id != identity.user) return 2;
  for (const gid_t id : group)
    if (id != identity.group) return 3;
  std::vector<gid_t> groups(64);
  const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
  if (count < 0) return 4;
  groups.resize(static_cast<size_t>(count));
  std::ranges::sort(groups);
  if (groups != identity.groups) return 5;
  if (::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 1) return 6;
  if (::setresuid(0, 0, 0) == 0) return 7;
  return 0;
}

BOOST_AUTO_TEST_SUITE(privileges, *boost::unit_test::precondition(is_root))

BOOST_AUTO_TEST_CASE(nothing_of_root_is_left_wherever_it_was) {
  const Identity nobody = look_up_user(kUser).value();
  const gid_t root_groups[] = {0, 1};
  struct Case {
    const char* description;
    uid_t real, effective, saved;
    gid_t group;
  };
  for (const Case& test : {
           Case{"root", 0, 0, 0, 0},
           Case{"root is saved", nobody.user, nobody.user, 0, nobody.group},
           Case{"root is real", 0, nobody.user, nobody.user, nobody.group},
           Case{"effective root", nobody.user, 0, nobody.user, nobody.group},
           Case{"only the groups are root's", 0, 0, 0, nobody.group},
       }) {
    const int difference_left = in_child([&] {
      if (::setgroups(2, root_groups) != 0) return 100;
      if (::setresgid(test.group, test.group, test.group) != 0) return 101;
      if (::setresuid(test.real, test.effective, test.saved) != 0) return 102;
      if (!drop_privileges(nobody)) return 103;
      return difference(nobody);
    });
    BOOST_TEST(difference_left == 0, test.description);
  }
}

BOOST_AUTO_TEST_CASE(who_is_the_user_already_has_nothing_to_do) {
  const Identity nobody = look_up_user(kUser).value();
  BOOST_TEST(in_child([&] {
               if (!drop_privileges(nobody)) return 100;
               return drop_privileges(nobody) ? difference(nobody) : 101;
             }) == 0);
}

// The sets of this process's capabilities that are not empty, by their names in /proc.
std::string capabilities() {
  std::ifstream status("/proc/self/status");
  std::string sets;
  for (std::string line; std::getline(status, line);) {
    // What can be gained by starting a program is another question, and PR_SET_NO_NEW_PRIVS answers
    // it.
    if (!line.starts_with("Cap") || line.starts_with("CapBnd")) continue;
    if (line.find_first_not_of('0', line.find('\t') + 1) != std::string::npos) sets += line + "\n";
  }
  return sets;
}

BOOST_AUTO_TEST_CASE(layer_4_keeps_two_rights_and_no_other) {
  const Identity nobody = look_up_user(kUser).value();
  constexpr uint64_t kKept = uint64_t{1} << CAP_NET_RAW | uint64_t{1} << CAP_NET_ADMIN;
  for (const bool keep : {true, false}) {
    BOOST_TEST(in_child([&] {
                 if (!drop_privileges(nobody, keep)) return 100;
                 if (effective_capabilities() != (keep ? kKept : 0)) return 101;
                 const std::string expected =
                     "CapPrm:\t0000000000003000\nCapEff:\t0000000000003000\n";
                 if (capabilities() != (keep ? expected : "")) return 102;
                 if ((::socket(AF_PACKET, SOCK_RAW, 0) >= 0) != keep) return 103;
                 return difference(nobody);
               }) == 0,
               "keep: " << keep);
  }
}

// It says so rather than pretend.
BOOST_AUTO_TEST_CASE(groups_that_cannot_be_given_up_are_an_error) {
  const Identity nobody = look_up_user(kUser).value();
  const gid_t root_groups[] = {0};
  BOOST_TEST(in_child([&] {
               if (::setgroups(1, root_groups) != 0) return 100;
               if (::setresgid(nobody.group, nobody.group, nobody.group) != 0) return 101;
               if (::setresuid(nobody.user, nobody.user, nobody.user) != 0) return 102;
               const auto dropped = drop_privileges(nobody);
               return dropped.has_value() || !dropped.error().text.contains("setgroups") ? 103 : 0;
             }) == 0);
}

BOOST_AUTO_TEST_CASE(directories_in_which_a_user_may_create_files) {
  const Identity nobody = look_up_user(kUser).value();
  struct Case {
    const char* description;
    uid_t owner;
    gid_t group;
    mode_t mode;
    mode_t parent_mode;
    bool expected;
  };
  for (const Case& test : {
           Case{"root's", 0, 0, 0755, 0755, false},
           Case{"everybody's", 0, 0, 0777, 0755, true},
           Case{"its own", nobody.user, 0, 0700, 0755, true},
           Case{"its group's", 0, nobody.group, 0770, 0755, true},
           Case{"of its group, who may only read", 0, nobody.group, 0757, 0755, false},
           Case{"its own, not writable", nobody.user, 0, 0577, 0755, false},
           Case{"its own, in a closed one", nobody.user, 0, 0700, 0700, false},
       }) {
    const test::ScratchDirectory scratch;
    const std::string logs = scratch.file("logs");
    BOOST_REQUIRE(::mkdir(logs.c_str(), 0700) == 0);
    BOOST_REQUIRE(::chown(logs.c_str(), test.owner, test.group) == 0);
    BOOST_REQUIRE(::chmod(logs.c_str(), test.mode) == 0);
    BOOST_REQUIRE(::chmod(scratch.file(".").c_str(), test.parent_mode) == 0);
    BOOST_TEST(may_create_in(logs, nobody) == test.expected, test.description);

    Diagnostics diagnostics;
    warn_of_log_rotation({.user = kUser, .access_log = logs + "/access.log"}, diagnostics);
    BOOST_TEST(diagnostics.all().empty() == test.expected, test.description);
    BOOST_TEST(diagnostics.error_count() == 0u);
  }
}

BOOST_AUTO_TEST_CASE(no_warning_about_what_is_not_rotated) {
  for (const char* place : {"stdout", "off", "/dev/full"}) {
    Diagnostics diagnostics;
    warn_of_log_rotation({.user = kUser, .access_log = place}, diagnostics);
    BOOST_TEST(diagnostics.all().empty(), place);
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(an_unknown_user_is_named) {
  const auto unknown = look_up_user("no-such-user");
  BOOST_REQUIRE(!unknown.has_value());
  BOOST_TEST(unknown.error().text == "global.user: there is no user \"no-such-user\"");
}

}  // namespace
}  // namespace shunt::app
