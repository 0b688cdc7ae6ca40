// Signals as events: blocked in every thread and read from a descriptor by the main thread, so that
// no handler ever runs.
#pragma once

#include <optional>

namespace shunt::app {

class Signals {
 public:
  // Blocks HUP, USR1, USR2, QUIT, TERM and INT and ignores PIPE. Before other threads are started:
  // they inherit it.
  Signals();
  ~Signals();  // The signals stay blocked: the process is about to end.
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  int fd() const { return fd_; }  // Readable while a signal is pending.
  std::optional<int> take();      // The next pending one.

 private:
  int fd_;
};

}  // namespace shunt::app
