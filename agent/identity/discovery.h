#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/identity/credential.h"
#include "agent/identity/profile.h"
#include "agent/identity/tokens.h"
#include "base/clock.h"
#include "base/result.h"

namespace devid::identity {

enum class Verdict { taken, usable, rejected };
/// "taken", "usable", "rejected".
std::string_view verdict_name(Verdict verdict);

/// One place that was looked at, what was there, and what became of it. All text is safe to print.
struct Evidence {
  std::string token;  ///< empty for a file
  std::string
      location;       ///< "handle:0x81020000", "nv:0x01c90200", "template:H-2/x", "pkcs11:…", "/etc/devid/idevid.pem"
  std::string found;  ///< "ec-p256 signing key", "certificate of CN=…, valid until …", "nothing"
  Verdict verdict = Verdict::rejected;
  std::string why;  ///< "its key signs", "no key for it", "restricted key"
};

/// Where the IDevID is, as a sweep found it.
struct FoundIdevid {
  std::string token;
  std::string key;  ///< what Token::open_key_at takes
  CertificateLocation certificate;
  std::string fingerprint;  ///< SHA-256 of the certificate, as Certificate::fingerprint()
  bool operator==(const FoundIdevid&) const = default;
};

struct Discovery {
  std::optional<FoundIdevid> idevid;
  std::vector<Evidence> evidence;  ///< ranked: what was taken, then what could be, then the rest
};

/// Looks for the IDevID wherever `wanted` leaves it open, in every token that it allows and in `files`. A candidate
/// counts only if its public key is the certificate's and a signature by it verifies. An expired one counts only if
/// `wanted` allows it. A token that fails is evidence, not an error. Nothing is changed in any token.
Discovery discover(const Tokens& tokens, const IdevidLocation& wanted, const std::vector<std::filesystem::path>& files,
                   Time now);

}  // namespace devid::identity
