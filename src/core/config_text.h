// What the values of a configuration may be made of, as far as HTTP says so.
// Pure: any thread.
#pragma once

#include <string>
#include <string_view>

namespace shunt::config {

// RFC 9110 section 5.6.2: what methods and field names are made of.
bool is_token(std::string_view text);
// ASCII letters only.
std::string lower_case(std::string_view text);
// True if `text` has a byte that would end or corrupt a header line.
bool has_control(std::string_view text);

}  // namespace shunt::config
