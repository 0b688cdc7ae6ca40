// The parts of a request that a locality key can name, as text and as hash of that text. Pure, any
// thread.
#include "rules/locality_key.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "core/hash.h"
#include "rules/fields.h"
#include "rules/text.h"

namespace shunt::rules {
namespace {

using Kind = config::LocalityKey::Kind;

// Arbitrary and for ever the same: two directors, and one before and after an upgrade, must send
// the same content to the same server. So a client can aim at a bucket; it could do so by asking
// for one URL over and over, too.
constexpr uint64_t kKey0 = 0x7368756e742d6c6f;
constexpr uint64_t kKey1 = 0x63616c6974792d31;

// The hash of a text that comes in pieces, without putting them together: SipHash chained over
// blocks of a fixed size, so that it depends on the text alone and not on the pieces.
class PiecewiseHash {
 public:
  void append(std::string_view piece) {
    while (!piece.empty()) {
      if (size_ == block_.size()) flush();
      const size_t taken = std::min(piece.size(), block_.size() - size_);
      piece.copy(block_.data() + size_, taken);
      size_ += taken;
      piece.remove_prefix(taken);
    }
  }
  void append(char c) { append(std::string_view(&c, 1)); }
  uint64_t finish() {
    flush();
    return hash_;
  }

 private:
  void flush() {
    hash_ = siphash_1_3({block_.data(), size_}, kKey0 ^ hash_, kKey1);
    size_ = 0;
  }

  std::array<char, 256> block_;
  size_t size_ = 0;
  uint64_t hash_ = 0;
};

class TextSink {
 public:
  void append(std::string_view piece) { text_ += piece; }
  void append(char c) { text_ += c; }
  std::string finish() { return std::move(text_); }

 private:
  std::string text_;
};

template <class Sink>
void append_host(const RequestView& request, Sink& sink) {
  std::string_view host = request.host;
  if (host.ends_with('.')) host.remove_suffix(1);
  for (const char c : host) sink.append(ascii_lower(c));
}

template <class Sink>
void append_cookie(const RequestView& request, std::string_view name, Sink& sink) {
  any_cookie(request, [&](const Field& cookie) {
    if (cookie.name != name) return false;
    sink.append(cookie.value);
    return true;
  });
}

template <class Sink>
void append_parameter(const RequestView& request, std::string_view name, Sink& sink) {
  any_parameter(request, [&](const Field& field) {
    if (!decodes_to(field.name, name)) return false;
    decode_component(field.value, [&](char c) {
      sink.append(c);
      return true;
    });
    return true;
  });
}

template <class Sink>
void append_key(const config::LocalityKey& key, const RequestView& request, Sink& sink) {
  switch (key.kind) {
    case Kind::kPath:
      return sink.append(request.path);
    case Kind::kUrl:
      append_host(request, sink);
      sink.append(request.path);
      if (request.query.empty()) return;
      sink.append('?');
      return sink.append(request.query);
    case Kind::kHost:
      return append_host(request, sink);
    case Kind::kHeader:
      return sink.append(request.header(key.name));
    case Kind::kCookie:
      return append_cookie(request, key.name, sink);
    case Kind::kQuery:
      return append_parameter(request, key.name, sink);
    case Kind::kSource:
    case Kind::kDestination:
      return;  // Not text; see the callers.
  }
}

}  // namespace

std::string name_of(const config::LocalityKey& key) {
  // In the order of LocalityKey::Kind.
  constexpr std::string_view kKinds[] = {"path",        "url",    "host",   "source",
                                         "destination", "header", "cookie", "query"};
  std::string name(kKinds[static_cast<size_t>(key.kind)]);
  if (!key.name.empty()) name += ":" + key.name;
  return name;
}

std::string locality_text(const config::LocalityKey& key, const RequestView& request) {
  if (key.kind == Kind::kSource) return request.source.to_string();
  if (key.kind == Kind::kDestination) return request.destination.to_string();
  TextSink sink;
  append_key(key, request, sink);
  return sink.finish();
}

namespace {

uint64_t hash_of_text(const config::LocalityKey& key, const RequestView& request) {
  PiecewiseHash sink;
  append_key(key, request, sink);
  return sink.finish();
}

uint64_t hash_of_address(const IpAddress& address) {
  return siphash_1_3({reinterpret_cast<const char*>(address.bytes.data()), address.bytes.size()},
                     kKey0, kKey1);
}

}  // namespace

uint64_t locality_hash(const config::LocalityKey& key, const RequestView& request) {
  // As at layer 4, where IPVS's schedulers hash the address itself.
  if (key.kind == Kind::kSource) return request.source.folded();
  if (key.kind == Kind::kDestination) return request.destination.folded();
  return hash_of_text(key, request);
}

std::optional<uint64_t> identity_hash(const config::LocalityKey& key, const RequestView& request) {
  if (key.kind == Kind::kSource) return hash_of_address(request.source);
  if (key.kind == Kind::kDestination) return hash_of_address(request.destination);
  static const uint64_t kNoText = PiecewiseHash().finish();
  const uint64_t hash = hash_of_text(key, request);
  if (hash == kNoText) return {};
  return hash;
}

uint64_t split_hash(const config::LocalityKey& key, const RequestView& request) {
  const std::optional<uint64_t> hash = identity_hash(key, request);
  return hash ? *hash : hash_of_address(request.source);
}

}  // namespace shunt::rules
