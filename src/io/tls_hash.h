// Keyed hashes and keys by chance, as OpenSSL makes them: for what clients keep for us and must not
// be able to make up. Pure but for the chance; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace shunt::io {

// HMAC-SHA-256 (RFC 2104) of `text`.
std::array<uint8_t, 32> keyed_hash(std::string_view key, std::string_view text);

// 32 bytes that nobody can guess.
std::string random_key();

}  // namespace shunt::io
