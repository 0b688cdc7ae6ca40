// What the user is told when io_uring is refused.
#include "io/probe.h"

#include <boost/test/unit_test.hpp>
#include <cerrno>

namespace shunt::io {
namespace {

BOOST_AUTO_TEST_SUITE(probe_suite)

BOOST_AUTO_TEST_CASE(this_kernel_is_probed) {
  const auto features = probe();
  BOOST_REQUIRE_MESSAGE(features, features.error().text);
  BOOST_TEST(features->setup_flags != 0u);
  BOOST_TEST(features->to_string().starts_with("io_uring"));
}

BOOST_AUTO_TEST_CASE(refusals_name_the_reason_and_the_way_out) {
  const struct {
    const char* description;
    Refusal refusal;
    const char* reason;
    const char* way_out;
  } cases[] = {
      {"kernel without io_uring", {.error = ENOSYS, .kernel = "4.19.0"}, "4.19.0", "5.19 or newer"},
      {"switched off for all",
       {.error = EPERM, .disabled_sysctl = 2},
       "kernel.io_uring_disabled is 2",
       "sysctl kernel.io_uring_disabled=0"},
      {"switched off for the unprivileged",
       {.error = EPERM, .disabled_sysctl = 1},
       "CAP_SYS_ADMIN",
       "kernel.io_uring_group"},
      {"the sysctl comes before seccomp",
       {.error = EPERM, .disabled_sysctl = 2, .seccomp_mode = 2},
       "kernel.io_uring_disabled is 2",
       "sysctl"},
      {"seccomp with EPERM",
       {.error = EPERM, .disabled_sysctl = 0, .seccomp_mode = 2},
       "seccomp filter",
       "--security-opt seccomp="},
      {"seccomp with ENOSYS", {.error = ENOSYS, .seccomp_mode = 2}, "Seccomp: 2", "io_uring_enter"},
      {"seccomp with EACCES", {.error = EACCES, .seccomp_mode = 2}, "seccomp", "unconfined"},
      {"security module", {.error = EACCES, .disabled_sysctl = 0}, "SELinux", "audit log"},
      {"locked memory", {.error = ENOMEM, .memlock_max = 65536}, "65536 bytes", "ulimit -l"},
      {"locked memory without a limit", {.error = ENOMEM}, "unlimited", "container"},
      {"descriptors", {.error = EMFILE}, "file descriptors", "ulimit -n"},
      {"anything else", {.error = EFAULT, .kernel = "6.1.0"}, "6.1.0", "Bad address"},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.description) {
      const Error error = explain(test.refusal);
      BOOST_TEST(error.sys == test.refusal.error);
      BOOST_TEST(error.text.starts_with("io_uring is refused: "));
      BOOST_TEST(error.text.contains(test.reason), error.text);
      BOOST_TEST(error.text.contains(test.way_out), error.text);
    }
  }
}

// A filter that is in force is not blamed for what it does not do.
BOOST_AUTO_TEST_CASE(seccomp_is_not_blamed_for_a_lack_of_memory) {
  const Error error = explain({.error = ENOMEM, .seccomp_mode = 2, .memlock_max = 1});
  BOOST_TEST(!error.text.contains("seccomp"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::io
