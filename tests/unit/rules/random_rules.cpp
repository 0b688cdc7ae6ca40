// The vocabularies and dice of the random rules.
#include "unit/rules/random_rules.h"

namespace shunt::rules {
namespace {

constexpr const char* kHosts[] = {"a.com", "*.a.com", "b.a.com", "*.b.a.com",
                                  "b.org", "*.org",   "c"};
constexpr const char* kRequestHosts[] = {"a.com",    "A.com", "b.a.com", "x.b.a.com", "b.org",
                                         "x.b.org.", "c",     "",        "d.net"};
constexpr const char* kPaths[] = {"/", "/a", "/a/b", "/a/b.png", "/api/v1", "*", "/b.html"};
constexpr const char* kRequestPaths[] = {
    "/",   "/a", "/a/b",    "/a/b.png", "/a/b.PNG", "/api/v1", "/api/v1/x.html",
    "/ab", "*",  "/b.html", "/12",      "/a/12.js", "/x/aaaa", "/.png"};
constexpr const char* kPrefixes[] = {"/", "/a", "/a/", "/api/", "/api/v1", "", "/b"};
constexpr const char* kRegexes[] = {"\\.(png|js)$", "^/a/",    "[0-9]+", "b",     "^/[a-z]+$",
                                    "\\.html$",     "(?i)PNG", "a+a",    "^$|api"};
constexpr const char* kExtensions[] = {"png", "html", "js", ""};
constexpr const char* kMethods[] = {"GET", "HEAD", "POST"};
constexpr const char* kNames[] = {"x", "y", "accept"};
constexpr const char* kValues[] = {"", "1", "12", "a", "ab", "1 2"};
constexpr const char* kValueRegexes[] = {"^1", "[a-z]", "", "^$"};
constexpr const char* kTypes[] = {"image/png", "image/*", "text/html", "*/*"};
constexpr const char* kRequestTypes[] = {"image/png", "IMAGE/gif", "text/html; charset=x",
                                         "image/",    "text",      " ;"};
constexpr const char* kNetworks[] = {"10.0.0.0/8", "10.1.0.0/16", "10.1.0.1", "::/0",
                                     "2001:db8::/32"};
constexpr const char* kSources[] = {"10.0.0.1", "10.1.0.1", "192.0.2.1", "2001:db8::1"};
constexpr const char* kSchemes[] = {"http", "https"};
constexpr const char* kListeners[] = {"one", "two", "three"};

}  // namespace

std::vector<config::Listener> RandomRules::listeners() {
  std::vector<config::Listener> result(std::size(kListeners));
  for (size_t i = 0; i < result.size(); ++i) result[i].name = kListeners[i];
  return result;
}

template <size_t size>
std::vector<std::string> RandomRules::some(const char* const (&texts)[size]) {
  std::vector<std::string> result;
  for (uint32_t left = 1 + below(3); left > 0; --left) result.push_back(pick(texts));
  return result;
}

config::NamedMatch RandomRules::named(const std::string& name) {
  using Kind = config::ValueMatch::Kind;
  config::NamedMatch result{name, {static_cast<Kind>(below(4)), {}}};
  if (result.value.kind == Kind::kRegex)
    result.value.text = pick(kValueRegexes);
  else if (result.value.kind != Kind::kPresent)
    result.value.text = pick(kValues);
  return result;
}

config::Match RandomRules::match(int depth) {
  config::Match result;
  const uint32_t sparse = 4 + below(12);
  if (one_in(sparse)) result.host = some(kHosts);
  if (one_in(sparse)) result.path = some(kPaths);
  if (one_in(sparse)) result.path_prefix = some(kPrefixes);
  if (one_in(sparse)) result.path_regex = some(kRegexes);
  if (one_in(sparse)) result.extension = some(kExtensions);
  if (one_in(sparse)) result.method = some(kMethods);
  if (one_in(sparse)) result.content_type = some(kTypes);
  if (one_in(sparse)) result.scheme = some(kSchemes);
  if (one_in(sparse)) result.listener = some(kListeners);
  for (auto* fields : {&result.header, &result.cookie, &result.query}) {
    while (one_in(sparse)) fields->push_back(named(pick(kNames)));
  }
  while (one_in(sparse)) result.source.push_back(*Cidr::parse(pick(kNetworks)));
  if (depth < 2 && one_in(sparse)) result.none.push_back(match(depth + 1));
  if (depth < 2 && one_in(sparse)) {
    for (uint32_t left = 1 + below(3); left > 0; --left) result.any.push_back(match(depth + 1));
  }
  return result;
}

std::vector<config::Rule> RandomRules::rules(size_t count) {
  std::vector<config::Rule> result(count);
  for (size_t i = 0; i < count; ++i) {
    result[i].name = "rule" + std::to_string(i);
    result[i].place = {0, static_cast<uint32_t>(i + 1), 1};
    // A rule that always matches hides all behind it: rarely, and then anywhere.
    do result[i].match = match(0);
    while (result[i].match.empty() && !one_in(50));
    while (one_in(6)) result[i].listener.push_back(below(3));
  }
  return result;
}

void RandomRules::fill(OwnedRequest& request) {
  request.host = pick(kRequestHosts);
  request.path = pick(kRequestPaths);
  request.query.clear();
  request.fields.clear();
  request.headers.clear();
  while (!one_in(3)) {
    request.query += request.query.empty() ? "" : "&";
    request.query += pick(kNames) + (one_in(4) ? "" : "=" + pick(kValues));
    if (one_in(4)) request.query += "%31+";
  }
  while (!one_in(3)) request.fields.emplace_back(one_in(2) ? "X" : pick(kNames), pick(kValues));
  while (one_in(2))
    request.fields.emplace_back("Cookie", pick(kNames) + "=" + pick(kValues) + "; y=1");
  if (one_in(2)) request.fields.emplace_back("content-type", pick(kRequestTypes));
  for (const auto& [name, value] : request.fields) request.headers.push_back({name, value});

  request.view = {};
  request.view.method = kMethods[below(3)];
  request.view.scheme = kSchemes[below(2)];
  request.view.host = request.host;
  request.view.path = request.path;
  request.view.query = request.query;
  request.view.headers = request.headers;
  request.view.source = *IpAddress::parse(pick(kSources));
  request.view.listener = below(3);
}

}  // namespace shunt::rules
