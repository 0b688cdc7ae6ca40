// Reads and checks what a `tls` table names. Every problem is one of the configuration: it has a
// place, and says the way out.
#include "io/tls_files.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>

#include "core/hash.h"
#include "io/tls_context.h"
#include "io/tls_objects.h"

namespace shunt::io {
namespace {

constexpr int64_t kDay = 24 * 3600;
constexpr int64_t kWarnDays = 14;
constexpr size_t kFileMax = 4 * 1024 * 1024;

// Checks the files of one `tls` table.
class Reader {
 public:
  Reader(int64_t now, Diagnostics& diagnostics) : now_(now), diagnostics_(diagnostics) {}

  std::optional<std::string> read(const config::FileName& file);
  std::optional<TlsIdentity> identity(const config::FileName& certificate,
                                      const config::FileName& key, TlsNames::Certificate* names);
  std::optional<std::string> authorities(const config::FileName& file);
  void staple(const config::FileName& file, TlsIdentity& identity);

 private:
  std::optional<std::vector<X509Handle>> certificates(const config::FileName& file,
                                                      const std::string& pem);
  std::optional<KeyHandle> private_key(const config::FileName& file, const std::string& pem);
  void check_dates(const config::FileName& file, const X509* certificate);
  void check_chain(const config::FileName& file, const std::vector<X509Handle>& chain);
  void error(const config::FileName& file, std::string_view what, std::string hint = {}) {
    diagnostics_.error(file.place, fmt::format("\"{}\": {}", file.path, what), std::move(hint));
  }
  void warning(const config::FileName& file, std::string_view what, std::string hint = {}) {
    diagnostics_.warning(file.place, fmt::format("\"{}\": {}", file.path, what), std::move(hint));
  }

  const int64_t now_;
  Diagnostics& diagnostics_;
};

std::optional<std::string> Reader::read(const config::FileName& file) {
  errno = 0;
  std::ifstream stream(file.path, std::ios::binary);
  std::string text;
  if (stream) text.assign(std::istreambuf_iterator<char>(stream), {});
  if (!stream && !stream.eof()) {
    const int reason = errno != 0 ? errno : EIO;
    error(
        file, fmt::format("cannot be read: {}", std::strerror(reason)),
        reason == EACCES ? "a reload reads it as global.user: that user needs the right too" : "");
    return std::nullopt;
  }
  if (text.size() > kFileMax) {
    error(file, "is larger than 4 MiB: not a certificate");
    return std::nullopt;
  }
  return text;
}

std::optional<std::vector<X509Handle>> Reader::certificates(const config::FileName& file,
                                                            const std::string& pem) {
  auto parsed = parse_certificates(pem, nullptr);
  if (!parsed) {
    error(file, fmt::format("has a certificate that is damaged: {}", parsed.error().text));
    return std::nullopt;
  }
  if (!parsed->empty()) return std::move(*parsed);
  const bool has_key = pem.find("PRIVATE KEY-----") != std::string::npos;
  error(file, "holds no certificate",
        has_key ? "it holds a private key: are \"certificate\" and \"key\" swapped?"
                : "PEM is wanted: -----BEGIN CERTIFICATE-----; of DER it is made by: openssl x509 "
                  "-inform der -in FILE -out site.pem");
  return std::nullopt;
}

std::optional<KeyHandle> Reader::private_key(const config::FileName& file, const std::string& pem) {
  auto key = parse_key(pem, nullptr);
  if (key) return std::move(*key);
  if (pem.find("ENCRYPTED") != std::string::npos) {
    error(file, "the private key is protected by a passphrase",
          "take it off: openssl pkey -in site.key -out plain.key, and keep that file safe");
  } else if (pem.find("PRIVATE KEY-----") == std::string::npos) {
    error(file, "holds no private key", "PEM is wanted: -----BEGIN PRIVATE KEY-----");
  } else {
    error(file, fmt::format("has a private key that is damaged: {}", key.error().text));
  }
  return std::nullopt;
}

int64_t seconds_of(const ASN1_TIME* time) {
  tm parts{};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? static_cast<int64_t>(::timegm(&parts)) : 0;
}

void Reader::check_dates(const config::FileName& file, const X509* certificate) {
  const int64_t begin = seconds_of(X509_get0_notBefore(certificate));
  const int64_t end = seconds_of(X509_get0_notAfter(certificate));
  if (end <= now_)
    return warning(file, fmt::format("the certificate expired {} days ago", (now_ - end) / kDay),
                   "clients will refuse it: renew it, then reload");
  if (begin > now_) return warning(file, "the certificate is not valid yet");
  if (end - now_ < kWarnDays * kDay)
    warning(file, fmt::format("the certificate expires in {} days", (end - now_) / kDay));
}

void Reader::check_chain(const config::FileName& file, const std::vector<X509Handle>& chain) {
  for (size_t i = 1; i < chain.size(); ++i) {
    if (X509_check_issued(chain[i].get(), chain[i - 1].get()) == X509_V_OK) continue;
    return warning(file, fmt::format("certificate {} has not signed the one before it", i + 1),
                   "the order is: the server's own, who signed it, who signed that");
  }
}

TlsKeyKind kind_of(const EVP_PKEY* key) {
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
      return TlsKeyKind::kRsa;
    case EVP_PKEY_EC:
      return TlsKeyKind::kEcdsa;
    default:
      return TlsKeyKind::kOther;
  }
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

// The host names of a certificate: its alternative names; only without any, its common name, which
// clients no longer look at (RFC 9525 §2).
std::vector<std::string> names_of(const X509* certificate) {
  std::vector<std::string> out;
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS) continue;
    const auto* data = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
    out.push_back(lower({data, static_cast<size_t>(ASN1_STRING_length(name->d.dNSName))}));
  }
  const bool has_names = names != nullptr;
  GENERAL_NAMES_free(names);
  if (has_names) return out;
  char common[256];
  const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                             common, sizeof common);
  if (size > 0) out.push_back(lower({common, static_cast<size_t>(size)}));
  return out;
}

