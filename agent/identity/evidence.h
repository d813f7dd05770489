#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/pki/certificate.h"

namespace devid::identity {

enum class Verdict { taken, usable, rejected };
/// "taken", "usable", "rejected".
std::string_view verdict_name(Verdict verdict);

/// One place that was looked at, what was there, and what became of it. All text is safe to print.
struct Evidence {
  std::string token;  ///< empty for a file
  /// "handle:0x81020000", "nv:0x01c90200", "template:H-2/x", "pkcs11:…", "/etc/devid/idevid.pem"; empty for a token
  /// as a whole.
  std::string location;
  std::string found;  ///< "ec-p256 key", "certificate of CN=…, valid until …", "nothing that can be used"
  Verdict verdict = Verdict::rejected;
  std::string why;  ///< "its key at … signs", "no key for it", "it is a restricted key"
  bool operator==(const Evidence&) const = default;
};

/// What there is to say of a certificate in one line.
std::string certificate_text(const pki::Certificate& certificate);

/// "handle:0x81020000 in token 'tpm'", or the file: a place for a sentence.
std::string place_text(const std::string& token, const std::string& location);

/// What was taken, then what could be, then the rest; each in the order in which it was looked at.
std::vector<Evidence> ranked(std::vector<Evidence> evidence);

/// The evidence of several searches, ranked: of a place that several looked at, the best that one of them said.
std::vector<Evidence> merged(std::vector<Evidence> evidence);

}  // namespace devid::identity
