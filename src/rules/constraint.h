// What a rule demands of a request in terms that an index can look up. A rule becomes one or more
// branches (an `any` is multiplied out), a branch a set of constraints, and a constraint a list of
// keys of which the request must have one. Dropping a constraint is always safe: the index only
// proposes rules, holds() decides. Used while compiling; nothing here at run time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rules/conditions.h"
#include "rules/text.h"

namespace shunt::rules {

// The parts of a request that can be looked up, in the order in which an index prefers them where
// they select equally well.
enum class Dimension : uint8_t {
  kHost,
  kPath,
  kListener,
  kMethod,
  kExtension,
  kScheme,
  kSource,
  kContentType,
  kHeader,
  kCookie,
  kQuery,
  kPathLiteral,  // A literal that a path_regex needs is in the path.
  kPathRegex,    // The path_regex itself.
};
inline constexpr size_t kDimensions = 13;

// One value that a request can have in a dimension; numbered by a KeyPool.
struct Key {
  enum class Kind : uint8_t { kExact, kPrefix, kPresent };
  Dimension dimension = Dimension::kHost;
  Kind kind = Kind::kExact;
  std::string name{};            // Of the header, cookie or parameter.
  std::string text{};            // Host pattern, path, method, media range, literal, …
  Cidr network{};                // For kSource.
  uint32_t number = 0;           // For kListener.
  const Regex* regex = nullptr;  // For kPathRegex.
};

class KeyPool {
 public:
  // The number of `key`, the same for equal keys.
  uint32_t intern(Key key);
  const Key& operator[](uint32_t id) const { return keys_[id]; }
  size_t size() const { return keys_.size(); }

 private:
  std::vector<Key> keys_;
  TextMap<uint32_t> ids_;
};

struct Constraint {
  Dimension dimension = Dimension::kHost;
  std::vector<uint32_t> keys;
};

inline constexpr size_t kConstraintMax = 64;  // Per branch; those beyond are left to holds().

struct Branch {
  uint32_t rule = 0;
  std::vector<Constraint> constraints;
};

// Appends the branches of rule number `rule`.
void append_branches(uint32_t rule, const Conditions& conditions, KeyPool& keys,
                     std::vector<Branch>& branches);

}  // namespace shunt::rules
