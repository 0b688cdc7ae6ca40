// The configuration as plain values: what the files said, defaults and pool presets applied, names
// resolved to indexes. Immutable after load. The loader (config_load) fills it; behaviour lives
// elsewhere. config/reference.toml documents each key; a test holds its defaults equal to those
// here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/address.h"
#include "core/config_dns.h"
#include "core/config_flow.h"
#include "core/config_service.h"
#include "core/config_sticky.h"
#include "core/diagnostics.h"
#include "core/instant.h"

namespace shunt::config {

using namespace std::chrono_literals;

inline constexpr uint32_t kNone = UINT32_MAX;  // "No such index."

enum class AccessLogFormat : uint8_t { kJson, kCombined };
// kAuto: io_uring if the kernel lets us, else epoll.
enum class EventLoop : uint8_t { kAuto, kIoUring, kEpoll };

// A token bucket per key: `rate_limit = { key = "source", rate = "100/s", burst = 200 }`.
struct RateLimit {
  LocalityKey key{LocalityKey::Kind::kSource, {}};
  Duration interval{};     // Between two requests at the full rate; > 0.
  uint32_t burst = 1;      // Requests at once after a pause.
  uint32_t size = 65'536;  // Keys that are kept apart.

  friend bool operator==(const RateLimit&, const RateLimit&) = default;
};

// What becomes of a path that servers could read in another way than the rules do.
enum class PathPolicy : uint8_t {
  kCheck,   // Refused if the rules would decide otherwise on another reading.
  kReject,  // Refused.
  kPass,    // The rules see its normal form, whatever the server makes of it.
};

// kAuto: the kernel encrypts large bodies where it can.
enum class KernelTls : uint8_t { kAuto, kOff };

struct Global {
  uint32_t workers = 0;  // 0: one per CPU that the process may use.
  // The CPU of worker i is element i modulo its size; empty: not pinned.
  std::vector<uint32_t> cpu_affinity;
  std::string user;                   // Dropped to after the sockets are open; empty: keep.
  std::string access_log = "stdout";  // "off", "stdout", or a path.
  AccessLogFormat access_log_format = AccessLogFormat::kJson;
  bool access_log_idle = false;  // Lines for idle connections that are closed, too.
  EventLoop event_loop = EventLoop::kAuto;
  KernelTls ktls = KernelTls::kAuto;
  uint32_t max_connections = 0;  // Client connections of the process; 0: from the descriptor limit.
  Duration drain_timeout = 30s;  // How long TERM waits for requests in flight.
  std::optional<SocketAddress> admin;  // Where `shunt ctl` asks; nothing: nowhere.
  Place admin_place;
  uint32_t layer4_threads = 1;              // That forward packets; 0: as many as workers.
  uint32_t layer4_connections = 1'000'000;  // Of all these threads together, at most.
  uint32_t layer4_new_connections = 0;      // Of them together, a second; 0: no cap.

  friend bool operator==(const Global&, const Global&) = default;
};

// A file that the configuration names; relative paths are relative to the file that names them.
struct FileName {
  std::string path;  // Empty: none.
  Place place;

  explicit operator bool() const { return !path.empty(); }
  friend bool operator==(const FileName&, const FileName&) = default;
};

enum class TlsVersion : uint8_t { kTls12, kTls13 };
enum class ClientCertificate : uint8_t { kOff, kOptional, kRequired };

// One certificate of a listener, with its chain, and its private key.
struct TlsCertificate {
  FileName certificate;  // PEM: the server's own first, then the chain.
  FileName key;          // PEM.
  FileName ocsp;         // DER: an OCSP answer to staple, or none.

  friend bool operator==(const TlsCertificate&, const TlsCertificate&) = default;
};

// TLS of a listener: certificates chosen by SNI, and what holds for all of them.
struct ListenerTls {
  std::vector<TlsCertificate> certificates;  // None: plain.
  TlsVersion minimum_version = TlsVersion::kTls12;
  std::string ciphers;  // Of TLS 1.2, as OpenSSL writes them; empty: Mozilla's intermediate ones.
  Place ciphers_place;
  FileName client_ca;  // PEM: who signs clients' certificates.
  ClientCertificate client_certificate = ClientCertificate::kOff;
  std::string client_header;  // Gets the subject of the client's certificate; empty: none does.

