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

// In TLS 1.2 no nonce may be used twice either: OpenSSL has used one for each record.
BOOST_AUTO_TEST_CASE(the_explicit_nonce_is_counted_too) {
  struct Row {
    uint16_t version;
    unsigned char last;  // Byte of the nonce, after two records from 0xfe on.
    unsigned char before_last;
  };
  for (const Row row : {Row{TLS_1_2_VERSION, 0, 1}, Row{TLS_1_3_VERSION, 0xfe, 0}}) {
    BOOST_TEST_CONTEXT("version " << row.version) {
      auto info = keys(5);
      info.info.version = row.version;
      info.iv[7] = 0xfe;
      TlsKernelKeys kept;
      kept.keep(&info);
      kept.count(record(10));
      kept.count(record(10));
      info.rec_seq[7] = 7;
      info.iv[7] = row.last;
      info.iv[6] = row.before_last;
      BOOST_TEST(equal(kept.value(), info));
    }
  }
  tls12_crypto_info_chacha20_poly1305 info{};
  info.info = {TLS_1_2_VERSION, TLS_CIPHER_CHACHA20_POLY1305};
  TlsKernelKeys kept;
  kept.keep(&info);
  kept.count(record(10));
  info.rec_seq[7] = 1;
  const std::span<const char> value = kept.value();
  BOOST_TEST((value.size() == sizeof info && std::memcmp(value.data(), &info, sizeof info) == 0));
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
