#pragma once

#include <p11-kit/uri.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/owned.h"
#include "base/result.h"
#include "tokens/pkcs11/cryptoki.h"

namespace devid::pkcs11 {

/// Which object of a token is meant. At least one of the two says something.
struct ObjectName {
  Bytes id;           ///< CKA_ID
  std::string label;  ///< CKA_LABEL
  bool operator==(const ObjectName&) const = default;
};

/// A PKCS#11 URI (RFC 7512), parsed by p11-kit.
class Uri {
 public:
  /// Refuses attributes that nobody knows, for they could mean another token, and pin-value, which has no place in a
  /// file or a location. Error: `code`.
  static Result<Uri> parse(std::string_view text, Errc code);

  /// Whether what the URI says of a module, a slot and a token fits. What it does not say, fits.
  [[nodiscard]] bool matches(const CK_INFO& info) const;
  [[nodiscard]] bool matches(CK_SLOT_ID id, const CK_SLOT_INFO& info) const;
  [[nodiscard]] bool matches(const CK_TOKEN_INFO& info) const;

  /// What the URI says of an object; both empty if nothing.
  [[nodiscard]] ObjectName object() const;
  /// CKO_PRIVATE_KEY for type=private, and so on.
  [[nodiscard]] std::optional<CK_OBJECT_CLASS> type() const;
  [[nodiscard]] std::string module_path() const;
  [[nodiscard]] std::string pin_source() const;

 private:
  using Handle = Owned<P11KitUri, p11_kit_uri_free>;
  explicit Uri(Handle uri) : uri_(std::move(uri)) {}
  Handle uri_;
};

/// The URI of a private key, by token label, serial number, manufacturer and model, CKA_ID and CKA_LABEL. No PIN, no
/// module.
Result<std::string> key_uri(const CK_TOKEN_INFO& token, const ObjectName& key);

/// Where an object is within its token: "pkcs11:id=%01". With its label where that is needed to mean one object.
std::string object_location(const ObjectName& object);

}  // namespace devid::pkcs11
