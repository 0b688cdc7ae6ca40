// A second reader for HTTP/1 messages, written from RFC 9110 and 9112 without any code of
// src/proxy: tests ask it what a strict server (or client) would make of what Shunt sends. Slow and
// simple on purpose.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shunt::test {

struct StrictMessage {
  std::string start_line;
  std::string method;  // Requests.
  std::string target;
  std::string version;
  int status = 0;                                           // Answers.
  std::vector<std::pair<std::string, std::string>> fields;  // Names in lower case.
  std::string body;
  size_t consumed = 0;
  bool until_close = false;

  std::vector<std::string> all(std::string_view name) const {
    std::vector<std::string> found;
    for (const auto& [key, value] : fields) {
      if (key == name) found.push_back(value);
    }
    return found;
  }
};

struct StrictReading {
  enum Outcome { kComplete, kIncomplete, kBroken } outcome = kIncomplete;
  std::string anomaly;  // Of kBroken.
  StrictMessage message;
};

class StrictReader {
 public:
  static StrictReading request(std::string_view input) {
    return StrictReader(input).read_request();
  }

  // `bodyless`: the answer to a HEAD request.
  static StrictReading response(std::string_view input, bool bodyless = false) {
    return StrictReader(input).read_response(bodyless);
  }

 private:
  explicit StrictReader(std::string_view input) : rest_(input), size_(input.size()) {}

  StrictReading read_request() {
    if (!read_line(out_.message.start_line)) return out_;
    const std::string& line = out_.message.start_line;
    const size_t first = line.find(' ');
    const size_t second = first == std::string::npos ? first : line.find(' ', first + 1);
    if (second == std::string::npos || line.find(' ', second + 1) != std::string::npos) {
      return broken("spaces in the request line");
    }
    StrictMessage& message = out_.message;
    message.method = line.substr(0, first);
    message.target = line.substr(first + 1, second - first - 1);
    message.version = line.substr(second + 1);
    if (!token(message.method)) return broken("method");
    if (message.version != "HTTP/1.1") return broken("version");
    const bool asterisk = message.target == "*" && message.method == "OPTIONS";
    if (!asterisk && (message.target.empty() || message.target[0] != '/'))
      return broken("target form");
    for (const char c : message.target) {
      if (c <= 0x20 || c == 0x7f || c == '#') return broken("target character");
    }
    if (!read_fields(message.fields)) return out_;
    const auto hosts = message.all("host");
    if (hosts.size() != 1) return broken("Host fields");
    if (hosts[0].find_first_of(" \t,/@#?\\\"<>") != std::string::npos) return broken("Host");
    if (!message.all("te").empty() || !message.all("upgrade").empty()) return broken("hop-by-hop");
    return read_body(true, false);
  }

  StrictReading read_response(bool bodyless) {
    if (!read_line(out_.message.start_line)) return out_;
    const std::string& line = out_.message.start_line;
    if (line.size() < 13 || line.compare(0, 9, "HTTP/1.1 ") != 0 || line[12] != ' ') {
      return broken("status line");
    }
    for (int i = 9; i < 12; ++i) {
      if (!digit(line[static_cast<size_t>(i)])) return broken("status");
    }
    out_.message.status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
    if (!read_fields(out_.message.fields)) return out_;
    const int status = out_.message.status;
    const bool framed = !out_.message.all("transfer-encoding").empty() ||
                        !out_.message.all("content-length").empty();
    if ((status < 200 || status == 204) && framed) return broken("framing of a bodyless answer");
    return read_body(false, bodyless || status < 200 || status == 204 || status == 304);
  }

  StrictReading read_body(bool request, bool none) {
    StrictMessage& message = out_.message;
    const auto codings = message.all("transfer-encoding");
    const auto lengths = message.all("content-length");
    if (codings.size() + lengths.size() > 1) return broken("framing stated twice");
    if (!codings.empty() && lower(codings[0]) != "chunked") return broken("transfer coding");
    uint64_t length = 0;
    if (!lengths.empty() && !number(lengths[0], 10, length)) return broken("Content-Length");
    if (none) return complete();
    if (!codings.empty()) return read_chunks();
    if (lengths.empty()) {
      message.until_close = !request;
      if (!request) message.body = std::exchange(rest_, {});
      return complete();
    }
    if (length > rest_.size()) return out_;
    message.body = take(length);
    return complete();
  }

  StrictReading read_chunks() {
    for (;;) {
      std::string line;
      if (!read_line(line)) return out_;
      uint64_t size = 0;
      if (!number(line, 16, size)) return broken("chunk size");
      if (size == 0) break;
      if (size > rest_.size() || rest_.size() - size < 2) return out_;
      out_.message.body += take(size);
      if (take(2) != "\r\n") return broken("chunk end");
    }
    std::vector<std::pair<std::string, std::string>> trailers;
    if (!read_fields(trailers)) return out_;
    for (const auto& [name, value] : trailers) {
      for (const char* forbidden :
           {"host", "content-length", "transfer-encoding", "connection", "te", "trailer"}) {
        if (name == forbidden) return broken("forbidden trailer");
      }
    }
    return complete();
  }

  // A line ends at the first CR or LF, and that must be CRLF. False: incomplete or broken.
  bool read_line(std::string& out) {
    const size_t end = rest_.find_first_of("\r\n");
    if (end == std::string_view::npos || end + 1 == rest_.size()) return false;
    if (rest_[end] != '\r' || rest_[end + 1] != '\n') {
      broken("line end");
      return false;
    }
    out = take(end);
    rest_.remove_prefix(2);
    return true;
  }

  bool read_fields(std::vector<std::pair<std::string, std::string>>& out) {
    for (;;) {
      std::string line;
      if (!read_line(line)) return false;
      if (line.empty()) return true;
      const size_t colon = line.find(':');
      if (colon == std::string::npos || !token(line.substr(0, colon))) {
        broken("field name");
        return false;
      }
      std::string value = line.substr(colon + 1);
      for (const char c : value) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte < 0x20 && c != '\t') || byte == 0x7f) {
          broken("field value");
          return false;
        }
      }
      const size_t first = value.find_first_not_of(" \t");
      const size_t last = value.find_last_not_of(" \t");
      value = first == std::string::npos ? "" : value.substr(first, last - first + 1);
      out.emplace_back(lower(line.substr(0, colon)), value);
    }
  }

  StrictReading broken(const char* anomaly) {
    out_.outcome = StrictReading::kBroken;
    out_.anomaly = anomaly;
    return out_;
  }

  StrictReading complete() {
    out_.outcome = StrictReading::kComplete;
    out_.message.consumed = size_ - rest_.size();
    return out_;
  }

  std::string take(size_t size) {
    std::string taken(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return taken;
  }

  static bool digit(char c) { return c >= '0' && c <= '9'; }

  static bool token(std::string_view text) {
    for (const char c : text) {
      const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      if (!letter && !digit(c) &&
          (c == 0 || std::string_view("!#$%&'*+-.^_`|~").find(c) == std::string_view::npos)) {
        return false;
      }
    }
    return !text.empty();
  }

  static std::string lower(std::string text) {
    for (char& c : text) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    }
    return text;
  }

  static bool number(const std::string& text, int base, uint64_t& out) {
    const std::string_view digits = base == 10 ? "0123456789" : "0123456789abcdefABCDEF";
    if (text.empty() || text.size() > 19 || text.find_first_not_of(digits) != std::string::npos)
      return false;
    out = std::strtoull(text.c_str(), nullptr, base);
    return out <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  }

  std::string_view rest_;
  size_t size_;
  StrictReading out_;
};

}  // namespace shunt::test
