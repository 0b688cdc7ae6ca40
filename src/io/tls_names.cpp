// Names to groups of certificates. See the header.
#include "io/tls_names.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>

namespace shunt::io {
namespace {

constexpr size_t kHostMax = 255;  // RFC 1035 §2.3.4.

// "*.example.com" for "www.example.com"; empty for a name of one label.
std::string wildcard_of(std::string_view host) {
  const size_t dot = host.find('.');
  if (host.starts_with("*.") || dot == std::string_view::npos) return {};
  return "*" + std::string(host.substr(dot));
}

// The first certificate of each kind in `own`, and of the kinds that are missing there in `others`.
TlsNames::Group one_of_each_kind(std::span<const TlsNames::Certificate> certificates,
                                 std::span<const uint32_t> own, std::span<const uint32_t> others) {
  TlsNames::Group group;
  const auto add = [&](uint32_t candidate) {
    const bool taken = std::ranges::any_of(group, [&](uint32_t chosen) {
      return certificates[chosen].kind == certificates[candidate].kind;
    });
    if (!taken) group.push_back(candidate);
  };
  for (const uint32_t candidate : own) add(candidate);
  for (const uint32_t candidate : others) add(candidate);
  return group;
}

bool answers_for(const TlsNames::Certificate& certificate, const std::string& name) {
  const auto has = [&certificate](const std::string& one) {
    return std::ranges::find(certificate.names, one) != certificate.names.end();
  };
  return has(name) || has(wildcard_of(name));
}

}  // namespace

TlsNames::TlsNames(std::span<const Certificate> certificates) : certificates_(certificates.size()) {
  std::vector<uint32_t> stand_ins;
  for (uint32_t i = 1; i < certificates.size(); ++i) {
    const std::vector<std::string>& names = certificates[0].names;
    if (!names.empty() && answers_for(certificates[i], names.front())) stand_ins.push_back(i);
  }
  const uint32_t first = 0;
  groups_.push_back(one_of_each_kind(certificates, {&first, 1}, stand_ins));

  std::map<std::string, std::vector<uint32_t>> by_name;
  for (uint32_t i = 0; i < certificates.size(); ++i) {
    for (const std::string& name : certificates[i].names) by_name[name].push_back(i);
  }
  for (const auto& [name, own] : by_name) {
    const auto wider = by_name.find(wildcard_of(name));
    const std::span<const uint32_t> others =
        wider == by_name.end() ? std::span<const uint32_t>() : wider->second;
    by_name_.emplace(name, index_of(one_of_each_kind(certificates, own, others)));
  }
}

uint32_t TlsNames::index_of(Group group) {
  std::ranges::sort(group);
  for (uint32_t i = 0; i < groups_.size(); ++i) {
    if (std::ranges::is_permutation(groups_[i], group)) return i;
  }
  groups_.push_back(std::move(group));
  return static_cast<uint32_t>(groups_.size() - 1);
}

uint32_t TlsNames::find(std::string_view host) const {
  if (host.ends_with('.')) host.remove_suffix(1);
  if (host.empty() || host.size() > kHostMax) return 0;
  std::array<char, kHostMax> memory;
  std::ranges::transform(host, memory.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  std::string_view name(memory.data(), host.size());
  if (const auto exact = by_name_.find(name); exact != by_name_.end()) return exact->second;
  const size_t dot = name.find('.');
  if (dot == 0 || dot == std::string_view::npos) return 0;
  memory[dot - 1] = '*';
  const auto wildcard = by_name_.find(name.substr(dot - 1));
  return wildcard == by_name_.end() ? 0 : wildcard->second;
}

std::vector<uint32_t> TlsNames::unused() const {
  std::vector<uint32_t> out;
  for (uint32_t i = 0; i < certificates_; ++i) {
    const bool used = std::ranges::any_of(
        groups_, [i](const Group& group) { return std::ranges::find(group, i) != group.end(); });
    if (!used) out.push_back(i);
  }
  return out;
}

}  // namespace shunt::io
