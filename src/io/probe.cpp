// Asks the kernel for io_uring with the three system calls themselves, so that the answer does not
// depend on what liburing was built for. See the header.
#include "io/probe.h"

#include <fmt/format.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <string_view>

namespace shunt::io {
namespace {

// Best first. DEFER_TASKRUN (6.1) makes completions only when the loop asks for them; before it,
// COOP_TASKRUN (5.19) at least spares the loop interrupts.
constexpr uint32_t kFlagSets[] = {
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP | IORING_SETUP_SINGLE_ISSUER |
        IORING_SETUP_DEFER_TASKRUN,
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP | IORING_SETUP_SINGLE_ISSUER |
        IORING_SETUP_COOP_TASKRUN,
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP | IORING_SETUP_COOP_TASKRUN,
    IORING_SETUP_CLAMP,
};

constexpr uint32_t kFeaturesNeeded = IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE |
                                     IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG |
                                     IORING_FEAT_CQE_SKIP;

constexpr struct {
  uint8_t code;
  const char* name;
} kOpcodesNeeded[] = {{IORING_OP_POLL_ADD, "POLL_ADD"},
                      {IORING_OP_ACCEPT, "ACCEPT"},
                      {IORING_OP_CONNECT, "CONNECT"},
                      {IORING_OP_RECV, "RECV"},
                      {IORING_OP_ASYNC_CANCEL, "ASYNC_CANCEL"}};

constexpr unsigned kOpcodes = 256;  // What the probe can be asked about.
constexpr size_t kPage = 4096;

// A ring that lives as long as the probe looks at it.
class ProbeRing {
 public:
  explicit ProbeRing(uint32_t flags) {
    params_.flags = flags;
    fd_ = static_cast<int>(::syscall(__NR_io_uring_setup, 4, &params_));
    if (fd_ < 0) error_ = errno;
  }
  ProbeRing(const ProbeRing&) = delete;
  ProbeRing& operator=(const ProbeRing&) = delete;
  ~ProbeRing() {
    if (fd_ >= 0) ::close(fd_);
  }

  int error() const { return error_; }  // errno, or 0.
  uint32_t features() const { return params_.features; }
  bool make(unsigned opcode, void* argument, unsigned count) const {
    return ::syscall(__NR_io_uring_register, fd_, opcode, argument, count) >= 0;
  }

 private:
  io_uring_params params_{};
  int fd_ = -1;
  int error_ = 0;
};

std::string kernel_release() {
  utsname names{};
  ::uname(&names);
  return names.release;
}

// The number after `key` in a file of /proc, or `otherwise`.
int read_number(const char* path, std::string_view key, int otherwise) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const size_t digits = line.find_first_not_of(" \t", key.size());
    if (digits == std::string::npos) break;
    int number = otherwise;
    std::from_chars(line.data() + digits, line.data() + line.size(), number);
    return number;
  }
  return otherwise;
}

Refusal gather(int error) {
  rlimit memlock{};
  ::getrlimit(RLIMIT_MEMLOCK, &memlock);
  return {.error = error,
          .disabled_sysctl = read_number("/proc/sys/kernel/io_uring_disabled", "", -1),
          .seccomp_mode = read_number("/proc/self/status", "Seccomp:", 0),
          .memlock_max = memlock.rlim_cur == RLIM_INFINITY ? UINT64_MAX : memlock.rlim_cur,
          .kernel = kernel_release()};
}

std::unexpected<Error> too_old(std::string_view missing) {
  return fail(fmt::format("io_uring of this kernel ({}) lacks {}: Linux 5.19 or newer is needed, "
                          "6.1 or newer is best",
                          kernel_release(), missing),
              ENOSYS);
}

Result<void> check_opcodes(const ProbeRing& ring) {
  alignas(io_uring_probe)
      std::byte memory[sizeof(io_uring_probe) + kOpcodes * sizeof(io_uring_probe_op)] = {};
  auto* answer = reinterpret_cast<io_uring_probe*>(memory);
  if (!ring.make(IORING_REGISTER_PROBE, answer, kOpcodes)) return too_old("the opcode probe");
  for (const auto& [code, name] : kOpcodesNeeded) {
    const bool known = code <= answer->last_op;
    if (!known || !(answer->ops[code].flags & IO_URING_OP_SUPPORTED))
      return too_old(fmt::format("operation {}", name));
  }
  return {};
}

