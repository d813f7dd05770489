#include "agent/est/endpoint.h"

#include <algorithm>
#include <array>

#include "agent/est/ascii.h"
#include "agent/est/url.h"

namespace devid::est {
namespace {

constexpr std::string_view well_known = "/.well-known/est";
constexpr std::array<std::string_view, 6> operations = {"cacerts", "simpleenroll", "simplereenroll",
                                                        "fullcmc", "serverkeygen", "csrattrs"};

Result<Endpoint> refuse(std::string_view url, std::string reason, std::string hint = {}) {
  return fail({.code = Errc::config_invalid,
               .retry = Retry::after_operator,
               .what = "'" + printable(url, 200) + "' is not the URL of an EST server",
               .reason = std::move(reason),
               .hint = std::move(hint)});
}

/// The unreserved characters, sub-delimiters, ":" and "@" of RFC 3986 3.3; no percent-encoding, which servers read
/// differently.
bool may_be_in_label(char c) {
  constexpr std::string_view others = "-._~!$&'()*+,;=:@";
  return ascii::is_letter(c) || ascii::is_digit(c) || others.find(c) != std::string_view::npos;
}

/// What follows "/.well-known/est" or stands alone after the host, without slashes around it.
std::string_view label_of(std::string_view path) {
  if (path.starts_with(well_known) && (path.size() == well_known.size() || path[well_known.size()] == '/'))
    path.remove_prefix(well_known.size());
  if (path.starts_with('/')) path.remove_prefix(1);
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return path;
}

/// As a certificate names it: no brackets, no final dot of the DNS root.
std::string bare_host(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.ends_with('.')) host.remove_suffix(1);
  return std::string(host);
}

}  // namespace

Result<Endpoint> Endpoint::parse(std::string_view url) {
  const auto parts = Url::parse(url);
  if (!parts) return tl::unexpected(parts.error());
  if (!parts->query.empty() || url.find_first_of("?#") != std::string_view::npos)
    return refuse(url, "it has a query or a fragment");

  const std::string_view label = label_of(parts->path);
  constexpr std::string_view shape = "write https://HOST[:PORT][/.well-known/est][/LABEL]";
  if (label.find('/') != std::string_view::npos)
    return refuse(url, "its path has more than one label", std::string(shape));
  if (label.starts_with(".well-known")) return refuse(url, "its path is not EST's", std::string(shape));
  if (!std::ranges::all_of(label, may_be_in_label))
    return refuse(url, "its label has characters that do not belong into one", std::string(shape));
  if (std::ranges::find(operations, label) != operations.end()) {
    return refuse(url, "its label is the name of an operation (RFC 7030 3.2.2)",
                  "leave the operation out: devid appends it");
  }
  std::string base = parts->origin().append(well_known);
  if (!label.empty()) base.append("/").append(label);
  return Endpoint{.base = std::move(base), .host = bare_host(parts->host)};
}

}  // namespace devid::est
