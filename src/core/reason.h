// Why an exchange (a request and its answer) or a connection ended: one table, from which the
// access log, the counters and the error pages take names and texts. Every exchange ends with
// exactly one reason.
#pragma once

#include <cstdint>
#include <string_view>

namespace shunt {

// X(identifier, name in log and metrics, status the client is told or 0, text of the error page)
// clang-format off: a table.
#define SHUNT_REASONS(X)                                                                                           \
  X(kDone, "done", 0, "")                                                                                          \
  X(kLocal, "local", 0, "")                                                                                        \
  X(kBadRequest, "bad_request", 400, "The request is malformed.")                                                  \
  X(kBadProxyHeader, "bad_proxy_header", 400, "The connection did not begin with a valid PROXY header.")           \
  X(kProxySource, "proxy_source", 403, "This listener takes connections from its proxies only.")                   \
  X(kRequestHeaderTimeout, "request_header_timeout", 408, "The request head did not arrive in time.")              \
  X(kKeepAliveTimeout, "keep_alive_timeout", 0, "The client sent no request for too long.")                        \
  X(kRequestBodyTimeout, "request_body_timeout", 408, "The request body did not arrive in time.")                  \
  X(kRequestBodySlow, "request_body_slow", 408, "The request body arrived too slowly.")                            \
  X(kRequestTimeout, "request_timeout", 504, "The request took too long as a whole.")                              \
  X(kAmbiguousPath, "ambiguous_path", 400, "The path of the request is ambiguous.")                                \
  X(kRateLimited, "rate_limited", 429, "There are too many requests.")                                             \
  X(kClientClosed, "client_closed", 0, "The client closed the connection before the end of the answer.")           \
  X(kClientReset, "client_reset", 0, "The client reset the connection.")                                           \
  X(kClientSendTimeout, "client_send_timeout", 0, "The client stopped taking the answer.")                         \
  X(kTlsHandshake, "tls_handshake", 0, "The TLS handshake with the client failed.")                                 \
  X(kClientSendSlow, "client_send_slow", 0, "The client took the answer too slowly.")                              \
  X(kNoRule, "no_rule", 404, "No rule matches this request.")                                                      \
  X(kRewriteInvalid, "rewrite_invalid", 400, "The request makes no valid request once it is rewritten.")           \
  X(kRewriteTooLarge, "rewrite_too_large", 431, "The request is too large once it is rewritten.")                  \
  X(kAnswerTooLarge, "answer_too_large", 500, "The answer is too large once its fields are edited.")               \
  X(kNoServer, "no_server", 503, "No server is available for this request.")                                       \
  X(kNameUnresolved, "name_unresolved", 503, "The names of the servers have not been resolved.")                   \
  X(kQueueFull, "queue_full", 503, "All servers are busy, and too many requests wait for them already.")            \
  X(kQueueTimeout, "queue_timeout", 503, "No server became free in time.")                                         \
  X(kQueueShed, "queue_shed", 503, "Requests have been waiting for too long; this one was given up.")              \
  X(kNoMemory, "no_memory", 503, "The load balancer is out of buffers.")                                           \
  X(kNoDescriptor, "no_descriptor", 503, "The load balancer is out of file descriptors.")                          \
  X(kConnectRefused, "connect_refused", 502, "The server refused the connection.")                                 \
  X(kConnectFailed, "connect_failed", 502, "The server cannot be reached.")                                        \
  X(kConnectTimeout, "connect_timeout", 504, "The connection to the server timed out.")                            \
  X(kServerTls, "server_tls", 502, "The TLS handshake with the server failed.")                                    \
  X(kServerClosed, "server_closed", 502, "The server closed the connection without an answer.")                    \
  X(kServerReset, "server_reset", 502, "The server reset the connection.")                                         \
  X(kServerTruncated, "server_truncated", 502, "The server ended its answer too early.")                           \
  X(kServerBadResponse, "server_bad_response", 502, "The server sent an answer that is not valid HTTP.")           \
  X(kResponseTimeout, "response_timeout", 504, "The server did not answer in time.")                               \
  X(kServerTimeout, "server_timeout", 504, "The server stopped in the middle of the exchange.")                    \
  X(kTunnelTimeout, "tunnel_timeout", 0, "Neither side of the tunnel sent anything for too long.")                 \
  X(kShutdown, "shutdown", 503, "The load balancer is shutting down.")
// clang-format on

enum class Reason : uint8_t {
#define X(identifier, name, status, text) identifier,
  SHUNT_REASONS(X)
#undef X
};

struct ReasonInfo {
  std::string_view name;
  uint16_t status;
  std::string_view text;
};

inline constexpr ReasonInfo kReasons[] = {
#define X(identifier, name, status, text) {name, status, text},
    SHUNT_REASONS(X)
#undef X
};
inline constexpr uint32_t kReasonCount = sizeof(kReasons) / sizeof(kReasons[0]);

constexpr const ReasonInfo& info(Reason reason) {
  return kReasons[static_cast<uint8_t>(reason)];
}

}  // namespace shunt
