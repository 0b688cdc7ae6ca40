// A request while the rules look at it: what they need beyond the RequestView is derived once, when
// first asked for, into memory that the next request reuses. One per worker (in its Scratch), or on
// the stack of explain().
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rules/fields.h"
#include "rules/regex.h"
#include "rules/request_view.h"

namespace shunt::rules {

class Subject {
 public:
  // Forgets the last request. The bytes behind `request` stay the caller's; `request` itself must
  // outlive the use too.
  void begin(const RequestView& request);

  const RequestView& request() const { return *request_; }
  // Lower case, without the dot of the DNS root at its end.
  std::string_view host() const { return host_; }
  // What follows the last dot of the path's last segment, in lower case; empty data if there is no
  // dot.
  std::string_view extension();
  // Of the Content-Type field without its parameters, in lower case; empty if there is none.
  std::string_view media_type();
  std::span<const Field> cookies();
  // Names and values decoded.
  std::span<const Field> parameters();

  // Regular expressions that are known to match the path, so that they need not be searched again.
  // The memory stays the caller's until the next begin().
  void set_known_matches(std::span<const Regex* const> matches) { known_matches_ = matches; }
  bool is_known_match(const Regex* regex) const {
    return std::ranges::find(known_matches_, regex) != known_matches_.end();
  }

 private:
  void derive_parameters();

  const RequestView* request_ = nullptr;
  std::string_view host_;
  std::string_view extension_;
  std::string_view media_type_;
  std::string host_storage_;
  std::string extension_storage_;
  std::string media_type_storage_;
  std::string parameter_storage_;
  std::span<const Regex* const> known_matches_;
  std::vector<Field> cookies_;
  std::vector<Field> parameters_;
  bool has_extension_ = false;
  bool has_media_type_ = false;
  bool has_cookies_ = false;
  bool has_parameters_ = false;
};

}  // namespace shunt::rules
