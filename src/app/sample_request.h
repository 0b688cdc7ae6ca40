// A request written down by a person, in a [[test]] table or on the command line of `shunt
// explain`, as the rules see requests. Pure; main thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/config.h"
#include "core/result.h"
#include "rules/request_view.h"

namespace shunt::app {

using HeaderPair = std::pair<std::string, std::string>;

class SampleRequest {
 public:
  SampleRequest() = default;
  SampleRequest(const SampleRequest&) = delete;
  SampleRequest& operator=(const SampleRequest&) = delete;

  // `url`: absolute, "http://host[:port]/path?query" or https. A Host among `headers` wins over the
  // URL's, as with curl. `headers` must outlive this; `source` is an IP address. The error says
  // what was expected.
  Result<void> parse(std::string_view method, std::string_view url,
                     std::span<const HeaderPair> headers, std::string_view source);

  // Where it arrives: the listener's index, and its first address as the destination. To one with
  // protocol = "tcp" it is a connection: its rules see no more than the client, and the name of an
  // https URL, which a TLS client asks for.
  void arrive_at(const config::Config& config, uint32_t listener);

  // Good until the next parse().
  const rules::RequestView& view() const { return view_; }
  // Whether the rules see another path than the URL's, which had dot segments or needless escapes.
  bool path_rewritten() const { return !is_connection_ && view_.path != path_; }
  bool is_connection() const { return is_connection_; }
  uint16_t port() const { return port_; }  // That the URL names or implies.
  // As the client sends them.
  std::string_view authority() const { return authority_; }
  std::string_view raw_path() const { return path_; }
  bool has_query() const { return has_query_; }
  std::string raw_target() const { return has_query_ ? path_ + "?" + query_ : path_; }

 private:
  Result<void> parse_url(std::string_view url);
  Result<void> parse_authority(std::string_view authority);

  // What view_ looks at.
  std::string method_;
  std::string scheme_;
  std::string sni_;  // What a client of that URL asks for.
  std::string host_;
  std::string path_;
  std::string query_;
  bool has_query_ = false;
  std::string authority_;
  std::string path_scratch_;
  std::vector<rules::HeaderView> headers_;
  uint16_t port_ = 0;
  bool is_connection_ = false;
  rules::RequestView view_;
};

// The listener that such a request reaches: the first that binds `port`, else the first; 0 without
// listeners.
uint32_t listener_for(const config::Config& config, uint16_t port);

}  // namespace shunt::app
