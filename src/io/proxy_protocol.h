// The PROXY protocol, versions 1 (a line of text) and 2 (binary): a header at the very beginning of
// a connection by which a proxy tells whose connection it passes on. As HAProxy's
// doc/proxy-protocol.txt defines it. Pure: bytes in, values out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/address.h"

namespace shunt::io {

// A header longer than this is refused: version 2 could announce 64 KiB of extensions.
inline constexpr size_t kProxyHeaderMax = 4096;

struct ProxyHeader {
  size_t size = 0;  // Bytes that it takes up.
  // What the proxy tells. Nothing: the connection is its own (LOCAL, a health check), or of a kind
  // that has no such address; the addresses of the connection itself hold.
  struct Ends {
    SocketAddress source;
    SocketAddress destination;
  };
  std::optional<Ends> told = {};
};

struct ProxyParse {
  enum class Status : uint8_t { kIncomplete, kComplete, kMalformed };
  Status status = Status::kIncomplete;
  ProxyHeader header = {};
  const char* why = "";  // Of kMalformed; a literal.
};

// Looks at the beginning of a connection. Bytes behind the header are not looked at; as long as it
// is incomplete, all of `bytes` belong to it.
ProxyParse parse_proxy_header(std::string_view bytes);

// What write_proxy_header needs at most.
inline constexpr size_t kProxyHeaderWritten = 128;

// Writes a header of `version` (1 or 2) for a connection from `source` to `destination`; returns
// the bytes written. Ends that are not both IPv4 or both IPv6 are told as unknown.
size_t write_proxy_header(int version, const SocketAddress& source,
                          const SocketAddress& destination, std::span<char> out);

}  // namespace shunt::io
