#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "agent/identity/credential.h"
#include "agent/identity/evidence.h"
#include "agent/identity/profile.h"
#include "agent/identity/tokens.h"
#include "base/clock.h"
#include "base/result.h"

namespace devid::identity {

/// Where an IDevID is.
struct IdevidPlace {
  std::string token;  ///< of the key; and of the certificate, unless that is in a file
  std::string key;    ///< what Token::open_key_at takes
  CertificateLocation certificate;
  bool operator==(const IdevidPlace&) const = default;
};

/// "the key handle:… in token 'tpm' with the certificate nv:…": for a sentence.
std::string place_text(const IdevidPlace& place);

/// What to look for, and where.
struct Search {
  const Tokens& tokens;
  /// The token is resolved (resolve_token); what is left open is looked for.
  IdevidLocation wanted;
  std::vector<std::filesystem::path> files;  ///< certificates, besides those that the tokens list
  Time now;
};

/// An IDevID that was found, and is open.
struct FoundIdevid {
  IdevidPlace place;
  Credential credential;
};

/// What a search came to.
struct Discovery {
  /// Errors: idevid_missing, idevid_expired, or that of the only token; the reason lists what was looked at.
  Result<FoundIdevid> idevid;
  std::vector<Evidence> evidence;   ///< ranked
  std::vector<std::string> advice;  ///< what an operator may do; empty if an IDevID was found
};

/// Which token an IDevID is in, as far as its place says that: a handle, an NV index or a template is in the TPM, a
/// PKCS#11 URI in the token of the profile if that is of PKCS#11, else in the only such token. Errors: config_invalid,
/// token_ambiguous.
Result<IdevidLocation> resolve_token(const Tokens& tokens, IdevidLocation wanted, const std::string& profile_token);

/// Looks for the IDevID: reads certificates, asks tokens for their keys, and matches both by the public key. What is
/// configured comes first, then the places that the TCG gives to the IDevID ("TPM 2.0 Keys for Device Identity and
/// Attestation", 7.3), then the others. Keys of templates are derived only for a certificate that has no other key, and
/// only while nothing was found. A candidate is taken only if a signature by its key verifies. One that is expired
/// counts only if that is allowed, and after all others. A token that fails is evidence. Nothing is changed in any
/// token.
Discovery discover(const Search& search);

}  // namespace devid::identity
