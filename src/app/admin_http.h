// The HTTP of the admin endpoint: which requests it takes, and how answers are put on the wire. One
// request a connection, answers of known length or in chunks. Pure.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/message.h"

namespace shunt::app {

struct AdminRequest {
  std::string path;
  std::map<std::string, std::string, std::less<>> query;  // Decoded.
};

// A body that is made while it is sent.
class AdminStream {
 public:
  virtual ~AdminStream() = default;
  enum class Step : uint8_t {
    kMore,  // There is more, whether something was appended or not.
    kIdle,  // No more at the moment.
    kEnd,
  };
  // Appends what there is, some MiB at most. The admin thread.
  virtual Step produce(std::string& out) = 0;
  // Fields that follow the last chunk, each with its line end.
  virtual std::string trailer() const { return {}; }
};

struct AdminReply {
  uint16_t status = 200;
  std::string_view content_type = "application/json";
  std::string body;
  std::unique_ptr<AdminStream> stream;  // Instead of `body`.

  // {"error": text}.
  static AdminReply error(uint16_t status, std::string_view text);
};

// Requests that a web page makes a browser send are refused, and so is, where the endpoint listens
// on a loopback address (`loopback`), what is asked in the name of another host: DNS rebinding.
std::expected<AdminRequest, AdminReply> read_request(const proxy::RequestHead& head, bool loopback);

// The head of the answer. `chunked`: the body follows in chunks, otherwise until the connection
// ends or, without a stream, in its length.
std::string head_of(const AdminReply& reply, bool chunked);
// Frames `bytes`; nothing for none.
void append_chunk(std::string& out, std::string_view bytes);
std::string last_chunk(std::string_view trailer);

// "a b" as "a%20b": what may stand in a query's value.
std::string encode_query(std::string_view text);
// Nothing: a "%" that begins no escape.
std::expected<std::string, AdminReply> decode_query(std::string_view text);

}  // namespace shunt::app
