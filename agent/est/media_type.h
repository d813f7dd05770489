#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace devid::est {

/// A Content-Type (RFC 9110 8.3), as a tolerant reader takes it.
struct MediaType {
  std::string name;                               ///< "application/pkcs7-mime", in lower case
  std::map<std::string, std::string> parameters;  ///< names in lower case, values without quotes

  /// None if `text` does not start with "type/subtype". Parameters that are not of the form name=value are skipped; of
  /// several with one name the first holds.
  static std::optional<MediaType> parse(std::string_view text);
  bool operator==(const MediaType&) const = default;
};

/// Whether certificates may come under this media type (RFC 7030 4.1.3, 4.2.3): application/pkcs7-mime, where
/// smime-type, if there, is certs-only.
bool is_certs_only(const MediaType& type);

}  // namespace devid::est
