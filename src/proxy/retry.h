// Whether a request that a server has failed is tried again, and how. Pure: a function of what has
// happened to the request, so that it can be a table.
#pragma once

#include <cerrno>

#include "core/config.h"
#include "core/reason.h"

namespace shunt::proxy {

enum class Retry : uint8_t {
  kNo,
  kFreshConnection,  // The same choice of servers; a kept connection was at fault.
  kOtherServer,      // The server is left out.
};

// What has become of the attempt.
struct Attempt {
  bool sent = true;           // Some of the request has gone to the server.
  bool idempotent = true;     // RFC 9110 §9.2.2.
  bool replayable = true;     // The whole request is here.
  bool answer_begun = false;  // The server has sent some of its answer…
  bool passed_on = false;     // …and the client has got some of it.
  bool kept = false;          // On a connection that had been used before.
  bool fresh_tried = false;   // A fresh connection has been tried for that reason already.
};

// Why a connection to a server could not be made; `result` is a negative errno.
inline Reason reason_of_connect(int result) {
  switch (-result) {
    case ECONNREFUSED:
    case ENOENT:  // A unix socket that is not there.
      return Reason::kConnectRefused;
    case ETIMEDOUT:
      return Reason::kConnectTimeout;
    case EPROTO:
    case ECONNABORTED:
      return Reason::kServerTls;
    case EMFILE:
    case ENFILE:
      return Reason::kNoDescriptor;
    case ENOBUFS:
    case ENOMEM:
      return Reason::kNoMemory;
    default:
      return Reason::kConnectFailed;
  }
}

// Whether it does no harm to send the request again (RFC 9110 §9.2.2), whatever the configuration
// wants.
inline bool may_repeat(const Attempt& attempt) {
  if (attempt.passed_on) return false;
  return !attempt.sent || (attempt.replayable && attempt.idempotent);
}

// The class of a failure. False also for what is no failure of a server.
inline bool wanted_after(Reason reason, const config::RetryOn& on) {
  switch (reason) {
    case Reason::kConnectRefused:
    case Reason::kConnectFailed:
    case Reason::kConnectTimeout:
    case Reason::kServerTls:
      return on.connect;
    case Reason::kServerClosed:
    case Reason::kServerReset:
      return on.reset;
    case Reason::kServerTruncated:
      return on.reset || on.truncated;  // In its head, or held back.
    case Reason::kResponseTimeout:
    case Reason::kServerTimeout:
      return on.timeout;
    case Reason::kServerBadResponse:
      return on.invalid;
    default:
      return false;
  }
}

// The server stands in for others that cannot be reached, or says that it is overloaded (RFC 9110
// §15.6.3 to §15.6.5).
inline bool is_gateway_error(uint16_t status) {
  return status >= 502 && status <= 504;
}

// What counts against the server.
inline bool is_server_failure(Reason reason) {
  constexpr config::RetryOn kAll{true, true, true, true, true, {}};
  return wanted_after(reason, kAll);
}

inline Retry decide_retry(const Attempt& attempt, Reason reason, const config::RetryOn& on) {
  if (!may_repeat(attempt)) return Retry::kNo;
  // A kept connection may have been closed by the server just when it was used again: that says
  // nothing about the server, so the request gets a fresh connection, once (RFC 9112 §9.3.1).
  const bool gone = reason == Reason::kServerClosed || reason == Reason::kServerReset;
  if (attempt.kept && gone && !attempt.answer_begun && !attempt.fresh_tried)
    return Retry::kFreshConnection;
  return wanted_after(reason, on) ? Retry::kOtherServer : Retry::kNo;
}

}  // namespace shunt::proxy