  explicit operator bool() const { return !certificates.empty(); }
  friend bool operator==(const ListenerTls&, const ListenerTls&) = default;
};

// TLS to a server.
struct ServerTls {
  Place place;
  bool enabled = false;
  bool verify = true;
  FileName ca;           // PEM; none: the system's authorities.
  FileName certificate;  // PEM: ours, if the server wants one.
  FileName key;
  // Asked for by SNI and looked for in its certificate; empty: its IP address. Of a server by name
  // that name, unless another is given.
  std::string name;

  explicit operator bool() const { return enabled; }
  friend bool operator==(const ServerTls&, const ServerTls&) = default;
};

// kTcp: bytes both ways, unread; rules see the client and the name that a TLS client asks for.
enum class Protocol : uint8_t { kHttp, kTcp };

struct Listener {
  Place place;
  std::string name;
  Protocol protocol = Protocol::kHttp;
  std::vector<SocketAddress> bind;
  // Of the files of unix sockets in bind; nothing: as the process's umask leaves it.
  std::optional<uint32_t> unix_mode;
  bool proxy_protocol = false;  // Connections begin with a PROXY header…
  std::vector<Cidr>
      proxy_protocol_from;        // …which only these may send (and who uses a unix socket).
  Duration header_timeout = 10s;  // From the first byte of a request head to its end; ClientHello.
  Duration body_timeout = 30s;    // Longest pause between two reads of a request body.
  Duration send_timeout = 30s;    // Longest pause in which the client takes no byte of an answer.
  Duration keep_alive_timeout = 60s;     // Idle between two requests.
  uint32_t keep_alive_requests = 0;      // Requests per connection; 0: no limit.
  uint32_t request_line_max = 8 * 1024;  // Bytes; longer: 414.
  uint32_t header_max = 32 * 1024;       // Bytes of the whole head; longer: 431. At most 64 KiB.
  uint32_t header_count_max = 100;       // Field lines; more: 431.
  ListenerTls tls;
  uint32_t body_rate_min = 240;   // Bytes per second of a request body, on average; 0: no limit.
  uint32_t send_rate_min = 240;   // Bytes per second that the client takes; 0: no limit.
  Duration request_timeout = 0s;  // From a complete head to the end of its answer; 0: none.
  uint32_t connections_per_source = 0;  // At a time; 0: no limit.
  uint32_t source_ipv6_prefix = 64;     // Bits of an IPv6 address that tell sources apart.
  std::optional<RateLimit> rate_limit;  // Of all requests that come in here.
  PathPolicy ambiguous_path = PathPolicy::kCheck;
  std::string request_id_header;  // Lower case; a request's id, if it has one. Empty: none does.

  friend bool operator==(const Listener&, const Listener&) = default;
};

// How one field value is compared.
struct ValueMatch {
  enum class Kind : uint8_t { kExact, kPrefix, kRegex, kPresent };
  Kind kind = Kind::kExact;
  std::string text;  // Value, prefix or pattern (RE2); unused for kPresent.
  Place place{};     // Of a pattern.
};

struct NamedMatch {
  std::string name;  // Header (lower case), cookie or query parameter.
  ValueMatch value;
};

// The `match` table: every key given must match (AND); a list in one key matches if one element
// does (OR); `none` must not match; `any`, if given, needs one alternative that matches.
struct Match {
  Place place;
  std::vector<std::string> host;  // Lower case, no port: "example.com", or "*.example.com".
  std::vector<std::string> path;  // Exact.
  std::vector<std::string> path_prefix;
  std::vector<std::string> path_regex;  // RE2, unanchored search.
  std::vector<Place> path_regex_places;
  std::vector<std::string> extension;  // Lower case, without the dot.
  std::vector<std::string> method;
  std::vector<NamedMatch> header;         // All must match.
  std::vector<NamedMatch> cookie;         // All must match.
  std::vector<NamedMatch> query;          // All must match.
  std::vector<std::string> content_type;  // Media type "image/png" or range "image/*", lower case.
  std::vector<Cidr> source;
  std::vector<std::string> scheme;    // "http", "https".
  std::vector<std::string> sni;       // As host: the name that the client asked for by TLS.
  std::vector<std::string> listener;  // By name.
  std::vector<Match> none;            // `not = {…}`: at most one element.
  std::vector<Match> any;             // `any = [ {…}, … ]`.

