// The other end of the admin endpoint: asks a running Shunt by HTTP. Blocking; one thread's.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "core/address.h"
#include "core/result.h"

namespace shunt::app {

// What to do with the next piece of a body. False: no more of it is wanted.
using TakeBytes = std::function<bool(std::string_view bytes)>;

// Asks for `target` ("/v1/services?x=y") and hands over the body as it comes. The errors say whom
// was asked and what to do: `sys` is EACCES where a right is missing; a status other than 200 is an
// error with the text that Shunt gave.
// `trailer`, if not null, gets the fields behind a body in chunks.
Result<void> ask_admin(const SocketAddress& address, const std::string& target,
                       const TakeBytes& take, std::string* trailer = nullptr);
// The whole body, of some MiB at most.
Result<std::string> ask_admin(const SocketAddress& address, const std::string& target);

// Calls `take` with each whole line of what comes in pieces, without its end.
class Lines {
 public:
  explicit Lines(TakeBytes take) : take_(std::move(take)) {}
  bool add(std::string_view bytes);

 private:
  TakeBytes take_;
  std::string rest_;
};

}  // namespace shunt::app
