// Where toml++'s code is compiled. Nothing of ours is here, on purpose: its macros stay in this
// file.
#define TOML_IMPLEMENTATION
#include "core/config_load_toml.h"
