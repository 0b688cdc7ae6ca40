// ARP and ND from any bytes: what is read stays inside the frame, and an answer to what was taken
// for a request is itself read as that answer; the table keeps its limits whatever it hears.
#include <algorithm>
#include <cstdint>
#include <span>

#include "core/assert.h"
#include "l4/neighbour.h"
#include "l4/packet.h"

using namespace shunt;
using namespace shunt::l4;

namespace {

constexpr MacAddress kOurs = {2, 0, 0, 0, 0, 1};

struct Sink final : NeighbourOutput {
  void send_frame(uint16_t, std::span<const uint8_t> frame) override {
    // With 0.0.0.0 or :: as sender nobody is to learn from it; all else we would accept ourselves.
    SHUNT_ASSERT(parse_neighbour(frame).has_value());
  }
  void resolved(const Packet&, const MacAddress& mac) override { SHUNT_ASSERT((mac[0] & 1) == 0); }
};

void check_answer(const NeighbourMessage& request) {
  if (!request.has_mac && !is_unspecified(request.sender)) return;  // Asked back instead.
  const auto answer = parse_neighbour(write_answer(kOurs, request).span());
  // Nobody has this address, whatever was asked for.
  if (is_unspecified(request.target) || is_multicast(request.target)) return;
  SHUNT_ASSERT(answer.has_value());
  SHUNT_ASSERT(answer->kind == NeighbourMessage::Kind::kReply);
  SHUNT_ASSERT(answer->mac == kOurs);
  SHUNT_ASSERT(answer->sender == request.target);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Sink sink;
  Instant now{};
  Neighbours table({.neighbours = 8, .held = 2}, sink, now);
  table.add_link(1, kOurs, IpAddress::from_v4(0x0a000001), *IpAddress::parse("fe80::1"));
  table.serve(1, IpAddress::from_v4(0x0a000064), now);
  table.serve(1, *IpAddress::parse("fe80::64"), now);
  // Frames of at most 100 bytes; the first byte says how long, and how much time passes.
  std::span<const uint8_t> rest(data, size);
  while (!rest.empty()) {
    const size_t length = std::min<size_t>(rest[0] & 127, rest.size() - 1);
    const auto frame = rest.subspan(1, length);
    now += std::chrono::milliseconds(rest[0] & 128 ? 700 : 1);
    const auto message = parse_neighbour(frame);
    if (message) {
      table.find(1, message->sender, now);
      if (message->kind == NeighbourMessage::Kind::kRequest) check_answer(*message);
    }
    SHUNT_ASSERT(table.receive(1, frame, now) == message.has_value());
    table.advance(now);
    SHUNT_ASSERT(table.size() <= 8);
    rest = rest.subspan(1 + length);
  }
  return 0;
}
