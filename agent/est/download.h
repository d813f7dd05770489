#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "agent/est/proxy.h"
#include "agent/pki/crl.h"
#include "agent/pki/revocation.h"
#include "base/clock.h"
#include "base/result.h"

namespace devid::est {

/// How far a download may go.
struct DownloadSpec {
  Seconds time{15};                      ///< for all of it, redirects too; the download's own limit if that is less
  std::size_t bytes = pki::longest_crl;  ///< of the answer; the download's own limit if that is less
  /// The proxy on the way, asked for at each request, so that its password is not kept; empty: none.
  std::function<Result<std::optional<Proxy>>()> proxy = nullptr;
  std::function<bool()> cancelled = nullptr;  ///< asked about once a second
};

/// Whether devid looks at a URL that it found in a certificate: http, a host, no user information, no IPv6 zone, at
/// most 2048 printable ASCII characters. Any port but 0. Error: answer_malformed.
Result<> check_download_url(std::string_view url);

/// Fetches what a certificate names: an OCSP response or a CRL, over plain http as RFC 5280 8 and RFC 6960 A.1 have it;
/// both are signed, and a fetch over https would need the answer first. At most three redirects, to http, each checked
/// like the first URL; only the status 200 is an answer. No proxy of the environment, no .netrc, no cookies,
/// nothing of the credential.
///
/// The URL is chosen by whoever issued the certificate. A hostile CA can make this device send one GET, or one POST of
/// an OCSP request, to any host and port that the device reaches, those of its own and of the network behind a firewall
/// included. It chooses the path and the query, but neither method, headers nor body; of the answer it learns no more
/// than whether and how fast it came, if it can see what the device does next. Services that do something for an
/// unauthenticated GET are in danger, as from everybody else on that network. The chain is verified before anybody is
/// asked, so a stranger's certificate makes no request.
///
/// Errors: cancelled, answer_malformed (the URL), answer_too_large, server_refused, server_unavailable,
/// server_protocol, and those of curl_error(), with the URL.
Result<Bytes> download(const pki::Download& what, const DownloadSpec& spec);

/// The same, for pki::check_revocation.
pki::Downloader downloader(DownloadSpec spec);

}  // namespace devid::est