std::optional<TlsIdentity> Reader::identity(const config::FileName& certificate,
                                            const config::FileName& key,
                                            TlsNames::Certificate* names) {
  auto certificate_text = read(certificate);
  auto key_text = key.path == certificate.path ? certificate_text : read(key);
  if (!certificate_text || !key_text) return std::nullopt;
  const auto chain = certificates(certificate, *certificate_text);
  const auto parsed_key = private_key(key, *key_text);
  if (!chain || !parsed_key) return std::nullopt;
  const X509* leaf = chain->front().get();
  if (X509_check_private_key(leaf, parsed_key->get()) != 1) {
    error(
        key,
        fmt::format("the private key does not belong to the certificate \"{}\"", certificate.path),
        "compare: openssl x509 -pubkey -noout -in CERTIFICATE; openssl pkey -pubout -in KEY");
    return std::nullopt;
  }
  check_dates(certificate, leaf);
  check_chain(certificate, *chain);
  if (names != nullptr) *names = {names_of(leaf), kind_of(parsed_key->get())};
  return TlsIdentity{.certificate = std::move(*certificate_text), .key = std::move(*key_text)};
}

std::optional<std::string> Reader::authorities(const config::FileName& file) {
  auto text = read(file);
  if (!text || !certificates(file, *text)) return std::nullopt;
  return text;
}

void Reader::staple(const config::FileName& file, TlsIdentity& identity) {
  const auto text = read(file);
  if (!text) return;
  const auto* data = reinterpret_cast<const unsigned char*>(text->data());
  const OcspHandle response(d2i_OCSP_RESPONSE(nullptr, &data, static_cast<long>(text->size())));
  if (response == nullptr ||
      OCSP_response_status(response.get()) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
    return error(file, "is no OCSP answer that says anything",
                 "get one in DER: openssl ocsp -issuer CA -cert SITE -url URL -respout FILE");
  const std::unique_ptr<OCSP_BASICRESP, FreeWith<OCSP_BASICRESP_free>> basic(
      OCSP_response_get1_basic(response.get()));
  OCSP_SINGLERESP* single = basic ? OCSP_resp_get0(basic.get(), 0) : nullptr;
  if (single == nullptr) return error(file, "the OCSP answer is about no certificate");
  const auto chain = parse_certificates(identity.certificate, nullptr);
  ASN1_INTEGER* serial = nullptr;
  OCSP_id_get0_info(nullptr, nullptr, nullptr, &serial,
                    const_cast<OCSP_CERTID*>(OCSP_SINGLERESP_get0_id(single)));
  if (ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(chain->front().get())) != 0)
    return error(file, "the OCSP answer is about another certificate");
  ASN1_GENERALIZEDTIME* next = nullptr;
  OCSP_single_get0_status(single, nullptr, nullptr, nullptr, &next);
  identity.ocsp_until = next != nullptr ? seconds_of(next) : now_ + 7 * kDay;
  if (identity.ocsp_until <= now_)
    return warning(file, "the OCSP answer is out of date and is not sent",
                   "fetch a new one, then reload");
  identity.ocsp = *text;
}

