// As much of WebSocket (RFC 6455) as the benchmark's own ends need: the handshake with the RFC's
// sample key, whose answer is known without a hash, and binary frames of one size. Both ends are
// ours; what is measured stands between them and reads none of this.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bench {

// Section 1.3.
inline constexpr std::string_view kWebSocketKey = "dGhlIHNhbXBsZSBub25jZQ==";
inline constexpr std::string_view kWebSocketAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

inline constexpr size_t kMessageMax = 65'535;
inline constexpr std::array<unsigned char, 4> kMask = {0x5a, 0xc3, 0x17, 0x9e};

// What stands in front of a payload (section 5.2).
struct FrameHead {
  size_t size = 0;  // 0: more bytes are needed.
  size_t payload = 0;
  std::array<unsigned char, 4> mask{};
  bool masked = false;
  bool valid = true;  // A whole binary frame of at most kMessageMax bytes.
};

inline FrameHead read_frame_head(std::string_view bytes) {
  const auto octet = [bytes](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  FrameHead head;
  if (bytes.size() < 2) return head;
  head.valid = octet(0) == 0x82 && (octet(1) & 0x7f) != 127;
  head.masked = (octet(1) & 0x80) != 0;
  const bool extended = (octet(1) & 0x7f) == 126;
  const size_t size = 2u + (extended ? 2 : 0) + (head.masked ? 4 : 0);
  if (bytes.size() < size) return head;
  head.size = size;
  head.payload = extended ? static_cast<size_t>(octet(2)) << 8 | octet(3) : octet(1) & 0x7fu;
  if (head.masked) {
    for (size_t i = 0; i < 4; ++i) head.mask[i] = octet(size - 4 + i);
  }
  return head;
}

// Appends the head of a binary frame; a client's carries kMask.
inline void append_frame_head(std::string& out, size_t payload, bool masked) {
  const auto mark = static_cast<unsigned char>(masked ? 0x80 : 0);
  out += static_cast<char>(0x82);
  if (payload < 126) {
    out += static_cast<char>(mark | payload);
  } else {
    out += static_cast<char>(mark | 126);
    out += static_cast<char>(payload >> 8);
    out += static_cast<char>(payload & 0xff);
  }
  if (masked) out.append(reinterpret_cast<const char*>(kMask.data()), kMask.size());
}

// Puts the mask on, or takes it off again.
inline void mask_payload(char* text, size_t size, const std::array<unsigned char, 4>& mask) {
  for (size_t i = 0; i < size; ++i)
    text[i] = static_cast<char>(static_cast<unsigned char>(text[i]) ^ mask[i & 3]);
}

}  // namespace bench
