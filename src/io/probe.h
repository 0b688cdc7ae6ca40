// What this kernel's io_uring can do, found by asking it rather than by its version: containers and
// sysctls refuse io_uring on kernels that have it. Run once at start-up, from any thread.
#pragma once

#include <cstdint>
#include <string>

#include "core/result.h"

namespace shunt::io {

// How a ring is to be set up here.
struct Features {
  uint32_t setup_flags = 0;       // IORING_SETUP_* without CQSIZE: the best set that was accepted.
  bool deferred_work = false;     // Kernel 6.1: completions are made only while the loop waits.
  std::string to_string() const;  // For the log: "io_uring with deferred task work".
};

// Tries io_uring_setup, the opcodes and the buffer rings that the event loop needs (Linux 5.19).
// The error says what refused io_uring and what to do about it.
Result<Features> probe();

// What is known when the kernel refuses io_uring: the input of the explanation.
struct Refusal {
  int error = 0;             // errno of io_uring_setup.
  int disabled_sysctl = -1;  // /proc/sys/kernel/io_uring_disabled; -1: no such file (before 6.6).
  int seccomp_mode = 0;      // "Seccomp:" in /proc/self/status; 2: a filter is in force.
  uint64_t memlock_max = UINT64_MAX;  // Soft RLIMIT_MEMLOCK in bytes; UINT64_MAX: unlimited.
  std::string kernel = {};            // uname's release.
};

// The text for the user: what refused, and the way out. Pure.
Error explain(const Refusal& refusal);

}  // namespace shunt::io
