// The file format that tcpdump and its kin read: classic pcap with nanoseconds, Ethernet frames.
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace shunt::app {

inline constexpr uint32_t kSnapMost = 65'535 + 14;  // The largest packet with its link header.

// What the file begins with; `snap`: the most that is kept of a frame.
void append_pcap_header(std::string& out, uint32_t snap);
// `frame`: what is kept of one of `size` bytes. `unix_ns`: nanoseconds of the day's clock.
void append_pcap_frame(std::string& out, int64_t unix_ns, std::string_view frame, uint32_t size);

}  // namespace shunt::app
