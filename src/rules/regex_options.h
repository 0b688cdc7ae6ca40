// The RE2 options that every pattern of the rules is compiled with. Private to regex.cpp and
// regex_set.cpp.
#pragma once

#include <re2/re2.h>

namespace shunt::rules {

inline re2::RE2::Options regex_options() {
  re2::RE2::Options options(re2::RE2::Latin1);
  options.set_log_errors(false);
  options.set_never_capture(true);
  options.set_dot_nl(true);
  return options;
}

}  // namespace shunt::rules