// SHA-256 over parts of which none can run into the next.
class Digest {
 public:
  Digest() { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }
  void add(std::string_view part) {
    const uint64_t size = part.size();
    EVP_DigestUpdate(context_.get(), &size, sizeof size);
    EVP_DigestUpdate(context_.get(), part.data(), part.size());
  }
  void add(const TlsIdentity& identity) {
    add(identity.certificate);
    add(identity.key);
    add(identity.ocsp);
  }
  std::string finish() {
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_DigestFinal_ex(context_.get(), out, &size);
    return {reinterpret_cast<const char*>(out), size};
  }

 private:
  std::unique_ptr<EVP_MD_CTX, FreeWith<EVP_MD_CTX_free>> context_{EVP_MD_CTX_new()};
};

// Never 0, which stands for a plain connection.
uint64_t hash_of(std::string_view text) {
  return std::max<uint64_t>(siphash_1_3(text, 0, 0), 1);
}

}  // namespace

std::unique_ptr<const TlsServerFiles> load_tls(const config::ListenerTls& settings, int64_t now,
                                               Diagnostics& diagnostics) {
  const size_t errors = diagnostics.error_count();
  Reader reader(now, diagnostics);
  auto files = std::make_unique<TlsServerFiles>();
  files->settings = settings;
  for (const config::TlsCertificate& one : settings.certificates) {
    TlsNames::Certificate names;
    auto identity = reader.identity(one.certificate, one.key, &names);
    if (!identity) continue;
    if (one.ocsp) reader.staple(one.ocsp, *identity);
    files->identities.push_back(std::move(*identity));
    files->names.push_back(std::move(names));
  }
  if (settings.client_ca)
    files->client_ca = reader.authorities(settings.client_ca).value_or(std::string());
  if (diagnostics.error_count() > errors) return nullptr;

  Digest digest;
  for (const TlsIdentity& identity : files->identities) digest.add(identity);
  digest.add(fmt::format("{} {}", static_cast<int>(settings.minimum_version),
                         static_cast<int>(settings.client_certificate)));
  digest.add(settings.ciphers);
  digest.add(files->client_ca);
  files->digest = digest.finish();

  for (const uint32_t unused : TlsNames(files->names).unused())
    diagnostics.warning(settings.certificates[unused].certificate.place,
                        fmt::format("\"{}\" is never shown: certificates before it answer for all "
                                    "of its names",
                                    settings.certificates[unused].certificate.path));
  TlsTicketKeys tickets(now);
  const auto context = TlsServerContext::create(*files, tickets, nullptr);
  if (context) return files;
  const bool ciphers = context.error().text.starts_with("\"ciphers\"");
  diagnostics.error(ciphers ? settings.ciphers_place : settings.certificates[0].certificate.place,
                    fmt::format("OpenSSL refuses this TLS configuration: {}", context.error().text),
                    ciphers ? "`openssl ciphers -v` lists the names"
                            : "keys of RSA need at least 2048 bits, signatures at least SHA-256");
  return nullptr;
}

std::unique_ptr<const TlsClientFiles> load_tls(const config::ServerTls& settings, int64_t now,
                                               Diagnostics& diagnostics) {
  const size_t errors = diagnostics.error_count();
  Reader reader(now, diagnostics);
  auto files = std::make_unique<TlsClientFiles>();
  files->settings = settings;
  if (settings.ca) files->ca = reader.authorities(settings.ca).value_or(std::string());
  if (settings.certificate) {
    auto identity = reader.identity(settings.certificate, settings.key, nullptr);
    if (identity) files->identity = std::move(*identity);
  }
  if (diagnostics.error_count() > errors) return nullptr;
  Digest digest;
  digest.add(files->identity);
  digest.add(files->ca);
  digest.add(settings.verify ? "verify" : "");
  files->digest = digest.finish();
  files->key = hash_of(files->digest + settings.name);
  const auto context = TlsClientContext::create(*files, nullptr);
  if (context) return files;
  diagnostics.error(settings.place, fmt::format("OpenSSL refuses this TLS configuration: {}",
                                                context.error().text));
  return nullptr;
}

}  // namespace shunt::io
