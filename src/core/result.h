// Errors as values. Nothing of ours throws across an interface; what a library throws ends in its
// wrapper.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <utility>

namespace shunt {

// Why an operation failed, with a text a user can act on. `sys` is the errno behind it, or 0.
struct Error {
  std::string text;
  int sys = 0;
};

template <class T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(std::string text, int sys = 0) {
  return std::unexpected<Error>(Error{std::move(text), sys});
}

}  // namespace shunt

// Returns the error of `expression` to the caller, or goes on. The only macro with a hidden return.
#define SHUNT_TRY(expression)                                      \
  do {                                                             \
    if (auto shunt_try_result = (expression); !shunt_try_result)   \
      return std::unexpected(std::move(shunt_try_result).error()); \
  } while (false)
