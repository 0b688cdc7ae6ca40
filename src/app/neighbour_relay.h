// What neighbours say, from the forwarding thread that hears it to one that does not: frames of ARP
// and ND through a socket, so that each thread has a table of its own. Made by the main thread
// before both run; one thread writes, the other reads.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

namespace shunt::app {

class NeighbourRelay {
 public:
  NeighbourRelay();
  ~NeighbourRelay();
  NeighbourRelay(const NeighbourRelay&) = delete;
  NeighbourRelay& operator=(const NeighbourRelay&) = delete;

  // Does not wait: a reader that is far behind misses some, and asks the neighbour itself.
  void write(uint16_t link, std::span<const uint8_t> frame);

  int fd() const { return ends_[0]; }  // Readable while there is something.
  struct Heard {
    uint16_t link = 0;
    std::span<const uint8_t> frame;  // Good until the next read.
  };
  std::optional<Heard> read();

 private:
  static constexpr size_t kFrameMax = 1600;

  std::array<int, 2> ends_{-1, -1};
  std::array<uint8_t, sizeof(uint16_t) + kFrameMax> buffer_{};  // The reader's.
};

}  // namespace shunt::app
