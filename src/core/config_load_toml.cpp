// Where toml++'s code is compiled. Nothing of ours is here, on purpose: its macros stay in this
// file. With NDEBUG it would turn its assertions into assumptions for the compiler, which is worse
// than to fail on them.
#undef NDEBUG
#define TOML_IMPLEMENTATION
#include "core/config_load_toml.h"