  bool empty() const;  // True if it always matches.
};

// What an answer of our own may hold at most: it leaves from one block (proxy/block_pool.h),
// percent-encoding included.
inline constexpr size_t kRedirectToMax = 4 * 1024;
inline constexpr size_t kRespondBodyMax = 48 * 1024;
inline constexpr size_t kContentTypeMax = 256;

struct Redirect {
  std::string to;         // Location: an absolute URI or path. May hold variables.
  uint16_t status = 302;  // 301, 302, 303, 307 or 308.
  Place to_place;
};

struct Respond {
  uint16_t status = 200;
  std::string body;  // May hold variables.
  std::string content_type = "text/plain; charset=utf-8";
  Place body_place;
};

// A text with variables, "${client.ip}". rules/template.h has the syntax and compiles it.
struct TemplateText {
  std::string text;
  Place place;
};

struct NamedTemplate {
  std::string name;  // Of a field (as written) or a query parameter.
  TemplateText value;
};

// `{ set = {…}, add = {…}, remove = […] }`: set replaces all of that name, add appends one more.
struct FieldEdits {
  std::vector<NamedTemplate> set;
  std::vector<NamedTemplate> add;
  std::vector<std::string> remove;

  bool empty() const { return set.empty() && add.empty() && remove.empty(); }
};

// What the server is asked for in place of what the client asked for.
struct Rewrite {
  Place place;
  // The part of the path that `to` takes the place of: at most one; neither: the whole path.
  std::string prefix;
  std::string regex;  // RE2, the first match.
  Place regex_place;
  std::optional<TemplateText> to;
  std::optional<TemplateText> host;  // The Host field.
  FieldEdits query;

  bool empty() const { return !to && !host && query.empty(); }
};

// One pool's part in a rule's `split`.
struct SplitShare {
  uint32_t pool = kNone;  // Index into Config::pools.
  uint32_t weight = 0;    // 0..65535.
};

inline constexpr uint32_t kPriorityMax = 7;

struct Rule {
  Place place;
  std::string name;
  std::vector<uint32_t> listener;  // Indexes into Config::listeners; empty: all.
  Match match;
  std::optional<RateLimit> rate_limit;  // Of the requests that match.
  // Exactly one of these is the action.
  uint32_t pool = kNone;  // Index into Config::pools.
  std::vector<SplitShare> split;
  uint32_t priority = 0;  // Of waiting in the pool's queue; 0 goes first. At most kPriorityMax.
  std::optional<Redirect> redirect;
  std::optional<Respond> respond;

  LocalityKey split_key{.kind = LocalityKey::Kind::kSource, .name = {}};
  Rewrite rewrite;
  FieldEdits request_headers;   // Of the request to the server.
  uint32_t mirror = kNone;      // Index into Config::pools: gets copies of requests.
  double mirror_share = 1;      // Of the requests, above 0 and at most 1.
  FieldEdits response_headers;  // Of the server's answer, or of the redirect or respond.
  // Unset: the pool's; request_timeout: the listener's.
  std::optional<Duration> request_timeout;  // 0: none.
  std::optional<Duration> connect_timeout;
  std::optional<Duration> response_timeout;
  std::optional<Duration> server_timeout;
  std::optional<Duration> tunnel_timeout;
  std::optional<uint32_t> retries;

