// The one include of toml++, with the switches that every file of the loader must agree on: no
// exceptions, and its code compiled once, in config_load_toml.cpp, instead of in every file that
// looks at a node.
#pragma once

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>