// Buffer rings came with 5.19, as multishot accept did, which cannot be asked for on its own.
Result<void> check_buffer_ring(const ProbeRing& ring) {
  void* memory = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail(fmt::format("mmap: {}", std::strerror(errno)), errno);
  io_uring_buf_reg request{};
  request.ring_addr = reinterpret_cast<uintptr_t>(memory);
  request.ring_entries = 8;
  const bool registered = ring.make(IORING_REGISTER_PBUF_RING, &request, 1);
  if (registered) ring.make(IORING_UNREGISTER_PBUF_RING, &request, 1);
  ::munmap(memory, kPage);
  if (!registered) return too_old("buffer rings");
  return {};
}

}  // namespace

Result<Features> probe() {
  for (const uint32_t flags : kFlagSets) {
    const ProbeRing ring(flags);
    if (ring.error() == EINVAL) continue;  // A flag that this kernel does not know.
    if (ring.error() != 0) return std::unexpected(explain(gather(ring.error())));
    if ((ring.features() & kFeaturesNeeded) != kFeaturesNeeded)
      return too_old("features that the event loop needs");
    SHUNT_TRY(check_opcodes(ring));
    SHUNT_TRY(check_buffer_ring(ring));
    return Features{.setup_flags = flags,
                    .deferred_work = (flags & IORING_SETUP_DEFER_TASKRUN) != 0};
  }
  return std::unexpected(explain(gather(EINVAL)));
}

std::string Features::to_string() const {
  return deferred_work ? "io_uring with deferred task work"
                       : "io_uring with cooperative task work (Linux 6.1 and newer do better)";
}

Error explain(const Refusal& refusal) {
  const bool forbidden = refusal.error == EPERM || refusal.error == EACCES;
  const bool filtered = refusal.seccomp_mode == 2 && (forbidden || refusal.error == ENOSYS);
  const auto error = [&](std::string_view reason) {
    return Error{fmt::format("io_uring is refused: {}", reason), refusal.error};
  };

  if (forbidden && refusal.disabled_sysctl == 2)
    return error(
        "the sysctl kernel.io_uring_disabled is 2 (off for every process); allow it with "
        "`sysctl kernel.io_uring_disabled=0`, or 1 and a group in kernel.io_uring_group");
  // With 1, a privileged process or one of the group passes: seccomp may be what is in the way.
  if (forbidden && refusal.disabled_sysctl == 1)
    return error(
        "the sysctl kernel.io_uring_disabled is 1 (only with CAP_SYS_ADMIN or in the group of "
        "kernel.io_uring_group); put this user into that group, or allow it with "
        "`sysctl kernel.io_uring_disabled=0`");
  if (filtered)
    return error(
        "a seccomp filter is in force (Seccomp: 2 in /proc/self/status), as container runtimes "
        "install one by default; start the container with `--security-opt seccomp=PROFILE.json`, a "
        "profile that allows io_uring_setup, io_uring_enter and io_uring_register, or with "
        "`--security-opt seccomp=unconfined`");
  if (refusal.error == ENOSYS)
    return error(
        fmt::format("this kernel ({}) was built without it or is older than Linux 5.1; "
                    "Linux 5.19 or newer with CONFIG_IO_URING is needed",
                    refusal.kernel));
  if (forbidden)
    return error(
        "neither a sysctl nor seccomp is the reason, so a security module (SELinux, AppArmor) is "
        "likely; its audit log (`ausearch -m avc`, `journalctl -k`) names the rule");
  if (refusal.error == ENOMEM)
    return error(fmt::format(
        "out of memory that may be locked (RLIMIT_MEMLOCK is {}); raise it with `ulimit -l` or "
        "LimitMEMLOCK= of the service, or the memory limit of the container",
        refusal.memlock_max == UINT64_MAX ? "unlimited"
                                          : fmt::format("{} bytes", refusal.memlock_max)));
  if (refusal.error == EMFILE || refusal.error == ENFILE)
    return error("out of file descriptors; raise `ulimit -n` or LimitNOFILE= of the service");
  return error(
      fmt::format("io_uring_setup on kernel {}: {}", refusal.kernel, std::strerror(refusal.error)));
}

}  // namespace shunt::io