  bool local() const { return redirect || respond; }  // Answered without a server.
};

enum class PoolType : uint8_t { kDocument, kImage, kCgi, kDatabase, kCache };

// What the Host field of the request to the server is.
enum class HostHeader : uint8_t { kPass, kServer, kFixed };

struct Server {
  Place place;
  std::string name;
  SocketAddress address;          // Empty with `dns`.
  std::optional<DnsAddress> dns;  // Stands for the servers that the name leads to.
  std::string address_text;       // As configured.
  int32_t weight = 1;             // 0..65535; 0: gets no new requests (quiesced).
  uint32_t upper = 0;  // Requests in flight at which it counts as overloaded; 0: none (ipvsadm -x).
  uint32_t lower = 0;  // Below which it no longer does; 0: three quarters of upper (ipvsadm -y).
  ServerTls tls;       // Its own, or its pool's.
  uint32_t max_connections = 0;  // Requests in flight at a time; 0: no limit. Others wait (Queue).
  Duration slow_start{};         // Its weight grows for so long after it comes, or comes back.
  Breaker breaker;

  friend bool operator==(const Server&, const Server&) = default;
};

struct Pool {
  Place place;
  std::string name;
  PoolType type = PoolType::kDocument;
  std::string scheduler = "wlc";             // A name that sched's registry knows.
  std::vector<std::string> scheduler_flags;  // "sh-port", "sh-fallback", "mh-port", "mh-fallback".
  // Unset: the scheduler's own (source for sh and mh, path for the rest).
  std::optional<LocalityKey> key;
  HostHeader host_header = HostHeader::kPass;
  std::string host;        // For kFixed.
  uint8_t send_proxy = 0;  // Version of the PROXY header for its servers; 0: none.
  bool forwarded = true;   // Add X-Forwarded-For/-Proto/-Host, Forwarded and Via.
  Duration connect_timeout = 2s;
  Duration response_timeout = 60s;  // From the request sent to the first byte of the answer.
  Duration server_timeout =
      60s;  // Longest pause between two reads of an answer, or writes of a request.
  // Protocols that a connection may change to (RFC 9110 §7.8), lower case; bytes then go both ways
  // unread.
  std::vector<std::string> upgrade = {"websocket"};
  Duration tunnel_timeout = 1h;  // Longest time in which neither side of a tunnel sends.
  uint32_t retries = 2;  // Further servers or connections tried after a failure that allows it.
  uint32_t idle_connections = 64;  // Kept per server and worker; 0: a connection per request.
  Duration idle_timeout = 50s;     // An idle connection is closed after this long…
  Duration idle_age = 1h;          // …and not used again when it is older than this.
  Queue queue;
  RetryOn retry_on;
  RetryBudget retry_budget;
  Ejection ejection;
  Hedge hedge;
  Sticky sticky;
  std::vector<Server> servers;  // In the order of the file.

  // The server of this name, or by whose name ("dns:") this one has come (member_name()); or null.
  const Server* find_server(std::string_view wanted) const;
  bool has_names() const;  // Servers with addresses by name.
  friend bool operator==(const Pool&, const Pool&) = default;
};

// One `[[test]]`: a request and what the rules must make of it.
struct Test {
  Place place;
  std::string method;
  std::string url;  // Absolute.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string source = "192.0.2.1";  // Client address.
  std::optional<std::string> expect_rule;
  std::optional<std::string> expect_pool;
  std::optional<uint32_t> expect_status;       // Of a respond or redirect.
  std::optional<std::string> expect_target;    // Path and query that the server is asked for.
  std::optional<std::string> expect_host;      // The Host that it sees.
  std::optional<std::string> expect_location;  // Of a redirect.
  // By name in lower case: the value, several joined with ", ", or nothing: not there.
  std::vector<std::pair<std::string, std::optional<std::string>>> expect_headers;
  std::vector<std::pair<std::string, std::optional<std::string>>> expect_response_headers;
};

struct Config {
  Global global;
  Resolver resolver;
  std::vector<Listener> listeners;
  std::vector<Rule> rules;
  std::vector<Pool> pools;
  std::vector<Service> services;
  std::vector<Test> tests;
};

}  // namespace shunt::config
