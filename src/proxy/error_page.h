// The body of an answer that the proxy gives itself because something went wrong: status, reason
// and one sentence, in plain text. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/reason.h"
#include "proxy/head_writer.h"

namespace shunt::proxy {

// "502 Bad Gateway\nconnect_refused: The server refused the connection.\n"; lives as long as the
// object.
class ErrorPage {
 public:
  ErrorPage(uint16_t status, Reason reason, std::string_view text) : page_(memory_) {
    page_.append_number(status);
    page_.append(" ");
    page_.append(reason_phrase(status));
    page_.append("\n");
    page_.append(info(reason).name);
    page_.append(": ");
    page_.append(text);
    page_.append("\n");
  }
  ErrorPage(const ErrorPage&) = delete;
  ErrorPage& operator=(const ErrorPage&) = delete;

  std::string_view view() const { return page_.view(); }

 private:
  std::array<char, 512> memory_{};
  HeadBuffer page_;
};

}  // namespace shunt::proxy
