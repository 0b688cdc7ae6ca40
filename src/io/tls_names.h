// Which certificates answer for a host name: the choice by SNI. Built once from the names in the
// certificates; pure, immutable afterwards.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace shunt::io {

// A client takes a certificate of one kind of key or another; a name may have one of each.
enum class TlsKeyKind : uint8_t { kRsa, kEcdsa, kOther };

class TlsNames {
 public:
  struct Certificate {
    std::vector<std::string> names;  // Lower case: "example.com", "*.example.com".
    TlsKeyKind kind = TlsKeyKind::kRsa;
  };
  // Of one kind of key each, as indexes of certificates.
  using Group = std::vector<uint32_t>;

  // An earlier certificate wins over a later one of the same name and kind. The first of all, with
  // those of other kinds that answer for its first name too, is for clients that name no host or an
  // unknown one.
  explicit TlsNames(std::span<const Certificate> certificates);

  // The group for `host`, case aside: exact before wildcard, which stands for exactly one label
  // (RFC 6125 §6.4.3); group 0 if there is none.
  uint32_t find(std::string_view host) const;

  const std::vector<Group>& groups() const { return groups_; }
  // Certificates that are never chosen: others of their kind answer for all of their names.
  std::vector<uint32_t> unused() const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  uint32_t index_of(Group group);

  size_t certificates_;
  std::vector<Group> groups_;
  // Names as they are in the certificates, wildcards included.
  std::unordered_map<std::string, uint32_t, Hash, std::equal_to<>> by_name_;
};

}  // namespace shunt::io
