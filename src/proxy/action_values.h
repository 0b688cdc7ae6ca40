// What the variables of a rule's templates stand for in one exchange, with the memory behind it.
// Lives on the stack of one callback.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "proxy/head_writer.h"
#include "proxy/request_id.h"
#include "rules/regex.h"
#include "rules/request_view.h"
#include "rules/template.h"

namespace shunt::proxy {

struct ActionValues {
  rules::Values values;
  rules::RequestView view;
  std::array<std::string_view, rules::kCapturesMax> captures;
  RequestIdText request_id;
  std::string server_address;
  std::array<char, kClientSubjectMax> tls_subject;
};

}  // namespace shunt::proxy
