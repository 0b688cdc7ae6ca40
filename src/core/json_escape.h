// The inside of a JSON string: what may follow `"`. Plain text is copied as it is, in one piece.
// Pure: any thread.
#pragma once

#include <string>
#include <string_view>

namespace shunt {

// Appends `text` with quotes, backslashes and control characters escaped (RFC 8259 section 7).
// Valid UTF-8 passes; bytes that are not become U+FFFD, so that the result is always valid JSON.
void append_json_escaped(std::string& out, std::string_view text);
std::string json_escape(std::string_view text);

}  // namespace shunt
