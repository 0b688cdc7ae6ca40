// What the kernel is told when it takes a connection over: the keys as they came, and the number of
// the next record, however OpenSSL's output was cut.
#include "io/tls_kernel.h"

#include <linux/tls.h>

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <string>

namespace shunt::io {
namespace {

tls12_crypto_info_aes_gcm_256 keys(uint64_t number) {
  tls12_crypto_info_aes_gcm_256 info{};
  info.info = {TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_256};
  std::memset(info.key, 'k', sizeof info.key);
  for (size_t i = 8; i > 0; --i, number >>= 8)
    info.rec_seq[i - 1] = static_cast<unsigned char>(number);
  return info;
}

std::string record(size_t size) {
  const char header[] = {23, 3, 3, static_cast<char>(size >> 8), static_cast<char>(size)};
  return std::string(header, sizeof header) + std::string(size, 'x');
}

bool equal(std::span<const char> value, const tls12_crypto_info_aes_gcm_256& expected) {
  return value.size() == sizeof expected &&
         std::memcmp(value.data(), &expected, sizeof expected) == 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tls_kernel)

BOOST_AUTO_TEST_CASE(counts_records_in_any_pieces) {
  const std::string bytes = record(300) + record(0) + record(1) + record(16'401) + record(5);
  for (const size_t piece :
       {size_t{1}, size_t{2}, size_t{3}, size_t{7}, size_t{4096}, bytes.size()}) {
    BOOST_TEST_CONTEXT("pieces of " << piece) {
      TlsKernelKeys kept;
      const auto first = keys(1);
      kept.keep(&first);
      for (size_t at = 0; at < bytes.size(); at += piece)
        kept.count(std::span(bytes).subspan(at, std::min(piece, bytes.size() - at)));
      BOOST_TEST(equal(kept.value(), keys(6)));
    }
  }
}

BOOST_AUTO_TEST_CASE(the_number_carries) {
  TlsKernelKeys kept;
  const auto first = keys(0x1'FFFF);
  kept.keep(&first);
  kept.count(record(10));
  BOOST_TEST(equal(kept.value(), keys(0x2'0000)));
}

BOOST_AUTO_TEST_CASE(no_value_within_a_record_or_without_keys) {
  TlsKernelKeys kept;
  BOOST_TEST(!kept.known());
  BOOST_TEST(kept.value().empty());
  kept.count(record(3));
  BOOST_TEST(kept.value().empty());

  const auto first = keys(0);
  kept.keep(&first);
  const std::string bytes = record(100);
  for (const size_t cut : {size_t{1}, size_t{5}, size_t{6}, bytes.size() - 1}) {
    kept.count(std::span(bytes).first(cut));
    BOOST_TEST(kept.value().empty());
    kept.count(std::span(bytes).subspan(cut));
    BOOST_TEST(kept.value().size() == sizeof first);
  }
  kept.forget();
  BOOST_TEST(kept.value().empty());

  const tls_crypto_info unknown{TLS_1_3_VERSION, 999};
  kept.keep(&unknown);
  BOOST_TEST(!kept.known());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::io
