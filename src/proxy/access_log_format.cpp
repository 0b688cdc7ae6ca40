// The two formats of an access log line, written by hand: a line costs a few hundred nanoseconds
// and allocates nothing once the buffer has grown. Pure: any thread. Every byte of a client is
// escaped; a line never ends early.
#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <chrono>

#include "core/json_escape.h"
#include "proxy/access_log.h"

namespace shunt::proxy {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void append_number(std::string& out, uint64_t value) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), end);
}

// `value` in exactly `width` digits, zeros in front.
void append_padded(std::string& out, uint32_t value, size_t width) {
  const size_t start = out.size();
  out.append(width, '0');
  for (size_t i = start + width; i > start && value > 0; value /= 10) {
    out[--i] = static_cast<char>('0' + value % 10);
  }
}

// A Unix time taken apart, in UTC.
struct CivilTime {
  uint32_t year, month, day, hour, minute, second, millisecond;
};

CivilTime civil_time(int64_t unix_ms) {
  using namespace std::chrono;
  const sys_time<milliseconds> time{milliseconds(unix_ms)};
  const sys_days midnight = floor<days>(time);
  const year_month_day date(midnight);
  const hh_mm_ss clock(time - midnight);
  return {static_cast<uint32_t>(static_cast<int>(date.year())),
          static_cast<unsigned>(date.month()),
          static_cast<unsigned>(date.day()),
          static_cast<uint32_t>(clock.hours().count()),
          static_cast<uint32_t>(clock.minutes().count()),
          static_cast<uint32_t>(clock.seconds().count()),
          static_cast<uint32_t>(clock.subseconds().count())};
}

void append_clock(std::string& out, const CivilTime& time) {
  append_padded(out, time.hour, 2);
  out += ':';
  append_padded(out, time.minute, 2);
  out += ':';
  append_padded(out, time.second, 2);
}

// RFC 3339: 2026-01-31T12:00:00.123Z
void append_rfc3339(std::string& out, int64_t unix_ms) {
  const CivilTime time = civil_time(unix_ms);
  append_padded(out, time.year, 4);
  out += '-';
  append_padded(out, time.month, 2);
  out += '-';
  append_padded(out, time.day, 2);
  out += 'T';
  append_clock(out, time);
  out += '.';
  append_padded(out, time.millisecond, 3);
  out += 'Z';
}

// As Apache writes it: [31/Jan/2026:12:00:00 +0000]
void append_apache_time(std::string& out, int64_t unix_ms) {
  const CivilTime time = civil_time(unix_ms);
  out += '[';
  append_padded(out, time.day, 2);
  out += '/';
  out += kMonths[time.month - 1];
  out += '/';
  append_padded(out, time.year, 4);
  out += ':';
  append_clock(out, time);
  out += " +0000]";
}

// The address without its port; false if there is none (a unix socket, or no client at all).
bool append_ip(std::string& out, const SocketAddress* client) {
  if (client == nullptr || !client->is_ip()) return false;
  std::array<char, INET6_ADDRSTRLEN> text;
  const IpAddress ip = client->ip();
  const bool v4 = ip.is_v4();
  // An IPv4 address is the last four bytes of its mapped form.
  const uint8_t* bytes = v4 ? ip.bytes.data() + 12 : ip.bytes.data();
  out += inet_ntop(v4 ? AF_INET : AF_INET6, bytes, text.data(), text.size());
  return true;
}

void append_json_text(std::string& out, std::string_view key, std::string_view value) {
  out += key;
  if (value.empty()) {
    out += "null";
    return;
  }
  out += '"';
  append_json_escaped(out, value);
  out += '"';
}

void append_json_number(std::string& out, std::string_view key, uint64_t value) {
  out += key;
  append_number(out, value);
}

void append_json_phase(std::string& out, std::string_view key, Duration phase) {
  out += key;
  if (phase.count() < 0) {
    out += "null";
    return;
  }
  append_number(out, static_cast<uint64_t>(to_us(phase)));
}

void append_json_client(std::string& out, const SocketAddress* client) {
  out += "\"client\":";
  const size_t start = out.size();
  out += '"';
  if (!append_ip(out, client)) {
    out.resize(start);
    out += "null,\"client_port\":null";
    return;
  }
  out += '"';
  append_json_number(out, ",\"client_port\":", client->port());
}

// Quotes, backslashes, control and non-ASCII bytes as \xHH: nothing of a client can end the field
// or the line.
void append_combined_text(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
      out += c;
      continue;
    }
    out += "\\x";
    out += kHex[byte >> 4];
    out += kHex[byte & 0xf];
  }
}

void append_combined_quoted(std::string& out, std::string_view text) {
  out += " \"";
  if (text.empty()) out += '-';
  append_combined_text(out, text);
  out += '"';
}

}  // namespace

void format_json(std::string& out, const AccessRecord& record) {
  out += "{\"time\":\"";
  append_rfc3339(out, record.wall_time_ms);
  out += "\",";
  append_json_client(out, record.client);
  append_json_text(out, ",\"request_id\":", record.request_id);
  append_json_text(out, ",\"listener\":", record.listener);
  append_json_text(out, ",\"method\":", record.method);
  append_json_text(out, ",\"scheme\":", record.scheme);
  append_json_text(out, ",\"sni\":", record.sni);
  append_json_text(out, ",\"host\":", record.host);
  append_json_text(out, ",\"target\":", record.target);
  append_json_text(out, ",\"version\":", record.version);
  append_json_number(out, ",\"status\":", record.status);
  append_json_text(out, ",\"reason\":", info(record.reason).name);
  append_json_text(out, ",\"detail\":", record.detail);
  append_json_text(out, ",\"rule\":", record.rule);
  append_json_text(out, ",\"pool\":", record.pool);
  append_json_text(out, ",\"server\":", record.server);
  append_json_text(out, ",\"scheduler\":", record.scheduler);
  append_json_text(out, ",\"sticky\":", record.sticky);
  append_json_number(out, ",\"attempts\":", record.attempts);
  out += record.reused ? ",\"reused\":true" : ",\"reused\":false";
  append_json_number(out, ",\"bytes_in\":", record.bytes_in);
  append_json_number(out, ",\"bytes_out\":", record.bytes_out);
  append_json_phase(out, ",\"queue_us\":", record.queue);
  append_json_phase(out, ",\"connect_us\":", record.connect);
  append_json_phase(out, ",\"first_byte_us\":", record.first_byte);
  append_json_phase(out, ",\"total_us\":", record.total);
  append_json_text(out, ",\"referer\":", record.referer);
  append_json_text(out, ",\"user_agent\":", record.user_agent);
  out += "}\n";
}

void format_combined(std::string& out, const AccessRecord& record) {
  if (!append_ip(out, record.client)) out += '-';
  out += " - - ";
  append_apache_time(out, record.wall_time_ms);
  out += " \"";
  if (record.target.empty()) out += '-';
  std::string_view separator;
  for (const std::string_view part : {record.method, record.target, record.version}) {
    if (part.empty()) continue;
    out += separator;
    append_combined_text(out, part);
    separator = " ";
  }
  out += "\" ";
  append_padded(out, record.status, 3);
  out += ' ';
  append_number(out, record.bytes_out);
  append_combined_quoted(out, record.referer);
  append_combined_quoted(out, record.user_agent);
  out += '\n';
}

}  // namespace shunt::proxy
