// The choice of the event loop. See the header.
#include "io/loop_choice.h"

#include <utility>

namespace shunt::io {

Result<LoopChoice> choose_loop(config::EventLoop wish) {
  if (wish == config::EventLoop::kEpoll) return LoopChoice{};
  Result<Features> features = probe();
  if (features) return LoopChoice{.uring = *features};
  if (wish == config::EventLoop::kIoUring) {
    Error error = std::move(features).error();
    error.text += "; or go without it: event_loop = \"auto\" or \"epoll\"";
    return std::unexpected(std::move(error));
  }
  return LoopChoice{.uring = {}, .refused = std::move(features.error().text)};
}

std::string LoopChoice::to_string() const {
  return uring ? uring->to_string() : "epoll";
}

}  // namespace shunt::io
