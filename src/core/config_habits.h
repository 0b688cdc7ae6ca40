// What people write who come from other products or other formats, and how it is written here.
// Constant data: any thread.
#pragma once

#include <string>
#include <string_view>

#include "core/config_keys.h"

namespace shunt::config {

// A hint for a key that `keys` does not have, if others call something in it by that name; or "".
std::string hint_from_habit(std::string_view key, const KeyTable& keys);

// How the table, or list of tables, under this key is written; or "".
std::string table_example(std::string_view key);

// A hint for what is no address because it is a name, or leaves out the IP address; or "".
std::string hint_for_address(std::string_view text, bool to_bind);

}  // namespace shunt::config
