// What the user is told when io_uring is refused.
#include "io/probe.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <cstddef>

namespace shunt::io {
namespace {

BOOST_AUTO_TEST_SUITE(probe_suite)

BOOST_AUTO_TEST_CASE(this_kernel_is_probed) {
  const auto features = probe();
  if (!features) {
    BOOST_TEST(features.error().text.starts_with("io_uring is refused: "));
    return;
  }
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

// As a container does it: a filter on the system call, in a child process.
bool forbid_io_uring(int error) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{.len = std::size(program), .filter = program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

BOOST_AUTO_TEST_CASE(seccomp_filter_is_recognised) {
  for (const int error : {EPERM, ENOSYS}) {
    BOOST_TEST_CONTEXT("errno " << error) {
      const pid_t child = ::fork();
      BOOST_REQUIRE(child >= 0);
      if (child == 0) {
        if (!forbid_io_uring(error)) ::_exit(2);
        const auto features = probe();
        const bool named = !features && features.error().sys == error &&
                           features.error().text.contains("seccomp filter is in force");
        ::_exit(named ? 0 : 1);
      }
      int status = -1;
      BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
      BOOST_TEST(WIFEXITED(status));
      BOOST_TEST(WEXITSTATUS(status) == 0);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::io
