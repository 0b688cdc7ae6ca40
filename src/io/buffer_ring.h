// The receive buffers of one ring: those that the kernel picks from when data arrives, so that an
// idle connection holds none. Few are posted to the kernel at a time and refilled last-in
// first-out: the kernel takes them in order, and walking many would walk cold memory. Owned by
// UringIo, used on its thread alone.
#pragma once

#include <cstdint>
#include <memory>

#include "core/result.h"
#include "io/buffer_slabs.h"

struct io_uring;
struct io_uring_buf_ring;

namespace shunt::io {

class BufferRing {
  struct Private {
    explicit Private() = default;
  };

 public:
  static constexpr uint16_t kGroup = 0;  // The ring's buffer group.
  static constexpr uint32_t kPostedMin = 64;
  static constexpr uint32_t kPostedMax = 1024;

  // Registers the buffers with `ring`, which must be torn down before the result is destroyed.
  static Result<std::unique_ptr<BufferRing>> create(io_uring& ring, const BufferOptions& options);
  BufferRing(Private, const BufferOptions& options, io_uring_buf_ring* shared);  // For create().
  BufferRing(const BufferRing&) = delete;
  BufferRing& operator=(const BufferRing&) = delete;
  ~BufferRing();

  // The kernel used up one posted buffer; every completion that names one is to be told here.
  void on_consumed();
  // A receive failed for want of a posted buffer: more are posted from now on.
  void on_shortage();
  // Once a turn: posts what is missing, and allocates up to the maximum if need be.
  void refill();

  // One that the kernel does not get, without bytes in it; null when all are in use. Given back
  // with put().
  Buffer take_unused();
  // The buffer of a completed receive, with `size` bytes in it. Given back with put().
  Buffer take(uint32_t id, uint32_t size) const { return slabs_.buffer(id, size); }
  void put(uint32_t id);

  uint32_t posted() const { return posted_; }
  uint32_t held() const { return slabs_.taken() - posted_; }

 private:
  void adapt();

  BufferSlabs slabs_;
  io_uring_buf_ring* const shared_;  // Mapped memory that the kernel reads.
  uint32_t posted_ = 0;

  // How many to post: doubled on shortage, halved when a long window needed far fewer.
  uint32_t target_ = kPostedMin;
  bool shortage_ = false;  // Since the last refill.
  uint32_t consumed_ = 0;  // Since the last refill.
  uint32_t peak_ = 0;      // The most consumed between two refills of this window.
  uint32_t window_ = 0;    // Refills in this window.
};

}  // namespace shunt::io
