// Provided buffers: the ring that the kernel reads. liburing 2.3 has the
// registration but not the set-up, so the mapping is done here.
#include "io/buffer_ring.h"

#include <fmt/format.h>
#include <liburing.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/assert.h"

namespace shunt::io {
namespace {

constexpr size_t kRingBytes = BufferRing::kPostedMax * sizeof(io_uring_buf);

// Refills without a shortage after which fewer buffers may be posted.
constexpr uint32_t kWindow = 4096;

}  // namespace

Result<std::unique_ptr<BufferRing>> BufferRing::create(io_uring& ring,
                                                       const BufferOptions& options) {
  void* memory =
      ::mmap(nullptr, kRingBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return fail(fmt::format("receive buffers: {}", std::strerror(errno)), errno);
  auto buffers =
      std::make_unique<BufferRing>(Private(), options, static_cast<io_uring_buf_ring*>(memory));

  io_uring_buf_reg request{};
  request.ring_addr = reinterpret_cast<uintptr_t>(memory);
  request.ring_entries = kPostedMax;
  request.bgid = kGroup;
  const int result = io_uring_register_buf_ring(&ring, &request, 0);
  if (result < 0)
    return fail(fmt::format("receive buffers: register: {}", std::strerror(-result)), -result);
  buffers->refill();
  if (buffers->posted() == 0) return fail("receive buffers: out of memory", ENOMEM);
  return buffers;
}

BufferRing::BufferRing(Private, const BufferOptions& options, io_uring_buf_ring* shared)
    : slabs_(options), shared_(shared) {
  io_uring_buf_ring_init(shared_);
}

BufferRing::~BufferRing() {
  ::munmap(shared_, kRingBytes);
}

void BufferRing::on_consumed() {
  SHUNT_ASSERT(posted_ > 0);
  --posted_;
  ++consumed_;
}

void BufferRing::on_shortage() {
  shortage_ = true;
}

void BufferRing::refill() {
  adapt();
  int added = 0;
  while (posted_ < target_) {
    const auto id = slabs_.take();
    if (!id) break;
    io_uring_buf_ring_add(shared_, slabs_.data(*id), slabs_.buffer_size(),
                          static_cast<uint16_t>(*id), io_uring_buf_ring_mask(kPostedMax), added);
    ++added;
    ++posted_;
  }
  if (added > 0) io_uring_buf_ring_advance(shared_, added);
}

Buffer BufferRing::take_unused() {
  const auto id = slabs_.take();
  return id ? take(*id, 0) : Buffer{};
}

void BufferRing::put(uint32_t id) {
  SHUNT_ASSERT(held() > 0);
  slabs_.put(id);
}

// Twice as many after a shortage, which a burst reports many times; fewer again when the busiest
// turn of a long window needed a quarter at most.
void BufferRing::adapt() {
  peak_ = std::max(peak_, consumed_);
  consumed_ = 0;
  if (std::exchange(shortage_, false)) {
    target_ = std::min(target_ * 2, kPostedMax);
    window_ = 0;
    return;
  }
  if (++window_ < kWindow) return;
  if (peak_ <= target_ / 4) target_ = std::max(target_ / 2, kPostedMin);
  peak_ = 0;
  window_ = 0;
}

}  // namespace shunt::io
