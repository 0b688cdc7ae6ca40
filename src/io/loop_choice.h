// Which event loop a process runs on: io_uring where the kernel lets it, else epoll. Decided once,
// at start-up, by the main thread.
#pragma once

#include <optional>
#include <string>

#include "core/config.h"
#include "core/result.h"
#include "io/probe.h"

namespace shunt::io {

struct LoopChoice {
  std::optional<Features> uring;  // How to set up its rings; nothing: epoll.
  std::string refused = {};       // Why it is epoll although io_uring would have been preferred.
  std::string to_string() const;  // For the log: "io_uring with deferred task work", "epoll".
};

// The error: io_uring is demanded and refused; it says by what, and the way out.
Result<LoopChoice> choose_loop(config::EventLoop wish);

}  // namespace shunt::io
