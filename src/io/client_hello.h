// The first message of a TLS connection, read without terminating it: which server the client asks
// for (server_name, RFC 6066 §3). The message may come in several records (RFC 8446 §5.1) and in
// any number of reads. Pure: bytes in, values out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace shunt::io {

// Bytes that a ClientHello may take up, record headers included; more is not waited for. Those of
// today's clients are below 2 KiB.
inline constexpr size_t kClientHelloMax = 16 * 1024;
inline constexpr size_t kServerNameMax = 255;  // RFC 1035 §2.3.4.

struct ClientHello {
  enum class Status : uint8_t {
    kIncomplete,
    kComplete,
    kNotTls,     // Something else begins like this.
    kMalformed,  // It contradicts itself or the RFCs.
    kTooLarge,
  };
  Status status = Status::kIncomplete;
  const char* why = "";  // Of kMalformed; a literal.

  // The name asked for, in lower case; empty: none was, or status is not kComplete.
  std::string_view name() const { return {name_bytes.data(), name_size}; }

  uint8_t name_size = 0;
  std::array<char, kServerNameMax> name_bytes{};
};

// Looks at the beginning of a connection. Bytes behind the message are not looked at.
ClientHello parse_client_hello(std::string_view bytes);

}  // namespace shunt::io
