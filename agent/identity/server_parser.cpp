#include "agent/identity/server_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "agent/identity/duration.h"
#include "agent/pki/fingerprint.h"

namespace devid::identity {
namespace {

using std::chrono::days;
using std::chrono::hours;

constexpr DurationRange connect_timeout_range{Seconds(1), std::chrono::minutes(10)};
constexpr DurationRange timeout_range{Seconds(1), hours(1)};
constexpr DurationRange deadline_range{Seconds(1), hours(2)};
constexpr DurationRange cacerts_interval_range{std::chrono::minutes(10), days(366)};
constexpr std::size_t most_endpoints = 8;
constexpr std::string_view system_anchors = "system";

/// What another parser says, without its "cannot …": the place says enough.
std::string text_of(const Error& error) {
  return error.reason.empty() ? error.what : fmt::format("{} ({})", error.what, error.reason);
}

/// One word of a few. The default if it is not there.
template <class Value, std::size_t Count>
Value parse_word(TableParser& table, std::string_view key, std::string_view name,
                 const std::array<std::pair<std::string_view, Value>, Count>& words, Value otherwise) {
  const auto text = table.string(key);
  if (!text) return otherwise;
  for (const auto& [word, value] : words)
    if (word == *text) return value;
  std::string known;
  for (const auto& [word, value] : words) known += fmt::format("{}\"{}\"", known.empty() ? "" : ", ", word);
  table.complain(key, fmt::format("{} cannot be '{}'", name, *text), "write one of " + known);
  return otherwise;
}

void add_endpoint(TableParser& table, std::string_view key, const std::string& url, std::vector<est::Endpoint>& all) {
  auto endpoint = est::Endpoint::parse(url);
  if (!endpoint) {
    table.complain(key, fmt::format("server.{}: {}", key, text_of(endpoint.error())), endpoint.error().hint);
  } else if (std::ranges::find(all, *endpoint) != all.end()) {
    table.complain(key, fmt::format("server.{} names {} twice", key, endpoint->base), "leave one of them out");
  } else {
    all.push_back(std::move(*endpoint));
  }
}

std::vector<est::Endpoint> parse_endpoints(TableParser& table) {
  std::vector<est::Endpoint> endpoints;
  if (table.has("url") && table.has("urls")) {
    table.complain("urls", "server.url and server.urls are both there",
                   "write url for one server, or urls for several that are tried in order");
  }
  if (const auto url = table.string("url")) add_endpoint(table, "url", *url, endpoints);
  const auto urls = table.strings("urls");
  for (const auto& [url, where] : urls) add_endpoint(table, "urls", url, endpoints);
  if (urls.size() > most_endpoints)
    table.complain("urls", fmt::format("server.urls has more than {} addresses", most_endpoints));
  if (!table.has("url") && !table.has("urls"))
    table.complain_missing("url", "give the address of the EST server: url = \"https://est.example.net\"");
  if (table.has("urls") && urls.empty()) table.complain("urls", "server.urls names no server");
  return endpoints;
}

ServerTrust parse_trust(TableParser& table) {
  const auto fingerprint = table.string("trust_fingerprint");
  ServerTrust trust;
  if (table.string("trust_anchors") == system_anchors) {
    trust = SystemAnchors{};
  } else if (const auto path = table.absolute_path("trust_anchors")) {
    trust = AnchorFiles{*path};
  }
  if (!fingerprint) return trust;
  const auto parsed = pki::parse_fingerprint(*fingerprint);
  if (table.has("trust_anchors")) {
    table.complain("trust_fingerprint", "server.trust_fingerprint is without use beside server.trust_anchors",
                   "leave one of them out");
  } else if (!parsed) {
    table.complain("trust_fingerprint", "server.trust_fingerprint is no SHA-256",
                   "write the 64 hexadecimal digits that openssl x509 -fingerprint -sha256 shows");
  } else {
    trust = FirstContact{*parsed};
  }
  return trust;
}

/// `user` and `password`, both or none.
std::optional<Login> parse_login(TableParser& table, std::string_view name) {
  const auto user = table.string("user");
  const auto password = table.secret_source("password");
  if (table.has("user") != table.has("password")) {
    const std::string_view missing = table.has("user") ? "password" : "user";
    table.complain(table.has("user") ? "user" : "password", fmt::format("{}.{} is missing", name, missing),
                   "user and password belong together; password = \"credential:NAME\" says where it is");
  }
  if (user && user->find(':') != std::string::npos) {
    table.complain("user", fmt::format("{}.user has a colon in it", name),
                   "HTTP cannot tell where such a name ends (RFC 7617 2)");
  }
  if (!user || !password) return std::nullopt;
  return Login{.user = *user, .password = *password};
}

Authentication parse_authentication(TableParser table) {
  using Scheme = est::PasswordLogin::Scheme;
  constexpr std::array<std::pair<std::string_view, Scheme>, 3> schemes{
      {{"any", Scheme::any}, {"basic", Scheme::basic}, {"digest", Scheme::digest}}};
  Authentication authentication;
  authentication.login = parse_login(table, "server.authentication");
  authentication.scheme = parse_word(table, "scheme", "server.authentication.scheme", schemes, Scheme::any);
  authentication.bearer = table.secret_source("bearer");
  authentication.with_idevid = table.boolean("idevid").value_or(true);
  if (authentication.bearer && (table.has("user") || table.has("password"))) {
    table.complain("bearer", "server.authentication has a bearer token and a user",
                   "a request carries one of them: leave the other out");
  }
  if (table.has("scheme") && !table.has("user"))
    table.complain("scheme", "server.authentication.scheme is without a user", "name a user, or leave it out");
  if (!authentication.with_idevid && !table.has("user") && !table.has("bearer")) {
    table.complain("idevid", "server.authentication leaves the device without any authentication",
                   "give it a user and a password, or a bearer token, or let it show its IDevID");
  }
  table.refuse_unknown();
  return authentication;
}

std::optional<ProxySettings> parse_proxy(TableParser table) {
  if (!table.exists()) return std::nullopt;
  ProxySettings proxy;
  if (const auto url = table.string("url")) {
    if (const auto checked = est::check(est::Proxy{.url = *url}); !checked)
      table.complain("url", fmt::format("server.proxy.url: {}", text_of(checked.error())), checked.error().hint);
    proxy.url = *url;
  } else if (!table.has("url")) {
    table.complain_missing("url", "write http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT");
  }
  proxy.login = parse_login(table, "server.proxy");
  for (auto& [exception, where] : table.strings("exceptions")) {
    if (const auto checked = est::check_exception(exception); !checked)
      table.complain("exceptions", fmt::format("server.proxy.exceptions: {}", checked.error().what),
                     checked.error().hint);
    proxy.exceptions.push_back(std::move(exception));
  }
  proxy.trust_anchors = table.absolute_path("trust_anchors").value_or("");
  if (proxy.url.starts_with("https://") && !table.has("trust_anchors"))
    table.complain_missing("trust_anchors", "give the absolute path of a PEM file with the CA of the proxy");
  table.refuse_unknown();
  return proxy;
}

est::TlsOptions parse_tls(TableParser table) {
  using Version = est::TlsOptions::Version;
  constexpr std::array<std::pair<std::string_view, Version>, 2> versions{
      {{"1.2", Version::tls_1_2}, {"1.3", Version::tls_1_3}}};
  est::TlsOptions tls;
  tls.minimum = parse_word(table, "minimum", "server.tls.minimum", versions, tls.minimum);
  tls.cipher_list = table.string("ciphers").value_or("");
  tls.cipher_suites = table.string("cipher_suites").value_or("");
  tls.groups = table.string("groups").value_or("");
  tls.fips = table.boolean("fips").value_or(false);
  table.refuse_unknown();
  if (!table.exists()) return tls;
  if (const auto checked = est::check(tls); !checked) {
    const std::string_view key = tls.cipher_list.empty() && tls.cipher_suites.empty() && tls.groups.empty() ? "fips"
                                 : !tls.cipher_list.empty()                                                 ? "ciphers"
                                 : !tls.cipher_suites.empty() ? "cipher_suites"
                                                              : "groups";
    table.complain(key, fmt::format("server.tls: {}", text_of(checked.error())), checked.error().hint);
  }
  return tls;
}

void parse_times(TableParser& table, Server& server) {
  server.connect_timeout = table.duration("connect_timeout", connect_timeout_range).value_or(server.connect_timeout);
  server.timeout = table.duration("timeout", timeout_range).value_or(server.timeout);
  server.deadline = table.duration("deadline", deadline_range).value_or(std::max(server.deadline, 2 * server.timeout));
  server.cacerts_interval =
      table.duration("cacerts_interval", cacerts_interval_range).value_or(server.cacerts_interval);
  if (server.connect_timeout > server.timeout) {
    // The one that was written is to blame: the other may be a default.
    table.complain(table.has("timeout") ? "timeout" : "connect_timeout",
                   fmt::format("server.timeout ({}) must not be shorter than server.connect_timeout ({})",
                               duration_text(server.timeout), duration_text(server.connect_timeout)),
                   "the time for a request has that for the connection in it: lengthen one or shorten the other");
  }
  if (server.timeout > server.deadline) {
    table.complain(table.has("deadline") ? "deadline" : "timeout",
                   fmt::format("server.deadline ({}) must not be shorter than server.timeout ({})",
                               duration_text(server.deadline), duration_text(server.timeout)),
                   "the deadline is for all requests of a job, at all servers: lengthen one or shorten the other");
  }
}

}  // namespace

pki::RevocationPolicy parse_revocation(TableParser& table, std::string_view name, pki::RevocationPolicy otherwise) {
  using Policy = pki::RevocationPolicy;
  constexpr std::array<std::pair<std::string_view, Policy>, 3> policies{
      {{"off", Policy::off}, {"soft", Policy::soft}, {"hard", Policy::hard}}};
  return parse_word(table, "revocation", fmt::format("{}.revocation", name), policies, otherwise);
}

Server parse_server(TableParser table) {
  constexpr std::array<std::pair<std::string_view, ChannelBinding>, 4> bindings{
      {{"auto", ChannelBinding::automatic},
       {"tls-unique", ChannelBinding::tls_unique},
       {"tls-exporter", ChannelBinding::tls_exporter},
       {"off", ChannelBinding::off}}};
  constexpr std::array<std::pair<std::string_view, RenewalOperation>, 2> operations{
      {{"simple", RenewalOperation::simple}, {"full-cmc", RenewalOperation::full_cmc}}};
  Server server;
  server.endpoints = parse_endpoints(table);
  server.trust = parse_trust(table);
  server.authentication = parse_authentication(table.table("authentication"));
  server.proxy = parse_proxy(table.table("proxy"));
  server.tls = parse_tls(table.table("tls"));
  server.revocation = parse_revocation(table, "server", server.revocation);
  server.channel_binding =
      parse_word(table, "channel_binding", "server.channel_binding", bindings, server.channel_binding);
  server.renewal_operation =
      parse_word(table, "renewal_operation", "server.renewal_operation", operations, server.renewal_operation);
  parse_times(table, server);
  const bool is_tied =
      server.channel_binding == ChannelBinding::tls_unique || server.channel_binding == ChannelBinding::tls_exporter;
  if (is_tied && server.renewal_operation == RenewalOperation::full_cmc) {
    table.complain("channel_binding",
                   "server.channel_binding cannot be demanded with server.renewal_operation \"full-cmc\"",
                   "a Full PKI Request is signed by the current credential instead: write \"auto\", or renew by "
                   "\"simple\"");
  }
  if (server.channel_binding == ChannelBinding::tls_unique && server.tls.minimum == est::TlsOptions::Version::tls_1_3) {
    table.complain("channel_binding", "server.channel_binding cannot be 'tls-unique' with server.tls.minimum \"1.3\"",
                   "TLS 1.3 has no tls-unique (RFC 8446 C.5): allow 1.2, or write \"tls-exporter\"");
  }
  table.refuse_unknown();
  return server;
}

}  // namespace devid::identity
