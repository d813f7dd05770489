#include "agent/est/proxy.h"

#include <arpa/inet.h>
#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>

#include "agent/est/ascii.h"
#include "agent/est/authentication.h"
#include "base/owned.h"

namespace devid::est {
namespace {

using Handle = Owned<CURLU, curl_url_cleanup>;
using Text = Owned<char, curl_free>;

constexpr std::array<std::string_view, 3> schemes = {"http", "https", "socks5"};

Result<> refuse(std::string_view url, std::string reason) {
  return fail({.code = Errc::config_invalid,
               .retry = Retry::after_operator,
               .what = "'" + printable(url, 200) + "' is not a proxy that devid can use",
               .reason = std::move(reason),
               .hint = "write http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT"});
}

std::optional<std::string> part(CURLU* handle, CURLUPart which) {
  char* text = nullptr;
  if (curl_url_get(handle, which, &text, 0) != CURLUE_OK) return std::nullopt;
  return std::string(Text(text).get());
}

/// The octets of an IP address in the order of the network; none for a name.
std::vector<std::byte> address_of(std::string_view text) {
  const std::string name(text);
  std::vector<std::byte> octets(sizeof(in6_addr));
  if (inet_pton(AF_INET6, name.c_str(), octets.data()) == 1) return octets;
  octets.resize(sizeof(in_addr));
  if (inet_pton(AF_INET, name.c_str(), octets.data()) == 1) return octets;
  return {};
}

/// The first `bits` of an address, the others zero.
std::vector<std::byte> network_of(std::vector<std::byte> address, std::size_t bits) {
  constexpr std::size_t octet = 8;
  for (std::size_t i = 0; i < address.size(); ++i) {
    const std::size_t kept = std::clamp(bits, i * octet, (i + 1) * octet) - (i * octet);
    address[i] &= static_cast<std::byte>(0xff00U >> kept);
  }
  return address;
}

/// "10.0.0.0/8", or one address.
struct Network {
  std::vector<std::byte> address;
  std::size_t bits = 0;
};

std::optional<Network> parse_network(std::string_view text) {
  const auto slash = text.find('/');
  Network network{.address = address_of(text.substr(0, slash))};
  if (network.address.empty()) return std::nullopt;
  const std::size_t most = network.address.size() * 8;
  network.bits = most;
  if (slash == std::string_view::npos) return network;
  const std::string_view digits = text.substr(slash + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), network.bits);
  const bool is_good = error == std::errc() && end == digits.data() + digits.size() && network.bits <= most;
  return is_good ? std::optional(std::move(network)) : std::nullopt;
}

bool is_in_network(const std::vector<std::byte>& address, std::string_view exception) {
  const auto network = parse_network(exception);
  return network && network->address.size() == address.size() &&
         network_of(network->address, network->bits) == network_of(address, network->bits);
}

std::string_view without_final_dot(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  return name;
}

/// Labels of letters, digits, '-' and '_', one of them with a letter.
bool is_domain(std::string_view text) {
  if (text.starts_with('.')) text.remove_prefix(1);
  text = without_final_dot(text);
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto is_part = [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  };
  return std::ranges::all_of(text, is_part) && std::ranges::any_of(text, is_letter) && !text.starts_with('.') &&
         text.find("..") == std::string_view::npos;
}

bool is_in_domain(std::string_view host, std::string_view domain) {
  if (domain.starts_with('.')) domain.remove_prefix(1);
  domain = without_final_dot(domain);
  if (domain.empty() || !host.ends_with(domain)) return false;
  host.remove_suffix(domain.size());
  return host.empty() || host.ends_with('.');
}

}  // namespace

Result<> check(const Proxy& proxy) {
  const Handle handle(curl_url());
  const CURLUcode rc = curl_url_set(handle.get(), CURLUPART_URL, proxy.url.c_str(), CURLU_NON_SUPPORT_SCHEME);
  if (rc != CURLUE_OK) return refuse(proxy.url, curl_url_strerror(rc));
  const std::string scheme = part(handle.get(), CURLUPART_SCHEME).value_or("");
  if (std::ranges::find(schemes, scheme) == schemes.end() || !proxy.url.starts_with(scheme + "://"))
    return refuse(proxy.url, "its scheme is none of those that devid speaks");
  if (part(handle.get(), CURLUPART_USER) || part(handle.get(), CURLUPART_PASSWORD))
    return refuse(proxy.url, "it holds user information: that belongs into settings of its own");
  if (part(handle.get(), CURLUPART_PORT).value_or("0") == "0") return refuse(proxy.url, "it names no port");
  if (part(handle.get(), CURLUPART_PATH).value_or("/") != "/" || part(handle.get(), CURLUPART_QUERY) ||
      part(handle.get(), CURLUPART_FRAGMENT))
    return refuse(proxy.url, "there is something behind its port");
  if (!proxy.login) return {};
  const bool is_good = !proxy.login->user.empty() && is_sendable(proxy.login->user) &&
                       is_sendable(as_text(proxy.login->password.reveal()));
  if (!is_good) return refuse(proxy.url, "its user is empty, or user or password have control characters");
  return {};
}

Result<> check_exception(std::string_view exception) {
  if (exception == "*" || is_domain(exception) || parse_network(exception)) return {};
  return fail(
      {.code = Errc::config_invalid,
       .retry = Retry::after_operator,
       .what = "'" + printable(exception, 200) + "' is no host, domain, address or network",
       .hint = "write \"example.net\", \"192.0.2.7\", \"10.0.0.0/8\", \"fd00::/8\" or \"*\"; no scheme and no port"});
}

bool is_excepted(const Proxy& proxy, std::string_view host) {
  const std::string name = ascii::lower(without_final_dot(host));
  const auto address = address_of(name);
  return std::ranges::any_of(proxy.exceptions, [&](const std::string& exception) {
    if (exception == "*") return true;
    return address.empty() ? is_in_domain(name, ascii::lower(exception)) : is_in_network(address, exception);
  });
}

}  // namespace devid::est
