#include "agent/pki/revocation_urls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "base/openssl.h"

namespace devid::pki {
namespace {

using AccessDescriptions = Owned<AUTHORITY_INFO_ACCESS, AUTHORITY_INFO_ACCESS_free>;
using DistributionPoints = Owned<CRL_DIST_POINTS, CRL_DIST_POINTS_free>;

constexpr std::size_t longest_url = 2048;

void add_url(std::vector<std::string>& urls, const GENERAL_NAME* name) {
  if (name->type != GEN_URI) return;
  const ASN1_STRING* const text = name->d.uniformResourceIdentifier;
  const auto size = static_cast<std::size_t>(ASN1_STRING_length(text));
  std::string url(as_text(std::as_bytes(std::span(ASN1_STRING_get0_data(text), size))));
  const bool readable = std::ranges::all_of(url, [](char c) { return c > ' ' && c < '\x7f'; });
  if (!readable || url.size() > longest_url || std::ranges::find(urls, url) != urls.end()) return;
  urls.push_back(std::move(url));
}

/// The extension's value; none too if it cannot be read, or is there twice.
template <class Value>
Value* extension(const Certificate& certificate, int nid) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-static-cast-downcast): the type that the NID stands for
  auto* const value = static_cast<Value*>(X509_get_ext_d2i(certificate.get(), nid, nullptr, nullptr));
  ERR_clear_error();
  return value;
}

std::vector<std::string> ocsp_urls(const Certificate& certificate) {
  std::vector<std::string> urls;
  const AccessDescriptions all(extension<AUTHORITY_INFO_ACCESS>(certificate, NID_info_access));
  for (int i = 0; all && i < sk_ACCESS_DESCRIPTION_num(all.get()); ++i) {
    const ACCESS_DESCRIPTION* const each = sk_ACCESS_DESCRIPTION_value(all.get(), i);
    if (OBJ_obj2nid(each->method) == NID_ad_OCSP) add_url(urls, each->location);
  }
  return urls;
}

std::vector<std::string> crl_urls(const Certificate& certificate) {
  std::vector<std::string> urls;
  const DistributionPoints all(extension<CRL_DIST_POINTS>(certificate, NID_crl_distribution_points));
  for (int i = 0; all && i < sk_DIST_POINT_num(all.get()); ++i) {
    const DIST_POINT* const each = sk_DIST_POINT_value(all.get(), i);
    const bool full_name = each->distpoint != nullptr && each->distpoint->type == 0;
    if (!full_name || each->reasons != nullptr || each->CRLissuer != nullptr) continue;
    const GENERAL_NAMES* const names = each->distpoint->name.fullname;
    for (int j = 0; j < sk_GENERAL_NAME_num(names); ++j) add_url(urls, sk_GENERAL_NAME_value(names, j));
  }
  return urls;
}

}  // namespace

RevocationUrls revocation_urls(const Certificate& certificate) {
  return {.ocsp = ocsp_urls(certificate), .crl = crl_urls(certificate)};
}

}  // namespace devid::pki
