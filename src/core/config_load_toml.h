// The one include of toml++, with the switches that every file of the loader must agree on: no exceptions; its code
// compiled once, in config_load_toml.cpp, instead of in every file that looks at a node; and no assertions, since its
// parser asserts what a typing error can break ("[[.x]]", "[[[x]]]") and goes on to report it properly without them.
#pragma once

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ASSERT(expression) static_assert(true)
#include <toml++/toml.h>
