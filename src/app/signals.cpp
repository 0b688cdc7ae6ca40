// A signalfd over the signals that Shunt knows.
#include "app/signals.h"

#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

#include "core/assert.h"

namespace shunt::app {

Signals::Signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT, SIGTERM, SIGINT})
    sigaddset(&set, signal);
  SHUNT_ASSERT(::pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  // A splice into a connection that was reset raises it; the error code says the same.
  ::signal(SIGPIPE, SIG_IGN);
  fd_ = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  SHUNT_ASSERT(fd_ >= 0);
}

Signals::~Signals() {
  ::close(fd_);
}

std::optional<int> Signals::take() {
  signalfd_siginfo info{};
  if (::read(fd_, &info, sizeof info) != sizeof info) return std::nullopt;
  return static_cast<int>(info.ssi_signo);
}

}  // namespace shunt::app
