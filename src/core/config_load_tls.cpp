// Reads the `tls` tables of listeners, pools and servers. The files that they name are read when
// the snapshot is built (io/tls_files.h).
// Owned by one load, on the thread that loads.
#include <algorithm>
#include <filesystem>

#include "core/config_load_parts.h"
#include "core/config_text.h"

namespace shunt::config {
namespace {

namespace fs = std::filesystem;

constexpr Choice<TlsVersion> kVersions[] = {{"1.2", TlsVersion::kTls12},
                                            {"1.3", TlsVersion::kTls13}};
constexpr Choice<ClientCertificate> kClientCertificates[] = {
    {"off", ClientCertificate::kOff},
    {"optional", ClientCertificate::kOptional},
    {"required", ClientCertificate::kRequired}};

// What proxies state to servers begins so: clients cannot put it into a trailer section
// (proxy/hop_headers.h).
constexpr std::string_view kStatedPrefixes[] = {"x-client-", "x-forwarded-"};

void read_file_name(Loading& loading, TableReader& reader, std::string_view key, FileName& out) {
  const auto text = reader.text(key);
  if (!text) return;
  const fs::path file = loading.diagnostics.file_name(text->place.file);
  out.path = (file.parent_path() / text->value).lexically_normal().string();
  out.place = text->place;
}

void read_client_header(Loading& loading, TableReader& reader, std::string& out) {
  const auto text = reader.text("client_header");
  if (!text) return;
  const std::string name = lower_case(text->value);
  const bool stated = std::ranges::any_of(
      kStatedPrefixes, [&name](std::string_view prefix) { return name.starts_with(prefix); });
  if (!is_token(name)) {
    loading.diagnostics.error(text->place, fmt::format("\"{}\" is not a header name", text->value));
  } else if (!stated || name.find('_') != std::string::npos) {
    loading.diagnostics.error(
        text->place, "\"client_header\" must begin with \"X-Client-\" or \"X-Forwarded-\"",
        "names that Shunt keeps clients from forging, as in \"X-Client-Subject\"");
  } else {
    out = text->value;
  }
}

// Certificate, key and OCSP answer belong together; the rest is the listener's.
void read_certificate(Loading& loading, TableReader& reader, ListenerTls& tls) {
  TlsCertificate one;
  read_file_name(loading, reader, "certificate", one.certificate);
  read_file_name(loading, reader, "key", one.key);
  read_file_name(loading, reader, "ocsp", one.ocsp);
  if (!one.certificate && !reader.has("certificate"))
    loading.missing(reader.place(), "\"tls\" needs \"certificate\"",
                    "add certificate = \"site.pem\", key = \"site.key\"");
  // A file may hold both, as HAProxy has it.
  if (!one.key) one.key = one.certificate;
  tls.certificates.push_back(std::move(one));
}

void read_listener_wide(Loading& loading, TableReader& reader, ListenerTls& tls) {
  reader.choice("minimum_version", tls.minimum_version, kVersions);
  if (auto ciphers = reader.text("ciphers")) {
    tls.ciphers = std::move(ciphers->value);
    tls.ciphers_place = ciphers->place;
  }
  read_file_name(loading, reader, "client_ca", tls.client_ca);
  if (reader.has("client_ca")) tls.client_certificate = ClientCertificate::kRequired;
  reader.choice("client_certificate", tls.client_certificate, kClientCertificates);
  read_client_header(loading, reader, tls.client_header);
}

void check_client_keys(Loading& loading, const TableReader& reader, const ListenerTls& tls) {
  const bool asks = tls.client_certificate != ClientCertificate::kOff;
  if (asks && !tls.client_ca && !reader.has("client_ca"))
    loading.diagnostics.error(reader.place_of("client_certificate"),
                              "\"client_certificate\" needs \"client_ca\"",
                              "the authorities whose certificates clients may show, as a PEM file");
  if (!tls.client_header.empty() && !asks)
    loading.diagnostics.error(reader.place_of("client_header"),
                              "\"client_header\" needs \"client_ca\": without, no client shows a "
                              "certificate");
}

constexpr std::string_view kListenerWide[] = {"minimum_version", "ciphers", "client_ca",
                                              "client_certificate", "client_header"};

}  // namespace

void load_listener_tls(Loading& loading, TableReader& reader, ListenerTls& tls) {
  const toml::node* node = reader.take("tls");
  if (node == nullptr) return;
  const toml::array* array = node->as_array();
  if (!node->is_table() && (array == nullptr || array->empty())) {
    loading.error(*node, fmt::format("\"tls\" must be a table or an array of tables, not {}",
                                     array != nullptr ? "an empty array" : type_name(*node)));
    return;
  }
  const auto load_one = [&](const toml::node& element, bool first) {
    const toml::table* table = element.as_table();
    if (table == nullptr) {
      loading.error(element, fmt::format("\"tls\" must hold tables, not {}", type_name(element)));
      return;
    }
    TableReader one(loading, *table, kListenerTlsKeys, "tls of a listener");
    read_certificate(loading, one, tls);
    if (first) {
      read_listener_wide(loading, one, tls);
      check_client_keys(loading, one, tls);
      return;
    }
    for (const std::string_view key : kListenerWide) {
      if (one.take(key) == nullptr) continue;
      loading.diagnostics.error(
          one.place_of(key),
          fmt::format("\"{}\" belongs to the listener, not to a certificate", key),
          "give it in the first table of \"tls\"; for other settings use another listener");
    }
  };
  if (array == nullptr) return load_one(*node, true);
  for (size_t i = 0; i < array->size(); ++i) load_one((*array)[i], i == 0);
}

void load_server_tls(Loading& loading, TableReader& reader, ServerTls& tls) {
  const toml::table* table = reader.table("tls");
  if (table == nullptr) return;
  TableReader one(loading, *table, kServerTlsKeys, "tls to a server");
  tls = {};
  tls.enabled = true;
  tls.place = one.place();
  read_file_name(loading, one, "ca", tls.ca);
  one.boolean("verify", tls.verify);
  if (auto name = one.text("name")) {
    tls.name = lower_case(name->value);
    if (has_control(tls.name) || tls.name.find_first_of(" :/") != std::string::npos)
      loading.diagnostics.error(name->place, fmt::format("\"{}\" is not a host name", name->value));
  }
  read_file_name(loading, one, "certificate", tls.certificate);
  read_file_name(loading, one, "key", tls.key);
  if (tls.certificate && !tls.key) tls.key = tls.certificate;
  if (tls.key && !tls.certificate && !one.has("certificate"))
    loading.diagnostics.error(tls.key.place, "\"key\" needs \"certificate\"");
  if (!tls.verify && tls.ca)
    loading.diagnostics.error(one.place_of("verify"),
                              "\"verify\" = false makes \"ca\" useless: nothing is verified");
}

}  // namespace shunt::config
