// Why a packet was not forwarded: one table, from which counters and traces take names and texts.
// Every packet that is ours and does not leave ends with exactly one of these.
#pragma once

#include <cstdint>
#include <string_view>

namespace shunt::l4 {

// X(identifier, name in counters and traces, text)
// clang-format off: a table.
#define SHUNT_DROPS(X)                                                                                                     \
  X(kNone, "none", "Not dropped.")                                                                                         \
  X(kTruncated, "truncated", "The packet ends before its headers do, or before the length they state.")                   \
  X(kBadVersion, "bad_version", "Neither IPv4 nor IPv6.")                                                                 \
  X(kBadLength, "bad_length", "Length fields contradict each other.")                                                     \
  X(kBadHeaderChecksum, "bad_header_checksum", "The checksum of the IPv4 header is wrong.")                               \
  X(kBadChecksum, "bad_checksum", "The checksum of TCP, UDP or ICMP is wrong.")                                           \
  X(kBadOffload, "bad_offload", "A checksum is left to be completed where the packet has none.")                          \
  X(kBadOption, "bad_option", "IPv4 options that run over the header, or IPv6 extension headers without end.")            \
  X(kSourceRoute, "source_route", "The sender dictates the route.")                                                       \
  X(kMartianSource, "martian_source", "No host can have this source address.")                                            \
  X(kMartianDestination, "martian_destination", "This destination address must not be seen on a network.")                \
  X(kLand, "land", "The packet claims to come from its own destination.")                                                 \
  X(kTinyFragment, "tiny_fragment", "A first fragment that hides the header it decides by.")                              \
  X(kBadFragment, "bad_fragment", "A fragment that cannot be part of any packet.")                                        \
  X(kFragmentOverlap, "fragment_overlap", "Fragments that contradict each other; the whole packet goes.")                  \
  X(kFragmentDuplicate, "fragment_duplicate", "This part of the packet has been seen.")                                   \
  X(kFragmentsFull, "fragments_full", "No room to hold a fragment that came before the first one.")                       \
  X(kFragmentRefused, "fragment_refused", "The packet's first fragment was dropped.")                                     \
  X(kFragmentTimeout, "fragment_timeout", "The first fragment never came.")                                               \
  X(kTimeExceeded, "time_exceeded", "TTL or hop limit used up; the sender was told.")                                     \
  X(kTooBig, "too_big", "Larger than the path takes and not to be fragmented; the sender was told.")                      \
  X(kNoRoute, "no_route", "No way to the server or client, or its link address is not known.")                            \
  X(kNoService, "no_service", "A virtual address, but no service at this port; the sender was told.")                     \
  X(kNoConnection, "no_connection", "In the middle of a connection that is not known; reset.")                            \
  X(kNoServer, "no_server", "The service has no server to give; the sender was told.")                                    \
  X(kServerGone, "server_gone", "The connection's server has been removed.")                                              \
  X(kClash, "clash", "Another connection has these addresses at the server.")                                            \
  X(kTableFull, "table_full", "No room for the connection, and no other way for it.")                                     \
  X(kUnrelated, "unrelated", "An ICMP error about no connection that is known.")                                          \
  X(kConsumed, "consumed", "An ICMP message to the director itself, acted upon.")                                         \
  X(kUnreachable, "unreachable", "The method cannot carry this packet to its server.")                                    \
  X(kNoRoom, "no_room", "The frame has no room for the tunnel's header.")
// clang-format on

enum class Drop : uint8_t {
#define X(identifier, name, text) identifier,
  SHUNT_DROPS(X)
#undef X
};

struct DropInfo {
  std::string_view name;
  std::string_view text;
};

inline constexpr DropInfo kDrops[] = {
#define X(identifier, name, text) {name, text},
    SHUNT_DROPS(X)
#undef X
};
inline constexpr uint32_t kDropCount = sizeof(kDrops) / sizeof(kDrops[0]);

constexpr const DropInfo& info(Drop drop) {
  return kDrops[static_cast<uint8_t>(drop)];
}

}  // namespace shunt::l4
