// Which fields the proxy knows, which of them Connection may remove, and which a trailer section
// may not carry.
#include "proxy/hop_headers.h"

#include <boost/test/unit_test.hpp>
#include <memory>
#include <string_view>
#include <vector>

using namespace shunt::proxy;

BOOST_AUTO_TEST_SUITE(hop_headers)

BOOST_AUTO_TEST_CASE(names) {
  using enum KnownField;
  const struct {
    std::string_view name;
    KnownField field;
    bool disguised = false;
  } cases[] = {
      {"connection", kConnection},
      {"CONTENT-LENGTH", kContentLength},
      {"Expect", kExpect},
      {"Forwarded", kForwarded},
      {"hOsT", kHost},
      {"HTTP2-Settings", kHttp2Settings},
      {"Keep-Alive", kKeepAlive},
      {"Max-Forwards", kMaxForwards},
      {"Proxy", kProxy},
      {"Proxy-Authorization", kProxyAuthorization},
      {"Proxy-Connection", kProxyConnection},
      {"TE", kTe},
      {"Transfer-Encoding", kTransferEncoding},
      {"Upgrade", kUpgrade},
      {"X-Forwarded-For", kXForwardedFor},
      {"X-Forwarded-Host", kXForwardedHost},
      {"X-Forwarded-Proto", kXForwardedProto},
      {"Content_Length", kContentLength, true},
      {"transfer_encoding", kTransferEncoding, true},
      {"X_Forwarded-For", kXForwardedFor, true},
      {"Hosts", kOther},
      {"Hos", kOther},
      {"Vary", kOther},
      {"X", kOther},
      {"Content-Lengtx", kOther},
      {"Content.Length", kOther},
      {"Accept-Encoding", kOther},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.name) {
      const FieldName found = known_field(test.name);
      BOOST_TEST((found.field == test.field));
      BOOST_TEST(found.disguised == test.disguised);
    }
  }
}

BOOST_AUTO_TEST_CASE(connection_removes) {
  const auto head = std::make_unique<Head>();
  head->has_connection_names = true;
  for (const Field& field :
       {Field{"Connection", "X-One, close"}, Field{"A", "X-None"},
        Field{"connection", " x-two ,,Authorization,Cookie, X-Forwarded-For,Host"},
        Field{"Connection",
              "x-real-ip, via, x_real_ip, X-Forwarded-Port, True-Client-IP, Client-Cert"},
        Field{"Connection", "x-real-ips, x-forward"}}) {
    head->fields_storage[head->field_count++] = field;
  }
  BOOST_TEST(removed_by_connection(*head, "x-one"));
  BOOST_TEST(removed_by_connection(*head, "X-Two"));
  BOOST_TEST(removed_by_connection(*head, "X-Real-IPs"));
  BOOST_TEST(removed_by_connection(*head, "X-Forward"));
  for (const char* kept :
       {"X-None", "X", "X-On", "Authorization", "cookie", "X-Forwarded-For", "Host", "X-Real-IP",
        "x_real_ip", "Via", "X-Forwarded-Port", "True-Client-Ip", "client-cert"}) {
    BOOST_TEST_CONTEXT(kept) {
      BOOST_TEST(!removed_by_connection(*head, kept));
    }
  }
  head->has_connection_names = false;
  BOOST_TEST(!removed_by_connection(*head, "x-one"));
}

BOOST_AUTO_TEST_CASE(trailers) {
  for (const char* name : {"Content-Length",
                           "transfer-encoding",
                           "HOST",
                           "Connection",
                           "Authorization",
                           "Set-Cookie",
                           "Content-Type",
                           "Trailer",
                           "TE",
                           "X-Forwarded-For",
                           "Transfer_Encoding",
                           "X-Real-IP",
                           "X_Real_IP",
                           "X-Forwarded-Port",
                           "x_forwarded_client_cert",
                           "True-Client-IP",
                           "Client-Cert",
                           "X-Original-URL",
                           "X-HTTP-Method-Override",
                           "Via"}) {
    BOOST_TEST_CONTEXT(name) {
      BOOST_TEST(forbidden_in_trailers(name));
    }
  }
  for (const char* name : {"X-Checksum", "Server-Timing", "Digest", "ETag", "grpc-status", "X",
                           "Hosts", "X-Real-IPs", "X-Forward"}) {
    BOOST_TEST_CONTEXT(name) {
      BOOST_TEST(!forbidden_in_trailers(name));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
