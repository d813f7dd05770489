#include "agent/identity/idevid_certificate.h"

#include <fmt/format.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <utility>

#include "base/file.h"

namespace devid::identity {
namespace {

constexpr std::size_t file_limit = 64UL * 1024;
constexpr std::size_t most_certificates = 8;
/// So far the clock of a device may be behind that of its factory.
constexpr Seconds clock_tolerance = std::chrono::minutes(1);

/// The DER SEQUENCE (X.690 8.1) at the start; everything if its length makes no sense, for the parser to complain
/// about.
BytesView first_sequence(BytesView stored) {
  const auto first = stored.size() < 2 ? 0 : std::to_integer<std::size_t>(stored[1]);
  if (first < 0x80) return stored.first(std::min(stored.size(), 2 + first));
  const std::size_t octets = first & 0x7fU;
  if (octets == 0 || octets > 2 || stored.size() < 2 + octets) return stored;
  std::size_t length = 0;
  for (const std::byte octet : stored.subspan(2, octets)) length = length << 8U | std::to_integer<std::size_t>(octet);
  return stored.first(std::min(stored.size(), 2 + octets + length));
}

bool is_padding(std::byte octet) { return octet == std::byte{0} || octet == std::byte{0xff}; }

/// DER or PEM without what fills up an NV index after it. What follows and is no padding stays, to be complained about.
BytesView without_padding(BytesView stored) {
  if (!stored.empty() && stored.front() == std::byte{0x30}) {
    const BytesView sequence = first_sequence(stored);
    return std::ranges::all_of(stored.subspan(sequence.size()), is_padding) ? sequence : stored;
  }
  while (!stored.empty() && is_padding(stored.back())) stored = stored.first(stored.size() - 1);
  return stored;
}

Error unusable(std::string reason) {
  return {.code = Errc::idevid_missing,
          .retry = Retry::after_operator,
          .what = "there is no certificate of an IDevID",
          .reason = std::move(reason)};
}

bool is_ca(const pki::Certificate& certificate) {
  return (X509_get_extension_flags(certificate.get()) & EXFLAG_CA) != 0;
}

}  // namespace

Result<IdevidCertificates> parse_idevid_certificates(BytesView stored) {
  auto certificates = pki::read_certificates(without_padding(stored), most_certificates);
  if (!certificates) {
    const Error& error = certificates.error();
    return fail(unusable(error.reason.empty() ? error.what : error.reason));
  }
  if (is_ca(certificates->front()))
    return fail(unusable("a CA's certificate is no IDevID: " + certificates->front().subject()));
  return certificates;
}

Result<IdevidCertificates> read_idevid_certificates(const std::filesystem::path& file) {
  auto text = read_file(file, file_limit, Errc::idevid_missing);
  if (!text) {
    if (text.error().code == Errc::idevid_missing) text.error().retry = Retry::after_operator;
    return fail(std::move(text.error()));
  }
  return parse_idevid_certificates(as_bytes(*text));
}

Result<> check_validity(const pki::Certificate& certificate, Time now) {
  const bool expired = now > certificate.not_after();
  if (!expired && now + clock_tolerance >= certificate.not_before()) return {};
  return fail({.code = Errc::idevid_expired,
               .retry = expired ? Retry::after_operator : Retry::later,
               .what = expired ? fmt::format("the IDevID expired on {}", utc_text(certificate.not_after()))
                               : fmt::format("the IDevID is not valid before {}", utc_text(certificate.not_before())),
               .reason = "its certificate's subject is " + certificate.subject(),
               .hint = "check the clock of this device; if the EST server accepts this IDevID nevertheless, write "
                       "allow_expired = true below [idevid] in the profile"});
}

}  // namespace devid::identity
