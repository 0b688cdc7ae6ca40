// What "the same content" means for a pool: the part of a request that decides about cache
// locality.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/config.h"
#include "rules/request_view.h"

namespace shunt::rules {

// As the configuration writes it: "path", "header:x-user".
std::string name_of(const config::LocalityKey& key);

// The key's text for explain and the access log ("/img/a.png"); empty if the request has no such
// part.
std::string locality_text(const config::LocalityKey& key, const RequestView& request);

// Its 64-bit hash, allocation-free: equal for equal texts (the source hashes as its folded
// address). Fixed key, so that two directors agree.
uint64_t locality_hash(const config::LocalityKey& key, const RequestView& request);

// As locality_hash(), but nothing where the request has no such part; of the whole source, whose
// folded form is too short for IPv6.
std::optional<uint64_t> identity_hash(const config::LocalityKey& key, const RequestView& request);

// The key of a split: as identity_hash(), but of the source where the request has no such part.
uint64_t split_hash(const config::LocalityKey& key, const RequestView& request);

}  // namespace shunt::rules
